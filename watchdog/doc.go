// Package watchdog thinks. It holds the nouns of a PostgreSQL streaming-replication cluster (positions, timelines,
// members, the record, ballots, the policy) and the one pure function that judges them, Decide.
//
// It imports the standard library alone, does no I/O and reads no clock: everything a decision may depend on is handed to
// it in a View, and what is to be done comes back as a value, a Decision. The same view gives the same decision, so that
// every choice can be tested as a story in a text file, replayed from an event, and explored by a model.
//
// What it promises: at most one role-changing action in a decision, and that one last; fencing before everything else;
// unknown is neither healthy nor dead; every leaf of a decision has a named Reason; every change of the cluster's keys
// carries the revisions on which it was judged.
//
// What it does not promise: that anything was done. The sidecar carries a decision out, and compares and swaps on the same
// facts, so that a decision that has gone stale does nothing.
package watchdog
