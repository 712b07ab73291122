// Package keys says where under /pgvigil/<cluster>/ everything lies, reads what lies there, and turns a watchdog.Change into
// compares, puts and deletes. It is pure: it talks to no store, so that the client of real etcd and the in-memory fake read
// and write the same keys by the same rules, and each only adds how a transaction is carried out.
//
// # Promises
//
//   - A value that cannot be read is named in Cluster.Garbage with why, its revisions are set all the same, and nothing else
//     of it is taken over (F18). The same holds for values beyond MaxValue, for a member or ballot under another's key, and
//     for leased keys that hang on no lease and so would never go away.
//   - A change of the record or of primary.term that compares no revision of it is refused before it is sent.
//   - A put that the change itself does not pin to a revision (a member's key, a ballot, the policy) is made only if the key
//     has not been written after the last revision that the client has seen. So a request that was delayed or sent twice
//     cannot overwrite what the same client wrote after it.
//
// # What it does not promise
//
// A delete leaves no revision behind. A put that was sent, given up and overtaken by a delete of the same key may still
// arrive after it; only a compare with another key (the record, primary.term) bars it.
package keys
