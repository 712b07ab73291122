// Package electiontest has an in-memory sidecar.Store for tests, and the contract that it and real etcd both pass.
//
// # Promises
//
//   - Cluster behaves as one etcd that is always up to date: revisions, create revisions, leases, transactions that are made
//     whole or not at all, wakes. It shares the layout, the decoder and the planning of a change with the real client
//     (package keys); how a plan is carried out is its own, and Exercise holds both to the same answers.
//   - It starts no goroutine and reads no clock but the one it is given, so that a simulation of whole clusters is
//     deterministic. A lease expires when the cluster is next asked anything after its end; Tick is a question that does
//     nothing else.
//   - Faults are per client (SetUnreachable, LoseAnswers) or done to the cluster by hand (Put, Delete, Expire, SetStoreID).
//
// # What it does not promise
//
// It has no members that disagree, no slow or sick endpoints, no compaction and no leases that live too long or too short:
// those are tested on real etcd. A request to an unreachable store fails at once, where a real one waits for its deadline.
package electiontest
