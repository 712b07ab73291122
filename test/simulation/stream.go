package simulation

import (
	"slices"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// stream is one connection between a walsender and a walreceiver. Each end may be gone while the other does not know.
type stream struct {
	up, down *postgres
	stamp    watchdog.Term
	strange  bool
	sync     setting // the sender's own copy
	sent     int
	acked    int // what the sender knows to be on the other's disk
	pumping  bool
	upDead   bool // the sender is gone, or has given up
	downDead bool // the receiver is gone
	stalled  int64
}

// retryEvery is PostgreSQL's wal_retrieve_retry_interval, lowered.
const retryEvery = 300 * time.Millisecond

// receiverTimeout is how long a receiver listens to a link that is dead.
const receiverTimeout = 4 * time.Second

// connect makes the standby's receiver try its upstream.
func (p *postgres) connect() {
	if p.mode != standby || !p.runs() || p.receiver != nil || p.active.upstream < 0 || p.hung {
		return
	}
	w, up := p.n.world, p.n.world.nodes[p.active.upstream].pg
	tried := p.active
	w.send(p.n.index, tried.upstream, func() {
		if p.mode == standby && p.receiver == nil && p.active == tried && w.reaches(p.n.index, tried.upstream) && up.accepts() {
			p.handshake(up)
		}
	})
	p.n.after(server, between(p.r, retryEvery/2, retryEvery), p.connect)
}

// accepts says whether a new connection is answered.
func (p *postgres) accepts() bool {
	return p.runs() && (p.mode == standby || p.mode == primary) && !p.hung && !p.closed && !p.stopping && !p.n.frozen
}

// handshake compares histories as PostgreSQL does: by timeline number and position alone.
func (p *postgres) handshake(up *postgres) {
	own := len(p.wal)
	switch {
	case up == p:
		return
	case own > up.flushed:
		p.n.diverged = up.mode == primary && up.wal.timeline() != p.wal.timeline()
		return
	case own > 0 && up.wal[own-1].timeline != p.wal[own-1].timeline:
		p.n.diverged = up.mode == primary
		return
	case own > 0 && up.wal[own-1] != p.wal[own-1]:
		p.n.world.check.fail("I5", "%s streams from %s along timeline %d, which is another's of the same number", p.n.name, up.n.name, p.wal.timeline())
	}
	p.n.diverged = false
	s := &stream{up: up, down: p, stamp: p.active.stamp, strange: p.active.strange, sync: up.syncFile, sent: own, acked: 0}
	p.receiver, p.received = s, true
	up.senders = append(up.senders, s)
	p.n.world.trace(p.n.name, "streams from %s at %d, stamp %d", up.n.name, own, s.stamp)
	p.n.sidecarLooks(5 * time.Millisecond)
	up.n.sidecarLooks(20 * time.Millisecond)
	p.flushThen(s)
	s.pump()
}

// source is the server from which the standby's WAL comes, through whatever standbys; nil: from nowhere. strange: a stranger set
// one of them to.
func (p *postgres) source() (up *postgres, strange bool) {
	up = p
	for range p.n.world.nodes {
		if up.mode != standby {
			break
		}
		if up.receiver == nil {
			return nil, strange
		}
		up, strange = up.receiver.up, strange || up.receiver.strange
	}
	return up, strange
}

// ship sends what is on this server's disk to all who stream from it.
func (p *postgres) ship() {
	for _, s := range p.senders {
		s.pump()
	}
}

// pump sends the next piece. One is on its way at a time.
func (s *stream) pump() {
	up, w := s.up, s.up.n.world
	end := up.flushed
	if up.mode == standby {
		end = min(end, max(up.replayed, up.flushed))
	}
	if s.pumping || s.upDead || s.sent >= end {
		return
	}
	s.pumping = true
	if !w.reaches(up.n.index, s.down.n.index) {
		if s.stalled == 0 {
			s.stalled = w.now
		}
		if time.Duration(w.now-s.stalled) > receiverTimeout {
			w.after(0, s.timeOut)
			return
		}
	} else {
		s.stalled = 0
	}
	if up.n.frozen || up.hung || w.net.cut[up.n.index][s.down.n.index] > 0 {
		w.after(150*time.Millisecond, func() { s.pumping = false; s.pump() })
		return
	}
	piece, from := up.wal[:end:end], s.sent
	s.sent = end
	w.after(w.delay(up.n.index, s.down.n.index), func() { s.arrive(piece, from) })
}

// arrive is a piece at the receiver: written, then synced, then acknowledged.
func (s *stream) arrive(piece wal, from int) {
	s.pumping = false
	p := s.down
	switch {
	case s.downDead || p.receiver != s:
		return
	case p.n.frozen || p.hung:
		s.pumping = true
		s.up.n.world.after(50*time.Millisecond, func() { s.arrive(piece, from) })
		return
	case len(p.wal) != from:
		return
	}
	p.n.world.check.arrives(s)
	p.wal = piece
	if !p.paused && p.drained {
		p.replayed = len(p.wal)
	}
	p.flushThen(s)
	s.pump()
}

// flushThen syncs what was received, and acknowledges it.
func (p *postgres) flushThen(s *stream) {
	if p.flushing {
		return
	}
	p.flushing = true
	p.n.after(server, p.n.fsync(), func() { p.flushedNow(s) })
}

func (p *postgres) flushedNow(s *stream) {
	p.flushing = false
	if p.n.diskStalled {
		p.flushing = true
		p.n.after(server, 50*time.Millisecond, func() { p.flushedNow(s) })
		return
	}
	p.flushed = len(p.wal)
	p.restart = max(p.restart, p.flushed-30)
	if r := p.receiver; r != nil && !r.downDead {
		r.acknowledge(p.flushed)
	}
	p.ship()
}

// acknowledge sends what is on disk. It may be on its way when the receiver is gone already.
func (s *stream) acknowledge(to int) {
	w := s.up.n.world
	w.send(s.down.n.index, s.up.n.index, func() { s.acknowledged(to) })
}

func (s *stream) acknowledged(to int) {
	up := s.up
	switch {
	case s.upDead || s.acked >= to:
	case up.n.frozen || up.hung:
		up.n.world.after(50*time.Millisecond, func() { s.acknowledged(to) })
	default:
		s.acked = to
		up.release(s.sync)
	}
}

// hangUp ends the receiver. What it had is on disk then; an acknowledgement of it that was not sent is not sent any more.
func (s *stream) hangUp() {
	if s.downDead {
		return
	}
	s.downDead = true
	if s.down.receiver == s {
		s.down.receiver = nil
		s.down.flushed = len(s.down.wal)
	}
	w := s.up.n.world
	if w.reaches(s.up.n.index, s.down.n.index) {
		w.after(w.delay(s.down.n.index, s.up.n.index), s.senderEnds)
	} else {
		w.after(receiverTimeout, s.senderEnds)
	}
}

func (s *stream) senderEnds() {
	if s.upDead {
		return
	}
	s.upDead = true
	s.up.senders = slices.DeleteFunc(s.up.senders, func(other *stream) bool { return other == s })
}

// upstreamGone: the sender's process has ended. The receiver learns it at once over a link that is whole.
func (s *stream) upstreamGone() {
	s.upDead = true
	w, d := s.up.n.world, receiverTimeout
	if w.reaches(s.up.n.index, s.down.n.index) {
		d = w.delay(s.up.n.index, s.down.n.index)
	}
	w.after(d, s.receiverEnds)
}

func (s *stream) receiverEnds() {
	if s.downDead {
		return
	}
	s.downDead = true
	if s.down.receiver == s {
		s.down.receiver = nil
		s.down.flushed = len(s.down.wal)
		s.down.n.sidecarLooks(time.Millisecond)
		s.down.connect()
	}
}

// timeOut: neither end hears the other.
func (s *stream) timeOut() {
	s.senderEnds()
	s.receiverEnds()
}
