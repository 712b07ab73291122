package simulation

import (
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

func (n *node) renewLoop() {
	began := n.local()
	again := func(soon bool) {
		d := max(n.policy().Renewal.D()-n.local().Since(began), 10*time.Millisecond)
		if soon {
			d = 50 * time.Millisecond
		}
		n.after(sidecar, d, n.renewLoop)
	}
	if n.renewing {
		again(true)
		return
	}
	n.renewOnce(again)
}

// renewNow is a renewal out of turn.
func (n *node) renewNow() {
	if !n.renewing {
		n.renewOnce(func(bool) {})
	}
}

// renewOnce renews lease and trust side by side. Trust is counted from the send, and only once both are acknowledged.
func (n *node) renewOnce(then func(soon bool)) {
	var trust watchdog.Trust
	if n.renewTerm != 0 && n.renewTerm == n.trust.Term && !n.trust.Lost {
		n.counter++
		trust = n.trust
	}
	n.renewing = true
	sent, sentTrue := n.local(), n.world.now
	left, leaseOK, termOK, lost := 1, false, false, false
	var rev int64
	if trust.Term != 0 {
		left = 2
	}
	done := func() {
		if left--; left > 0 {
			return
		}
		n.renewing = false
		if n.world.planted(responseTimeLease) {
			sent = n.local()
		}
		if leaseOK {
			n.leaseFrom = sent
		}
		switch {
		case trust.Term == 0:
			then(!leaseOK)
			return
		case lost:
			n.renewalLost(trust, then)
			return
		case n.trust.Term == trust.Term && termOK:
			n.trust.Rev = rev
			if leaseOK {
				n.trusted(max(n.trust.From, sent), sentTrue, false)
			}
		}
		if !leaseOK || !termOK {
			n.askOthers()
		}
		then(!leaseOK || !termOK)
	}
	n.keepLease(func(ok bool) { leaseOK = ok; done() })
	if trust.Term == 0 {
		return
	}
	change := watchdog.RenewChange(trust, watchdog.Identity{Name: n.name, Incarnation: n.name + "-disk"}, n.counter, n.server)
	if c := n.cluster; n.leased && c != nil && c.Record != nil && c.Primary == "" {
		change.TakePrimary = n.name
	}
	n.apply(n.policy().RenewalDeadline.D(), change, func(at int64, o outcome) {
		rev, termOK, lost = at, o == applied, o == compareLost
		done()
	})
}

// trusted notes since when our server may accept writes, and feeds the guard before anybody relies on it.
func (n *node) trusted(from watchdog.Instant, sentTrue int64, failsafe bool) {
	n.trust.From, n.trust.Until, n.trust.Failsafe = from, 0, failsafe
	n.sentTrue = sentTrue
	n.world.check.trusted(n, sentTrue)
	n.feedGuard()
}

func (n *node) keepLease(then func(bool)) {
	budget := n.policy().RenewalDeadline.D()
	if n.leased {
		alive, id := false, n.lease
		n.request(budget, func() { alive = n.world.etcd.keep(id) }, func(arrived bool) {
			if arrived && !alive {
				n.leased = false
				n.grantLease(budget/2, then)
				return
			}
			then(arrived)
		})
		return
	}
	n.grantLease(budget, then)
}

func (n *node) grantLease(budget time.Duration, then func(bool)) {
	var id int64
	n.request(budget, func() { id = n.world.etcd.grant(n.policy().TTL.D()) }, func(arrived bool) {
		if arrived {
			n.lease, n.leased, n.journal.lease = id, true, id
			n.mustReadAnew()
		}
		then(arrived)
	})
}

// renewalLost finds out why primary.term is not as we left it.
func (n *node) renewalLost(trust watchdog.Trust, then func(bool)) {
	n.fetch(n.policy().RenewalDeadline.D(), func(c *watchdog.Cluster) {
		if c == nil {
			then(true)
			return
		}
		t := c.PrimaryTerm
		ours := t != nil && t.Term == trust.Term && t.Incarnation == n.name+"-disk" && !t.Surrendered
		gone := c.PrimaryTermRev == 0 && c.RecordRev == 0
		if n.trust.Term == trust.Term && n.trust.Rev == trust.Rev {
			switch {
			case ours:
				n.trust.Rev = c.PrimaryTermRev
			case !gone:
				n.trust.Lost = true
			}
		}
		n.readNow()
		n.wake()
		then(ours)
	})
}

// hold notes that a term is ours since sent.
func (n *node) hold(term watchdog.Term, sent watchdog.Instant, sentTrue, rev int64) {
	from := min(sent, n.leaseFrom)
	n.trust = watchdog.Trust{Term: term, Rev: rev}
	n.renewTerm, n.counter = term, 0
	n.trusted(from, min(sentTrue, n.trueTime(from)), false)
	n.renewNow()
}

// trueTime of a reading of our clock in the past, for the checks.
func (n *node) trueTime(at watchdog.Instant) int64 {
	return n.world.now - int64(float64(n.local().Since(at))/n.rate)
}

// askOthers is failsafe: etcd is out of reach, and the others may let us go on.
func (n *node) askOthers() {
	c := n.cluster
	if n.asking || !n.policy().Failsafe || c == nil || c.Record == nil || n.trust.Term == 0 || n.trust.Lost || c.Record.Term != n.trust.Term {
		return
	}
	r := *c.Record
	question := watchdog.FailsafeQuestion{Primary: n.name, Incarnation: n.name + "-disk", Term: n.trust.Term, Mode: r.Durability.Mode}
	n.asking = true
	sent, sentTrue, term := n.local(), n.world.now, n.trust.Term
	var yes []string
	life := n.life[sidecar]
	n.after(sidecar, n.policy().RenewalDeadline.D(), func() { n.asking = false })
	for _, other := range n.world.nodes {
		if other == n {
			continue
		}
		n.world.send(n.index, other.index, func() {
			other.toSidecar(func() {
				other.answerFailsafe(question, func(a watchdog.FailsafeAnswer) {
					n.world.send(other.index, n.index, func() {
						n.world.happen(event{n: n, layer: sidecar, life: life, fn: func() {
							if !a.Yes || n.trust.Term != term || n.trust.Lost || !n.asking {
								return
							}
							yes = append(yes, a.Member)
							if watchdog.FailsafeHolds(r, n.name, yes) && sent > n.trust.From && n.trust.Live(n.policy(), n.local()) {
								n.world.trace(n.name, "failsafe: %v let us go on", yes)
								n.trusted(sent, sentTrue, true)
							}
						}})
					})
				})
			})
		})
	}
}

// toSidecar hands a message to the sidecar's process, if it lives; one that is stopped finds it later.
func (n *node) toSidecar(fn func()) {
	if n.running {
		n.world.happen(event{n: n, layer: sidecar, life: n.life[sidecar], fn: fn})
	}
}

// answerFailsafe looks whether etcd answers us, and takes no part in elections after a yes: durably, before it is said.
func (n *node) answerFailsafe(q watchdog.FailsafeQuestion, answer func(watchdog.FailsafeAnswer)) {
	n.fetch(n.policy().RenewalDeadline.D()/2, func(c *watchdog.Cluster) {
		a := watchdog.AnswerFailsafe(n.view(), q, c == nil)
		if a.Yes {
			n.abstain = max(n.abstain, n.local().Add(n.policy().AbstainFor()))
			n.journal.abstain, n.journal.boot = n.abstain, n.bootedAt
			n.wake()
		}
		answer(a)
	})
}

// heartbeatLoop tells the primary's sidecar of ourselves, and that of the standby which our server is to follow, and knocks at
// the server of one that is silent.
func (n *node) heartbeatLoop() {
	if c := n.cluster; c != nil && c.Record != nil && c.Record.Primary != "" && c.Record.Primary != n.name {
		n.beat(n.world.named(c.Record.Primary))
	}
	if up, wished := n.view().Wished(); wished {
		n.beat(n.world.named(up.Name))
	}
	n.after(sidecar, n.policy().Heartbeat.D(), n.heartbeatLoop)
}

func (n *node) beat(to *node) {
	w, me, budget := n.world, n.self(), n.policy().Detection.D()/2
	life := n.life[sidecar]
	answered := false
	back := func(fn func()) {
		w.send(to.index, n.index, func() {
			w.happen(event{n: n, layer: sidecar, life: life, fn: func() { answered = true; fn() }})
		})
	}
	w.send(n.index, to.index, func() {
		switch {
		case to.powerless:
		case !to.running && !to.frozen:
			back(func() { n.heard(to.name, nil) }) // refused: the host lives
		default:
			to.toSidecar(func() {
				to.heard(me.Name, &me)
				it := to.self()
				back(func() { n.heard(to.name, &it) })
			})
		}
	})
	n.after(sidecar, budget, func() {
		if !answered {
			n.knockAt(to, budget)
		}
	})
}

func (n *node) heard(name string, m *watchdog.Member) {
	p, now := n.peers[name], n.local()
	p.AnsweredAt = now
	if m != nil {
		if p.Streaming != m.Streaming {
			n.wake()
		}
		p.Member, p.HeardAt = *m, now
	}
	n.peers[name] = p
}

// knockAt asks the primary's server for an answer over a new connection.
func (n *node) knockAt(to *node, budget time.Duration) {
	w, sent, answered := n.world, n.local(), false
	life := n.life[sidecar]
	w.send(n.index, to.index, func() {
		if to.powerless || to.frozen || to.pg.hung || to.pg.closed {
			return
		}
		refused := !to.pg.runs()
		w.send(to.index, n.index, func() {
			w.happen(event{n: n, layer: sidecar, life: life, fn: func() {
				answered = true
				p := n.peers[to.name]
				if refused {
					p.AnsweredAt = n.local()
				} else {
					p.ServerAt = n.local()
				}
				n.peers[to.name] = p
			}})
		})
	})
	n.after(sidecar, budget, func() {
		if !answered {
			p := n.peers[to.name]
			p.KnockedAt = sent
			n.peers[to.name] = p
			n.wake()
		}
	})
}
