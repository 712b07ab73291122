package simulation

import (
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// hangUp detaches a running standby for good, and goes on when no receiver is left.
func (o *operation) hangUp(then func()) {
	n, p := o.n, o.n.pg
	life := n.life[server]
	p.set = nowhere
	if n.world.planted(hungUpBySetting) {
		n.after(server, between(n.r, 500*time.Millisecond, 3*time.Second), func() { p.reload() })
		o.then(time.Millisecond, then)
		return
	}
	o.then(15*time.Millisecond, func() {
		if n.life[server] == life && p.mode == standby && p.set == nowhere {
			p.reload()
		}
		then()
	})
}

// reload has the processes know what the file says; a receiver whose upstream it changes ends.
func (p *postgres) reload() {
	if p.active == p.set {
		return
	}
	p.active = p.set
	if p.receiver != nil {
		p.receiver.hangUp()
	}
	p.connect()
}

// vote promises the term, durably and before anything else, hangs up, and publishes the exact position.
func (o *operation) vote() {
	n, p, w := o.n, o.n.pg, o.n.world
	term := o.a.Ballot
	if own := &n.journal.admitted; term > o.v.Cluster.Record.Term {
		own.Advance = max(own.Advance, term)
	} else {
		own.Promised = max(own.Promised, term)
	}
	early := len(p.wal)
	o.then(2*time.Millisecond, func() {
		if w.planted(positionTooEarly) {
			o.then(60*time.Millisecond, func() { o.hangUp(func() { o.publish(early, true) }) })
			return
		}
		o.hangUp(func() {
			o.then(5*time.Millisecond, func() {
				if p.mode != standby || !p.runs() || p.hung {
					o.failed("the server does not say where its WAL ends")
					return
				}
				end, exact := p.end()
				o.publish(end, exact)
			})
		})
	})
}

func (o *operation) publish(end int, exact bool) {
	n, p, w := o.n, o.n.pg, o.n.world
	last := o.v.Cluster.Record.LastTaker
	b := watchdog.Ballot{
		Term: o.a.Ballot, Member: n.name, Incarnation: o.v.Me.Incarnation, Timeline: p.wal.cut(end).timeline(), End: lsn(end), Exact: exact,
		Fenced: last.Name == n.name && last.Incarnation == o.v.Me.Incarnation, Vetoes: o.v.Self().Vetoes, Token: n.name, API: n.address,
		Priority: n.priority, Site: n.site, Cascade: o.v.Memory.Cascades,
	}
	if w.planted(timelineFromControlFile) {
		b.Timeline = p.wal.cut(min(p.restart, end)).timeline()
	}
	c := watchdog.BallotChange(o.v, b)
	if w.planted(ballotUncompared) {
		c.If = watchdog.If{}
	}
	o.then(time.Millisecond, func() {
		w.trace(n.name, "ballot for term %d: %d on timeline %d exact=%v fenced=%v", b.Term, end, b.Timeline, exact, b.Fenced)
		w.check.balloted(n, b)
		o.change(c, func(_ int64, out outcome) {
			switch {
			case out == unknownOutcome:
				o.failed("ballot not acknowledged")
			case !exact:
				o.failed("the end of WAL is not known exactly")
			default:
				o.done()
			}
		})
	})
	if w.planted(archiveReadOn) {
		n.after(server, 20*time.Millisecond, p.readArchive)
	}
}

// readArchive is a standby on 13 or below that goes on from an archive after it has hung up.
func (p *postgres) readArchive() {
	for _, other := range p.n.world.nodes {
		if w := other.pg.wal; p.mode == standby && len(w) > len(p.wal) && len(p.wal) > 0 && w[len(p.wal)-1] == p.wal[len(p.wal)-1] {
			p.n.world.check.readsOn(p)
			p.wal = w.cut(len(w))
			p.flushed, p.replayed = len(p.wal), len(p.wal)
		}
	}
	if p.mode == standby && p.set == nowhere {
		p.n.after(server, 100*time.Millisecond, p.readArchive)
	}
}

// withdraw takes a ballot given in advance back: acknowledged first, forgotten after.
func (o *operation) withdraw() {
	n := o.n
	b := o.v.Cluster.Advance[n.name].Ballot
	b.Term, b.Member, b.Incarnation, b.Withdrawn, b.API = o.a.Ballot, n.name, o.v.Me.Incarnation, true, n.address
	c := watchdog.BallotChange(o.v, b)
	o.then(time.Millisecond, func() {
		o.change(c, func(_ int64, out outcome) {
			if out != applied {
				o.failed("the withdrawal was not acknowledged")
				return
			}
			n.journal.admitted.Advance = 0
			n.world.check.withdraws(n)
			o.done()
		})
	})
}
