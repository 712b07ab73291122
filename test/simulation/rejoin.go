package simulation

import (
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

func (n *node) upstream(u watchdog.Upstream) conninfo {
	if u.Name == "" {
		return nowhere
	}
	return conninfo{upstream: n.world.named(u.Name).index, stamp: u.Term}
}

// repoint rewrites primary_conninfo, by reload or by restart.
func (o *operation) repoint(restart bool) {
	n, p := o.n, o.n.pg
	o.then(10*time.Millisecond, func() {
		if !p.runs() || p.mode != standby {
			o.failed("the server is no running standby")
			return
		}
		p.set = n.upstream(o.a.Upstream)
		if restart {
			p.die("restarted by its sidecar")
			p.start()
			o.done()
			return
		}
		life := n.life[server]
		n.after(server, p.reloadTime(), func() {
			if n.life[server] == life && p.mode == standby {
				p.reload()
				p.connect()
			}
		})
		o.then(5*time.Millisecond, o.done)
	})
}

// start runs a stopped server as a standby, unless its WAL goes on past the place where the upstream's leaves it.
func (o *operation) start() {
	n, p, c := o.n, o.n.pg, o.v.Cluster
	o.then(20*time.Millisecond, func() {
		if n.diskStalled {
			o.failed("its storage does not answer")
			return
		}
		if p.broken {
			o.land(watchdog.Flight{Failed: o.a.Kind, Diverged: true})
			return
		}
		if timeline := c.TimelineBefore(c.Record.Timeline); o.a.Upstream.Timeline > timeline {
			fork := c.ForkAfter(timeline)
			if p.wal.timeline() == timeline && fork != 0 && lsn(len(p.wal)) > fork {
				n.world.trace(n.name, "not started: its WAL goes on to %d, and the fork is at %d", len(p.wal), entries(fork))
				o.land(watchdog.Flight{Failed: o.a.Kind, Diverged: true})
				return
			}
		}
		if !p.gone() {
			o.failed("it runs already")
			return
		}
		p.set, p.latched = n.upstream(o.a.Upstream), true
		p.start()
		o.done()
	})
}

// source is the running primary that a rewind or clone copies from.
func (o *operation) source() (*postgres, bool) {
	up := o.n.world.named(o.a.Upstream.Name)
	return up.pg, up.pg.mode == primary && up.pg.accepts() && o.n.world.reaches(o.n.index, up.index)
}

// rewind takes the server back to the upstream's history. A crash in the middle leaves it unable to start.
func (o *operation) rewind() {
	n, p := o.n, o.n.pg
	if !o.v.Server.Gone {
		fork := o.v.Cluster.ForkAfter(p.wal.timeline())
		if (fork == 0 || lsn(len(p.wal)) <= fork) && !o.v.Server.Diverged {
			o.then(5*time.Millisecond, func() { o.failed("not rewound: the upstream has all that we have") })
			return
		}
	}
	o.then(30*time.Millisecond, func() {
		up, ready := o.source()
		if !ready {
			o.failed("the upstream does not answer")
			return
		}
		if n.noRewind {
			o.land(watchdog.Flight{Failed: o.a.Kind, NotPossible: true})
			return
		}
		p.die("stopped for a rewind")
		o.then(100*time.Millisecond, func() {
			n.world.check.discards(p, up)
			p.broken = true
			o.then(200*time.Millisecond, func() {
				if up, ready = o.source(); !ready {
					o.failed("the upstream was lost in the middle of a rewind")
					return
				}
				o.copied(up)
			})
		})
	})
}

// clone copies the upstream beside, and swaps.
func (o *operation) clone() {
	n, p := o.n, o.n.pg
	o.then(30*time.Millisecond, func() {
		p.die("stopped for a clone")
		o.then(800*time.Millisecond, func() {
			up, ready := o.source()
			if !ready {
				o.failed("the upstream does not answer")
				return
			}
			n.world.check.discards(p, up)
			o.copied(up)
		})
	})
}

func (o *operation) copied(up *postgres) {
	p := o.n.pg
	if !p.gone() {
		o.failed("somebody started it")
		return
	}
	p.wal = up.wal.cut(up.flushed)
	p.flushed, p.restart, p.broken, p.latched = len(p.wal), len(p.wal), false, true
	p.set = o.n.upstream(o.a.Upstream)
	o.n.diverged = false
	p.start()
	o.done()
}
