// Package simulation runs whole clusters in one goroutine, in virtual time, from one seed: the decision code of the watchdog
// as it is in production, and around it models of everything that it meets: etcd, PostgreSQL and its replication, the
// sidecar's executor, guards, hosts, disks, clocks, the network, and clients that write.
//
// A seed gives a cluster, a schedule of faults and the low-level randomness. The three are kept apart, so that a schedule can
// be shrunk while the rest stays as it was. The same seed and schedule give the same run, event for event.
//
// What must hold is checked at every step (check.go), and after the last fault has healed the cluster must serve and be whole
// again within a bound. The checks share no code with what they check: they look at the truth, not at what a sidecar believes.
//
// That the model is strong enough to see a mistake is itself tested: each of the planted bugs in sabotage.go lies outside the
// production code, in the view that Decide is given, in the decision that comes back or in a step of the executor, and each
// must be found.
//
// What is not modelled: WAL removal and slots, archives but for one planted bug, real page headers, majors below 13, witnesses,
// duplicated messages, compaction and NOSPACE in etcd, switchovers and operations by hand. An older backup of etcd
// is put back only where that is the planted bug.
package simulation
