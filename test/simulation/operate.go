package simulation

import (
	"cmp"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// operation is one action being carried out beside the loop, step by step. Between any two steps the sidecar may die, and a
// fence may overtake it.
type operation struct {
	n     *node
	a     watchdog.Action
	v     watchdog.View
	since watchdog.Instant
	over  bool

	fetched watchdog.TailFetch // by a promotion
	refused bool               // what is missing of the tail forbids it
}

// begin sets one action in motion.
func (n *node) begin(v watchdog.View, d watchdog.Decision, a watchdog.Action) {
	n.world.actedAt = n.world.now
	switch a.Kind {
	case watchdog.ActRefuse:
		n.world.check.fail("refusal", "%s refuses to go on: %s", n.name, a.Error)
	case watchdog.ActAdmit:
		n.admit(a.Admission)
		n.wake()
	case watchdog.ActApply:
		n.beginApply(v, a)
	default:
		n.beginOperation(v, d, a)
	}
}

func (n *node) admit(a watchdog.Admission) {
	j := &n.journal
	n.world.check.admitted(n, a)
	a.Promised, a.Held, a.Advance = max(a.Promised, j.admitted.Promised), max(a.Held, j.admitted.Held), j.admitted.Advance
	a.Follow = cmp.Or(a.Follow, j.admitted.Follow)
	j.admitted = a
}

const restBetween = 50 * time.Millisecond

func (n *node) beginApply(v watchdog.View, a watchdog.Action) {
	c := *a.Change
	leased := c.Member != nil || c.Campaign != "" || c.TakePrimary != ""
	if n.applying || n.mustRead != 0 || leased && !n.leased || v.Now < n.applyFrom || c.Record != nil && n.mustLook {
		return
	}
	n.applying = true
	sent, sentTrue := n.local(), n.world.now
	n.apply(v.Policy.RenewalDeadline.D(), c, func(rev int64, o outcome) {
		n.applying = false
		if o == unknownOutcome || o == leaseLost {
			n.applyFrom = n.local().Add(restBetween)
		}
		if o == leaseLost {
			n.leased = false
			n.renewNow()
		}
		n.mustReadAnew()
		if o != applied {
			return
		}
		if c.TakePrimary != "" {
			n.hold(c.PrimaryTerm.Term, sent, sentTrue, rev)
		}
		if r := c.Record; r != nil && c.TakePrimary != "" {
			n.admit(watchdog.Admission{SystemID: r.SystemID, StoreID: v.Cluster.StoreID, Term: r.Term, Seq: r.Seq, Held: r.Term})
		}
		n.wake()
	})
}

// beginOperation carries one action out. One at a time, but that a fence ends what is under way first.
func (n *node) beginOperation(v watchdog.View, d watchdog.Decision, a watchdog.Action) {
	fence := a.Kind == watchdog.ActFence
	if !fence && (n.flight.Kind != "" || n.mustLook || n.mustRead != 0 || n.applying) {
		return
	}
	if n.flight.Kind == watchdog.ActFence || n.landed.kind == a.Kind && v.Now.Since(n.landed.at) < restBetween {
		return
	}
	if n.operation != nil {
		n.operation.over = true
	}
	n.flight = watchdog.Flight{
		Kind: a.Kind, Term: a.Term, Since: v.Now, Failed: n.flight.Failed, FailedAt: n.flight.FailedAt, Failures: n.flight.Failures,
		Diverged: n.flight.Diverged, NotPossible: n.flight.NotPossible, WALGone: n.flight.WALGone,
	}
	o := &operation{n: n, a: a, v: v, since: v.Now}
	n.operation = o
	if fence {
		n.fencedFor, n.renewTerm = d.Reason, 0
	}
	if n.world.tracing {
		n.world.trace(n.name, "begins %s %s%s", a.Kind, a.Upstream.Name, a.Heir)
	}
	n.operate(o)
}

// operate is the one switch from an action to the work.
func (n *node) operate(o *operation) {
	switch o.a.Kind {
	case watchdog.ActFence:
		o.fence()
	case watchdog.ActHandOver:
		o.handOver()
	case watchdog.ActSwitchOver:
		o.switchOver()
	case watchdog.ActBallot:
		o.vote()
	case watchdog.ActWithdraw:
		o.withdraw()
	case watchdog.ActSynchronise:
		o.synchronise()
	case watchdog.ActPromote:
		o.promote()
	case watchdog.ActLatch:
		o.then(time.Millisecond, func() { n.pg.latched = !n.world.planted(noLatch); o.done() })
	case watchdog.ActRepoint:
		o.repoint(false)
	case watchdog.ActProd:
		o.repoint(o.a.Restart)
	case watchdog.ActStart:
		o.start()
	case watchdog.ActRestart:
		o.restart()
	case watchdog.ActLeave:
		o.leave()
	case watchdog.ActReload:
		o.then(5*time.Millisecond, func() { o.land(watchdog.Flight{Done: o.a.Kind, Said: "reloaded"}) })
	case watchdog.ActRewind:
		o.rewind()
	case watchdog.ActClone:
		o.clone()
	default:
		n.world.check.fail("I13", "nothing carries out %q", o.a.Kind)
	}
}

// then is the next step, about d from now. The sidecar may die before it, where a fault has it so.
func (o *operation) then(d time.Duration, step func()) {
	n := o.n
	if n.crashNext && chance(n.r, 0.4) {
		n.crashNext = false
		n.world.trace(n.name, "dies in the middle of %s", o.a.Kind)
		n.crashSidecar(between(n.r, 50*time.Millisecond, 4*time.Second))
		return
	}
	n.after(sidecar, between(n.r, d/2, d*3/2), func() {
		if !o.over {
			step()
		}
	})
}

// change makes one change in etcd as a step.
func (o *operation) change(c watchdog.Change, step func(rev int64, out outcome)) {
	o.n.apply(o.v.Policy.RenewalDeadline.D(), c, func(rev int64, out outcome) {
		if !o.over {
			step(rev, out)
		}
	})
}

func (o *operation) done() { o.land(watchdog.Flight{Done: o.a.Kind}) }

func (o *operation) failed(why string) {
	o.n.world.trace(o.n.name, "%s failed: %s", o.a.Kind, why)
	o.land(watchdog.Flight{Failed: o.a.Kind})
}

// land notes how it ended, and asks for new eyes before the next.
func (o *operation) land(f watchdog.Flight) {
	n := o.n
	if o.over {
		return
	}
	o.over = true
	if f.Done != "" {
		f.DoneAt = n.local()
	}
	if f.Failed != "" {
		f.FailedAt, f.Failures = n.local(), 1
		if n.flight.Failed == f.Failed {
			f.Failures += n.flight.Failures
		}
	}
	n.flight, n.operation = f, nil
	n.landed.kind, n.landed.at = o.a.Kind, n.local()
	if f.Done == watchdog.ActStart {
		n.server.Role, n.server.Gone = watchdog.RoleStarting, false
	}
	if o.a.Kind != watchdog.ActFence {
		n.mustLook = true
		n.mustReadAnew()
	}
	n.after(sidecar, between(n.r, time.Millisecond, 8*time.Millisecond), n.observe)
	n.wake()
}

// fence kills the server, and knows it.
func (o *operation) fence() {
	n := o.n
	over := func() {
		n.server.PID, n.server.Role, n.server.Gone, n.server.Restarting = 0, watchdog.RoleDown, true, false
		n.server.Streaming, n.server.Receiver = false, false
		n.guardPID = 0
		if n.trust.Lost {
			n.trust = watchdog.Trust{}
		}
		n.guardian.armed, n.guardian.pid = 0, 0
		o.done()
	}
	p := n.pg
	switch {
	case n.world.planted(releaseBeforeFence):
		n.kill(server, func() {})
		over()
	case n.world.planted(orphansIgnored) && p.mode == primary && p.runs():
		o.then(5*time.Millisecond, func() { p.orphan(between(n.r, 300*time.Millisecond, 4*time.Second)); over() })
	case n.world.planted(orphansIgnored) && p.orphans:
		over()
	default:
		n.kill(sidecar, func() {
			if o.over {
				return
			}
			if !p.gone() { // it was started by somebody meanwhile
				o.fence()
				return
			}
			over()
		})
	}
}

// synchronise makes the server enforce a setting, and finds a position after which every commit has waited for it.
func (o *operation) synchronise() {
	n, p := o.n, o.n.pg
	o.then(3*time.Millisecond, func() {
		if p.mode != primary || !p.runs() || p.hung {
			o.failed("the server does not answer")
			return
		}
		life := n.life[server]
		p.synchronise(o.a.Sync, func() {
			if n.life[server] == life && !o.over {
				o.then(time.Millisecond, o.done)
			}
		})
		n.after(sidecar, 5*time.Second, func() {
			if !o.over {
				o.failed("the reload has not reached every process")
			}
		})
	})
}
