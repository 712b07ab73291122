package simulation

import (
	"errors"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// handOver says how far our WAL reaches, surrenders, and names the heir, in one transaction.
func (o *operation) handOver() {
	n := o.n
	timeline := o.v.Cluster.Record.Timeline
	if o.v.Cluster.Record.Phase == watchdog.PhasePromoting && o.v.Server.Timeline != 0 {
		timeline = o.v.Server.Timeline
	}
	o.then(10*time.Millisecond, func() {
		tail := watchdog.Tail{From: n.name, API: n.address, Token: n.name, Timeline: timeline, Whole: true}
		heir := o.a.Heir
		if n.diskStalled {
			tail.Whole = false
			if o.v.Cluster.Record.Durability.Mode == watchdog.ModeQuorum {
				heir = ""
			}
		} else {
			tail.End = lsn(len(n.pg.wal)) + 4096 // the end of the last page with a valid header
		}
		reason := n.fencedFor
		if reason == "" || reason == watchdog.ReasonLeftBehind {
			reason = watchdog.ReasonServerExited
		}
		o.then(time.Millisecond, func() { o.surrender(watchdog.HandOverChange(o.v, reason, heir, tail)) })
	})
}

func (o *operation) surrender(c watchdog.Change) {
	n, term := o.n, o.v.Cluster.Record.Term
	o.change(n.world.edited(n, c), func(_ int64, out outcome) {
		if out == unknownOutcome && n.world.planted(surrenderForgotten) && n.pg.gone() {
			n.pg.latched = false // taken for failed: the same server goes on in the same term
			n.pg.start()
			n.trust = watchdog.Trust{Term: term, From: n.local(), Rev: o.v.Cluster.PrimaryTermRev}
			n.renewTerm = term
		}
		if out != applied {
			o.failed("hand-over not acknowledged")
			return
		}
		n.trust, n.renewTerm, n.fencedFor = watchdog.Trust{}, 0, ""
		o.done()
	})
}

// promote takes the term while it fetches the tail, promotes when both are done, and settles. Run again, it goes on.
func (o *operation) promote() {
	n := o.n
	cluster := *o.v.Cluster
	o.v.Cluster = &cluster
	n.after(sidecar, o.v.Policy.PromoteWait.D(), func() {
		if !o.over {
			o.failed("not promoted in its bound")
		}
	})
	timeline, ok := o.pickTimeline()
	if !ok {
		o.failed("taken, and not in the ledger")
		return
	}
	left, why := 2, ""
	both := func(problem string) {
		if problem != "" {
			why = problem
		}
		if left--; left > 0 {
			return
		}
		if o.refused {
			o.land(watchdog.Flight{Failed: o.a.Kind, NotPossible: true})
			return
		}
		if why != "" {
			o.failed(why)
			return
		}
		o.then(time.Millisecond, func() { o.enforceNext(timeline) })
	}
	o.take(timeline, both)
	if o.v.Server.Role == watchdog.RoleStandby {
		o.fetchTail(both)
	} else {
		o.fetched.Failed = n.journal.tailLeft == o.v.Cluster.Record.Term
		both("")
	}
}

func (o *operation) pickTimeline() (watchdog.Timeline, bool) {
	r := o.v.Cluster.Record
	if r.Taken {
		for _, e := range o.v.Cluster.Ledger {
			if e.Term == r.Term {
				return e.Timeline, true
			}
		}
		return o.n.pg.wal.timeline() + 1, o.n.world.planted(ledgerAfterwards)
	}
	if o.n.world.planted(timelineAsTerm) {
		return o.n.pg.wal.timeline() + 1, true
	}
	return max(o.n.pg.wal.timeline()+1, o.v.Cluster.NextTimeline(o.v.Server.Timeline)), true
}

func (o *operation) take(timeline watchdog.Timeline, then func(problem string)) {
	n, r := o.n, o.v.Cluster.Record
	if n.local().Since(n.leaseFrom) > o.v.Policy.Renewal.D()+o.v.Policy.RenewalDeadline.D() { // else the trust would be over when it begins
		at := n.local()
		n.keepLease(func(ok bool) {
			if ok {
				n.leaseFrom = at
			}
			switch {
			case o.over:
			case !ok:
				then("the lease could not be renewed")
			default:
				o.take(timeline, then)
			}
		})
		return
	}
	sent, sentTrue := n.local(), n.world.now
	if r.Taken { // before this process, or at an earlier try
		if n.trust.Term == r.Term && n.trust.Live(o.v.Policy, n.local()) {
			then("")
			return
		}
		renew := watchdog.RetakeChange(o.v)
		o.change(renew, func(rev int64, out outcome) {
			if out != applied {
				then("the term could not be renewed")
				return
			}
			n.hold(r.Term, sent, sentTrue, rev)
			then("")
		})
		return
	}
	n.journal.admitted.Held = r.Term
	change := watchdog.TakeChange(o.v, timeline)
	if n.world.planted(ledgerAfterwards) {
		change.Ledger = nil
	}
	o.change(change, func(rev int64, out outcome) {
		switch {
		case out == leaseLost:
			n.leased = false
			n.renewNow()
			fallthrough
		case out != applied:
			then("the term could not be taken")
			return
		}
		o.v.Cluster.Record, o.v.Cluster.RecordRev = change.Record, rev
		n.hold(r.Term, sent, sentTrue, rev)
		then("")
	})
}

// fetchTail hangs up, and lays in what the one before had and we have not.
func (o *operation) fetchTail(then func(problem string)) {
	n, p, w := o.n, o.n.pg, o.n.world
	o.hangUp(func() {
		tail := o.v.Cluster.Record.Tail
		if tail == nil || tail.From == n.name || tail.Here(lsn(len(p.wal)), p.wal.timeline()) {
			then("")
			return
		}
		from := w.named(tail.From)
		o.fetched.Own = lsn(len(p.wal))
		answered := false
		judge := func(whole bool) {
			if !answered && !o.over {
				answered, o.fetched.Failed = true, !whole
				o.judgeTail(then)
			}
		}
		n.after(sidecar, o.v.Policy.TailWait.D(), func() { judge(false) })
		if tail.End == 0 {
			judge(false)
			return
		}
		w.send(n.index, from.index, func() {
			if !from.running || from.stopped(sidecar) || from.diskStalled {
				return
			}
			piece := from.pg.wal
			end := min(entries(tail.End), len(piece))
			w.send(from.index, n.index, func() {
				if !o.over && !n.stopped(sidecar) && !answered {
					whole := p.layIn(piece, end)
					o.fetched.Reached = lsn(len(p.wal))
					judge(whole)
				}
			})
		})
	})
}

// judgeTail goes on, gives the term back, or has it tried again.
func (o *operation) judgeTail(then func(problem string)) {
	r := o.v.Cluster.Record
	switch verdict := r.JudgeTail(o.fetched); {
	case verdict != nil:
		o.refused = errors.Is(verdict, watchdog.ErrTailRefused)
		then(verdict.Error())
	default:
		if o.fetched.Failed {
			o.n.journal.tailLeft = r.Term
		}
		then("")
	}
}

// at is the entry at that place, if there is one.
func (w wal) at(i int) entry {
	if i < 0 || i >= len(w) {
		return entry{}
	}
	return w[i]
}

// layIn adds another's WAL behind our own, where ours is the beginning of it. False: it does not reach that end.
func (p *postgres) layIn(piece wal, end int) bool {
	own := len(p.wal)
	if end < own || p.mode != standby || own > 0 && piece[own-1] != p.wal[own-1] {
		return end <= own && end > 0 && p.wal[end-1] == piece.at(end-1)
	}
	p.wal = piece.cut(end)
	p.flushed, p.replayed = end, end
	return true
}

// enforceNext sets what the server is to enforce from its first commit on, and lets the next voters catch up for a moment.
func (o *operation) enforceNext(timeline watchdog.Timeline) {
	n, p, r := o.n, o.n.pg, o.v.Cluster.Record
	switch {
	case r.Next == nil || p.mode == primary:
		o.promoteServer(timeline)
		return
	case p.mode != standby:
		o.failed("the server does not take the setting")
		return
	}
	p.drain()
	next := r.Next.Sync(r.Term)
	p.synchronise(next, func() {})
	until := n.local().Add(time.Second)
	var poll func()
	poll = func() {
		if p.syncing == 0 && (p.reached(next) >= len(p.wal) || n.local() > until) {
			o.then(time.Millisecond, func() { o.promoteServer(timeline) })
			return
		}
		o.then(10*time.Millisecond, poll)
	}
	poll()
}

func (o *operation) promoteServer(timeline watchdog.Timeline) {
	n, p, r := o.n, o.n.pg, o.v.Cluster.Record
	if p.mode == primary && p.runs() && p.term == r.Term {
		o.settle(timeline)
		return
	}
	if p.wal.timeline() >= timeline {
		o.land(watchdog.Flight{Failed: o.a.Kind, NotPossible: true}) // it was promoted, and came up as a standby since
		return
	}
	life := n.life[server]
	o.then(60*time.Millisecond, func() {
		if n.life[server] != life || !p.promote(timeline, r.Term) {
			o.failed("the server was not promoted")
			return
		}
		n.epoch++
		n.server.Role, n.server.Timeline, n.server.Latched = watchdog.RolePrimary, timeline, true
		n.server.Received = max(lsn(p.fork), n.server.Received)
		o.then(time.Millisecond, func() { o.settle(timeline) })
	})
}

// settle writes that we accept writes, until it is known to be written.
func (o *operation) settle(timeline watchdog.Timeline) {
	n := o.n
	change := n.world.edited(n, watchdog.SettleChange(o.v, timeline, lsn(n.pg.fork), o.fetched))
	o.change(change, func(_ int64, out outcome) {
		if out == applied {
			o.done()
			return
		}
		n.fetch(o.v.Policy.RenewalDeadline.D(), func(c *watchdog.Cluster) {
			if o.over {
				return
			}
			if c != nil && c.Record != nil {
				if c.Record.Term != o.v.Cluster.Record.Term || c.Record.Phase == watchdog.PhaseNormal {
					o.done()
					return
				}
				copied := *c
				o.v.Cluster = &copied
			}
			o.then(20*time.Millisecond, func() { o.settle(timeline) })
		})
	})
}
