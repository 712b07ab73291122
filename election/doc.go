// Package election is the one place that talks to etcd: keys, leases, the leader's election, the record, ballots, watches.
// Client implements sidecar.Store, and alert.Store. Where the keys lie and how they are read is package keys.
//
// # Requests and sick endpoints
//
// Each endpoint has a connection of its own, opened when it is first needed, and one of them is the one in use. A request
// goes there first. When it fails, or has not been answered within a slice of the context's budget (the budget divided by
// the number of endpoints, 150 ms at the least), the same request goes to the next endpoint too, while the first goes on
// waiting: an etcd that is slow everywhere is still heard, and one that accepts and never answers (F14) costs one slice,
// once. Whichever endpoint answers first becomes the one in use, and watches move there. Errors that etcd may get over
// (no leader, no connection, an expired token) are tried again until the deadline (F15).
//
// So a request may reach etcd more than once:
//   - Read, Events, AlertCursor and KeepAlive are harmless twice. A caller that counts time from before the call counts it
//     from the first send.
//   - Grant asks for a lease id of its own choice; the second finds that the lease exists.
//   - Apply and MoveAlertCursor are made at most once, because what they write is pinned to revisions (see keys). If a
//     compare fails while another attempt's outcome is not known, the change may be its own cause: the answer is then an error that is not
//     ErrCompareLost, which means that the outcome is unknown.
//
// # Promises
//
//   - Read is one linearizable transaction, bounded by ctx. A key that cannot be read stands in Garbage, and a later Apply
//     of this client that would write over it is refused with keys.ErrGarbage, nothing sent.
//   - ErrCompareLost and ErrLeaseLost are said only when etcd said so. Every other error of Apply: outcome unknown.
//   - A lease is renewed once per KeepAlive. An answer counts for the request that it follows: a stream on which an answer
//     was not waited for is thrown away with it (F10).
//   - The watch never wakes anybody for primary.term or a cursor of alerts. It wakes once more than necessary rather
//     than once too few: when it begins, when it was broken, compacted (F12) or moved to another endpoint.
//   - Close, or the end of a watch's ctx, leaves no goroutine behind.
//
// # What it does not promise
//
//   - That a lease lasts as long as its TTL, or ends with it (F7, F8), or that a renewed lease still exists (F9: etcd below
//     3.4.38, 3.5.23 and 3.6.5, see StoreVersion). Leases are for prompt notice; who may be primary is decided by revisions
//     and by time counted from a send.
//   - That a watch is alive. The connection is pinged every 10 s; until then a stopped etcd server looks like a quiet
//     one, unless a request finds out first (F11). The caller's own tick is the net.
//   - That an event which was pruned was the oldest by time. Events are pruned in the background, oldest term and sequence
//     first, and a failure is left to the next.
package election
