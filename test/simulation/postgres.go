package simulation

import (
	"math/rand/v2"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// mode is what a PostgreSQL server does.
type mode uint8

const (
	down mode = iota
	starting
	standby
	primary
)

// postgres is one server: its disk, which outlives it, and its processes.
type postgres struct {
	n *node
	r *rand.Rand

	// on disk
	wal      wal
	flushed  int      // entries that no power loss takes away
	restart  int      // where replay begins after a restart
	set      conninfo // primary_conninfo in the file
	syncFile setting  // synchronous_standby_names in the file
	latched  bool     // standby.signal lies there
	broken   bool     // a rewind was begun and not ended
	uid      uint32   // of its own last promotion
	term     watchdog.Term

	// its processes
	mode       mode
	pid        int
	orphans    bool // the postmaster is dead and backends are not
	restarting bool
	hung       bool // nothing answers
	closed     bool // the postmaster is stopped: no new sessions
	stopping   bool // it shuts down
	replayed   int
	paused     bool     // replay
	drained    bool     // replay has reached the end since the start
	received   bool     // a receiver has run since the start
	active     conninfo // what the processes know
	receiver   *stream
	senders    []*stream
	waits      bool // commits wait for standbys at all
	syncFrom   int  // a position after which every commit has waited for the setting; 0: not known
	syncing    int  // reloads under way
	past       []uncovered
	waiting    []*commit
	flushing   bool
	fork       int // where its own last promotion left the log before it
}

// conninfo is where a standby streams from, and the term on its name.
type conninfo struct {
	upstream int // -1: nowhere
	stamp    watchdog.Term
	strange  bool // somebody else wrote it
}

var nowhere = conninfo{upstream: -1}

// setting is a value of synchronous_standby_names.
type setting = watchdog.Sync

// runs says whether the postmaster lives.
func (p *postgres) runs() bool { return p.pid != 0 }

// serves says whether old sessions can write.
func (p *postgres) writes() bool {
	return p.mode == primary && (p.runs() || p.orphans) && !p.hung && !p.stopping && !p.n.frozen
}

// gone says whether no process is left.
func (p *postgres) gone() bool { return p.pid == 0 && !p.orphans }

// start runs the server from what its disk holds: as a standby if it is latched.
func (p *postgres) start() {
	if !p.gone() || p.n.powerless {
		return
	}
	p.n.life[server]++
	p.n.pids++
	p.pid, p.mode = p.n.pids, starting
	p.hung, p.closed, p.received, p.drained, p.paused, p.restarting, p.stopping = false, false, false, false, false, false, false
	p.flushing, p.syncFrom, p.syncing = false, 0, 0
	p.active, p.replayed = p.set, min(p.restart, len(p.wal))
	p.waits = p.syncFile.K > 0
	p.n.world.trace(p.n.name, "server starts, latched=%v upstream=%d", p.latched, p.set.upstream)
	if p.broken {
		p.n.after(server, 100*time.Millisecond, func() { p.die("cannot start: half rewound") })
		return
	}
	p.n.after(server, between(p.r, 30*time.Millisecond, 300*time.Millisecond), p.up)
	p.n.sidecarLooks(5 * time.Millisecond)
}

func (p *postgres) up() {
	if !p.latched {
		p.n.world.check.promoted(p, true)
		p.mode, p.replayed = primary, len(p.wal)
		return
	}
	p.mode = standby
	p.n.after(server, between(p.r, 0, 200*time.Millisecond), p.drain)
	p.connect()
	p.n.sidecarLooks(time.Millisecond)
}

// drain replays what is there.
func (p *postgres) drain() {
	if p.mode != standby || p.paused {
		return
	}
	p.replayed, p.drained = len(p.wal), true
	p.restart = max(p.restart, len(p.wal)-p.r.IntN(10))
}

// die ends every process at once. WAL that was written and not synced is still in the kernel's memory.
func (p *postgres) die(why string) {
	if p.gone() {
		return
	}
	p.n.world.trace(p.n.name, "server is gone: %s; wal to %d", why, len(p.wal))
	p.n.life[server]++
	hadPostmaster := p.pid != 0
	p.pid, p.orphans, p.restarting = 0, false, false
	p.stopProcesses()
	p.mode = down
	if hadPostmaster {
		p.n.postmasterExits()
	}
}

func (p *postgres) stopProcesses() {
	if p.receiver != nil {
		p.receiver.hangUp()
	}
	for _, s := range p.senders {
		s.upstreamGone()
	}
	p.senders, p.waiting, p.past = nil, nil, nil
	p.restart = min(max(p.restart, len(p.wal)-20), len(p.wal))
	p.flushed = len(p.wal) // the start syncs what it finds
}

// orphan ends the postmaster alone; backends in the middle of their work go on for a while.
func (p *postgres) orphan(lasting time.Duration) {
	if !p.runs() {
		return
	}
	if p.mode != primary {
		p.die("postmaster killed")
		return
	}
	p.n.world.trace(p.n.name, "postmaster killed, backends live")
	p.pid, p.orphans = 0, true
	for _, s := range p.senders {
		s.upstreamGone()
	}
	p.senders = nil
	p.n.after(server, lasting, func() { p.die("its last backend ends") })
	p.n.postmasterExits()
}

// crashRestart is PostgreSQL's own restart after a backend's crash.
func (p *postgres) crashRestart() {
	if !p.runs() || p.mode != primary && p.mode != standby {
		return
	}
	p.n.world.trace(p.n.name, "a backend crashes: the server restarts itself")
	p.n.life[server]++
	p.flushing, p.syncFrom, p.syncing, p.waits = false, 0, 0, p.syncFile.K > 0
	p.stopProcesses()
	p.mode, p.restarting = starting, true
	p.active, p.received, p.drained = p.set, false, false
	if p.n.world.planted(noLatch) {
		p.latched = false
	}
	p.n.after(server, between(p.r, 20*time.Millisecond, 400*time.Millisecond), func() {
		p.restarting = false
		p.up()
	})
	p.n.sidecarLooks(10 * time.Millisecond)
}

// powerLoss ends every process, and takes what was not synced.
func (p *postgres) powerLoss() {
	flushed := min(p.flushed, len(p.wal))
	p.die("power loss")
	p.wal = p.wal.cut(flushed)
	p.flushed, p.restart = flushed, min(p.restart, flushed)
}

// promote makes the standby a primary on that timeline. What was laid in is replayed first.
func (p *postgres) promote(timeline watchdog.Timeline, term watchdog.Term) bool {
	if p.mode != standby || !p.runs() || p.hung {
		return false
	}
	if p.n.settingsLow {
		p.die("promotion fails: max_connections is lower than the old primary's")
		return false
	}
	p.n.world.promotions++
	p.uid, p.term = p.n.world.promotions, term
	e := entry{uid: p.uid, timeline: timeline, term: term}
	p.n.world.check.promoting(p, e)
	if p.receiver != nil {
		p.receiver.hangUp()
	}
	p.set, p.active = nowhere, nowhere
	p.fork = len(p.wal)
	p.wal = append(p.wal, e)
	p.flushed, p.replayed, p.restart = len(p.wal), len(p.wal), len(p.wal)
	p.mode, p.latched = primary, !p.n.world.planted(noLatch)
	p.n.world.trace(p.n.name, "promoted: term %d timeline %d at %d", term, timeline, len(p.wal)-1)
	if p.syncing == 0 {
		p.past = nil // a standby's settings have let no commit through
	}
	p.n.world.check.promoted(p, false)
	p.ship()
	return true
}

// end is what the sidecar finds of the end of a standby's WAL that has hung up.
func (p *postgres) end() (at int, exact bool) {
	switch {
	case p.received || p.drained && p.replayed >= len(p.wal):
		return len(p.wal), true
	default:
		return p.replayed, false
	}
}
