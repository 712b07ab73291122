package simulation

import (
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// request sends one request to etcd, and has reply happen in the sidecar once, at the latest when the budget is used up.
// arrived is false when no answer came: the request may have been carried out, or may be yet.
func (n *node) request(budget time.Duration, carryOut func(), reply func(arrived bool)) {
	w, done := n.world, false
	finish := func(arrived bool) {
		if !done {
			done = true
			reply(arrived)
		}
	}
	n.after(sidecar, budget, func() { finish(false) })
	life := n.life[sidecar]
	answer := func() {
		carryOut()
		w.send(w.etcdHost(), n.index, func() {
			w.happen(event{n: n, layer: sidecar, life: life, fn: func() { finish(true) }})
		})
	}
	w.send(n.index, w.etcdHost(), func() {
		switch {
		case !w.etcd.down:
			answer()
		case chance(w.rng, 0.5):
			w.etcd.parked = append(w.etcd.parked, answer)
		}
	})
}

// outcome is how a change ended as far as its writer knows.
type outcome int

const (
	unknownOutcome outcome = iota
	compareLost
	leaseLost
	applied
)

// apply makes a change in etcd.
func (n *node) apply(budget time.Duration, c watchdog.Change, reply func(rev int64, o outcome)) {
	w, lease, seen := n.world, n.lease, n.seenRevision
	var rev int64
	var made, alive bool
	n.request(budget, func() {
		l := w.etcd.leases[lease]
		alive = l != nil && !l.gone
		rev, made = w.etcd.apply(&c, lease, seen)
		if made && c.Record != nil {
			w.trace(n.name, "etcd: %s", describeRecord(*c.Record))
		}
	}, func(arrived bool) {
		switch leased := c.Member != nil || c.Campaign != "" || c.TakePrimary != ""; {
		case !arrived:
			reply(0, unknownOutcome)
		case made:
			n.seenRevision = max(n.seenRevision, rev)
			reply(rev, applied)
		case leased && !alive:
			reply(0, leaseLost)
		default:
			reply(0, compareLost)
		}
	})
}

// fetch makes one linearizable read.
func (n *node) fetch(budget time.Duration, reply func(*watchdog.Cluster)) {
	var read *watchdog.Cluster
	n.request(budget, func() { read = n.world.etcd.snapshot() }, func(arrived bool) {
		if !arrived {
			reply(nil)
			return
		}
		n.seenRevision = max(n.seenRevision, read.Revision)
		reply(read)
	})
}

// wakeWatches tells every sidecar that a read is worth while, unless its watch is broken.
func (s *store) wakeWatches() {
	for _, n := range s.w.nodes {
		if n.watchBroken || s.w.net.cut[s.w.etcdHost()][n.index] > 0 {
			n.watchMissed = true
		}
		if n.watchPending || n.watchMissed {
			continue
		}
		n.watchPending = true
		life := n.life[sidecar]
		s.w.send(s.w.etcdHost(), n.index, func() {
			n.watchPending = false
			s.w.happen(event{n: n, layer: sidecar, life: life, fn: n.readNow})
		})
	}
}
