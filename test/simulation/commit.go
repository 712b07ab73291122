package simulation

import (
	"slices"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// commit is a transaction that waits: for the disk, then for standbys.
type commit struct {
	at   int // its entry's place in the log
	e    entry
	done func(ok bool)
}

// write is a session's commit. done is called once when it is acknowledged, and never if it is not.
func (p *postgres) write(id uint32, done func(bool)) {
	e := entry{id: id, uid: p.uid, timeline: p.wal.timeline(), term: p.term}
	p.n.world.check.accepts(p)
	p.wal = append(p.wal, e)
	p.replayed = len(p.wal)
	p.waiting = append(p.waiting, &commit{at: len(p.wal) - 1, e: e, done: done})
	p.syncWAL()
}

func (p *postgres) syncWAL() {
	if p.flushing || p.flushed == len(p.wal) {
		return
	}
	p.flushing = true
	to := len(p.wal)
	p.n.after(server, p.n.fsync(), func() { p.synced(to) })
}

func (p *postgres) synced(to int) {
	p.flushing = false
	if p.n.diskStalled || p.hung {
		p.flushing = true
		p.n.after(server, 50*time.Millisecond, func() { p.synced(to) })
		return
	}
	p.flushed = max(p.flushed, to)
	p.restart = max(p.restart, p.flushed-30)
	if !p.waits {
		p.acknowledge(p.flushed)
	}
	p.ship()
	p.syncWAL()
}

// acknowledge answers every session whose commit lies before that place.
func (p *postgres) acknowledge(before int) {
	before = min(before, p.flushed)
	i := 0
	for ; i < len(p.waiting) && p.waiting[i].at < before; i++ {
		c := p.waiting[i]
		p.n.world.check.acknowledges(p, c)
		c.done(true)
	}
	p.waiting = p.waiting[i:]
}

// counts says whether a sender counts towards the setting.
func (p *postgres) counts(s *stream, by setting) bool {
	return (s.stamp == by.Term || p.n.world.planted(namesUnstamped)) && slices.Contains(by.Voters, s.down.n.name)
}

// release lets those commits go that enough standbys have, by the setting that one walsender knows.
func (p *postgres) release(by setting) {
	if by.K == 0 || p.mode != primary || len(p.waiting) == 0 {
		return
	}
	p.acknowledge(p.reached(by))
}

// reached is the place up to which K of the voters have the log, as far as the server knows.
func (p *postgres) reached(by setting) int {
	var have [maxHosts]int
	n := 0
	for _, name := range by.Voters {
		best := -1
		for _, s := range p.senders {
			if s.down.n.name == name && p.counts(s, by) {
				best = max(best, s.acked)
			}
		}
		if best >= 0 {
			have[n] = best
			n++
		}
	}
	if n < by.K {
		return 0
	}
	slices.Sort(have[:n])
	return have[n-by.K]
}

// synchronise writes the setting and reloads. Every process takes it in its own time; then is called when all have.
func (p *postgres) synchronise(s setting, then func()) {
	p.past = append(p.past, uncovered{set: p.syncFile})
	p.syncFile, p.syncFrom = s, 0
	p.syncing++
	left := 1 + len(p.senders)
	taken := func() {
		if left--; left > 0 {
			return
		}
		p.syncing--
		if p.syncing == 0 {
			p.syncFrom = p.flushed
			p.closePast()
		}
		then()
	}
	for _, sender := range p.senders {
		p.n.after(server, p.reloadTime(), func() { sender.sync = p.syncFile; p.release(sender.sync); taken() })
	}
	p.n.after(server, p.reloadTime(), func() {
		p.waits = p.syncFile.K > 0
		if !p.waits && p.mode == primary {
			p.acknowledge(p.flushed)
		}
		taken()
	})
	p.n.world.check.covered(p)
}

func (p *postgres) reloadTime() time.Duration {
	if chance(p.r, 0.05) {
		return between(p.r, 100*time.Millisecond, time.Second)
	}
	return between(p.r, time.Millisecond, 30*time.Millisecond)
}

// uncovered is an earlier setting, whose commits up to a place may not be where the present one puts them. 0: it is still in
// force somewhere.
type uncovered struct {
	set setting
	to  int
}

// closePast: the present setting has reached every process. Commits under the ones before lie before this place.
func (p *postgres) closePast() {
	for i := range p.past {
		if p.past[i].to == 0 {
			p.past[i].to = max(p.flushed, 1)
		}
	}
}

// coverPast forgets the settings whose commits the present one has put on enough disks, in truth.
func (p *postgres) coverPast() {
	if len(p.past) == 0 || p.syncing > 0 {
		return
	}
	p.past = slices.DeleteFunc(p.past, func(u uncovered) bool {
		if u.to == 0 {
			return false
		}
		n := 0
		for _, name := range p.syncFile.Voters {
			if other := p.n.world.named(name).pg; other.flushed >= u.to && other.wal.has(u.to-1, p.wal[u.to-1]) {
				n++
			}
		}
		return n >= p.syncFile.K
	})
}

// client writes through a session, to a server that it finds to be primary.
type client struct {
	w       *world
	at      *postgres
	uid     uint32 // the promotion whose server the session belongs to
	started int64  // of the write under way
	busy    bool
	fresh   bool // each write in a session of its own
	serial  uint64
	every   time.Duration
}

func (c *client) turn() {
	w := c.w
	w.after(between(w.clientRand, c.every/2, c.every*3/2), c.turn)
	if c.busy {
		if time.Duration(w.now-c.started) < 1500*time.Millisecond {
			return
		}
		c.busy = false // outcome unknown; the session may be kept
		c.serial++
		if chance(w.clientRand, 0.5) {
			c.at = nil
		}
	}
	if c.fresh {
		c.open()
	}
	if c.at == nil || c.at.mode != primary || c.at.uid != c.uid || c.at.gone() {
		if c.open(); c.at == nil {
			return
		}
	}
	if !c.at.writes() {
		return
	}
	c.busy, c.started = true, w.now
	c.serial++
	serial := c.serial
	w.writes++
	c.at.write(w.writes, func(bool) {
		if c.serial == serial {
			c.busy = false
		}
	})
}

// open finds a server that takes a new session and accepts writes.
func (c *client) open() {
	c.at = nil
	n := c.w.nodes[c.w.clientRand.IntN(len(c.w.nodes))]
	if n.pg.accepts() && n.pg.mode == primary {
		c.at, c.uid = n.pg, n.pg.uid
	}
}

// streamedAs is what the server says of those who stream from it.
func (p *postgres) downstream() []watchdog.Downstream {
	if len(p.senders) == 0 {
		return nil
	}
	list := make([]watchdog.Downstream, 0, len(p.senders))
	for _, s := range p.senders {
		list = append(list, watchdog.Downstream{Name: s.down.n.name, Term: s.stamp, Streaming: true, Flushed: lsn(s.acked), Replayed: lsn(s.acked)})
	}
	return list
}
