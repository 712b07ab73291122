// Package sidecar moves. It observes the server beside it and the cluster's keys, asks watchdog.Decide what to do, carries
// that out, and reports. It is the only owner of goroutines and of the clock, and declares the small interfaces of what it
// needs: Store, Postgres, Guard, Peers.
//
//	watch, read ─┐                       ┌─ apply (etcd)
//	observe, exit ┼─ one state ─ Decide ─┼─ one operation at a time (fence, hand over, ballot, promote, rejoin)
//	renew, heard ─┘      ▲               └─ renew, guard
//	                     └────── wake ───────┘
//
// What it promises: the loop never waits for etcd, for the disk or for PostgreSQL, so that nothing can keep it from
// fencing; an operation under way is ended before a fence begins; trust is counted from the earlier of the two sends of a
// renewal, and only once both are acknowledged; the guard is fed by nothing else.
//
// What it does not promise: anything while its process does not run. That is the guard's business, and the election's.
package sidecar
