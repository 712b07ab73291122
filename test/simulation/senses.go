package simulation

import (
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// look is one observation of the server, without what only time shows.
func (n *node) look() watchdog.Server {
	p := n.pg
	s := watchdog.Server{
		PID: p.pid, Gone: p.gone(), SystemID: "7", ServerVersion: 160000, Timeline: p.wal.timeline(), Latched: p.latched,
		Restarting: p.restarting, Upstream: "", Sync: p.syncFile, SyncFrom: lsn(p.syncFrom), ReplayPaused: p.paused,
	}
	if n.world.planted(orphansIgnored) {
		s.Gone = p.pid == 0
	}
	if p.set.upstream >= 0 {
		s.Upstream, s.Stamp = n.world.nodes[p.set.upstream].address, p.set.stamp
	}
	switch {
	case p.gone() || p.pid == 0:
		s.Role = watchdog.RoleDown
		s.Upstream, s.Stamp = "", 0
	case p.hung:
		s.Role = watchdog.RoleUnknown
	case p.mode == starting:
		s.Role = watchdog.RoleStarting
	case p.mode == standby:
		s.Role = watchdog.RoleStandby
		s.Replayed = lsn(p.replayed)
		if p.received {
			s.Received = lsn(p.flushed)
		}
		s.Receiver = p.receiver != nil
		s.Streaming = p.receiver != nil
		s.Diverged = n.diverged && p.receiver == nil
	case p.mode == primary:
		s.Role = watchdog.RolePrimary
		s.Received = lsn(p.flushed)
		s.Replayed = s.Received
		s.Standbys = p.downstream()
	}
	if n.settingsLow && s.Role == watchdog.RoleStandby {
		s.Vetoes = []watchdog.Veto{watchdog.VetoSettingsLower}
	}
	return s
}

func (n *node) observeLoop() {
	n.observe()
	d := time.Second
	switch n.server.Role {
	case watchdog.RoleStarting, watchdog.RoleUnknown:
		d = 50 * time.Millisecond
	case watchdog.RoleStandby:
		if !n.server.Streaming {
			d = 100 * time.Millisecond
		}
	}
	n.after(sidecar, d, n.observeLoop)
}

// observe looks at the server. What was seen before an operation ended is worth nothing.
func (n *node) observe() {
	s, old, now := n.look(), n.server, n.local()
	s.AnsweredAt, s.ConnectedAt, s.StartedAt = old.AnsweredAt, old.ConnectedAt, old.StartedAt
	if s.PID != old.PID {
		s.AnsweredAt, s.ConnectedAt, s.StartedAt = now, now, now
	}
	if s.Role != watchdog.RoleUnknown && s.PID != 0 {
		s.AnsweredAt = now
	}
	if s.PID == old.PID {
		s.Timeline = max(s.Timeline, old.Timeline)
	}
	if s.Role == watchdog.RoleUnknown && s.PID == old.PID && !s.Restarting || s.PID == 0 || s.Restarting {
		s.Timeline, s.Received, s.Replayed, s.Standbys = old.Timeline, old.Received, old.Replayed, old.Standbys
	}
	for _, d := range s.Standbys {
		if d.Streaming && d.Term == n.trust.Term && d.Term != 0 && s.Role == watchdog.RolePrimary {
			if peer, known := n.peers[d.Name]; known {
				peer.StreamedAt = now
				n.peers[d.Name] = peer
			}
		}
	}
	changed := s.PID != old.PID || s.Role != old.Role || s.Gone != old.Gone || s.Streaming != old.Streaming || s.Upstream != old.Upstream ||
		s.Restarting != old.Restarting || n.mustLook || len(s.Standbys) != len(old.Standbys)
	n.server, n.mustLook = s, false
	if changed {
		n.wake()
		n.protect()
	}
}

func (n *node) postmasterExited() {
	if n.pg.pid != 0 {
		return
	}
	n.server.PID, n.server.Role, n.server.Gone, n.server.Streaming, n.server.Receiver = 0, watchdog.RoleDown, false, false, false
	n.wake()
	n.after(sidecar, between(n.r, time.Millisecond, 10*time.Millisecond), n.observe)
}

// knockLoop opens new connections to our own server: a stopped postmaster answers on old ones only.
func (n *node) knockLoop() {
	if p := n.pg; p.pid != 0 && !p.hung && !p.closed {
		n.server.ConnectedAt = n.local()
	}
	n.after(sidecar, time.Second, n.knockLoop)
}

func (n *node) storageLoop() {
	switch {
	case n.pg.pid == 0 || !n.diskStalled:
		n.storing = 0
	case n.storing == 0:
		n.storing = n.local()
	}
	n.after(sidecar, time.Second, n.storageLoop)
}

// guardLoop keeps a guard for the server that runs.
func (n *node) guardLoop() {
	n.protect()
	d := 5 * time.Second
	if n.server.PID != n.guardPID {
		d = 50 * time.Millisecond
	}
	n.after(sidecar, d, n.guardLoop)
}

func (n *node) protect() {
	pid := n.server.PID
	if pid == 0 || pid == n.guardPID {
		return
	}
	n.after(sidecar, between(n.r, time.Millisecond, 15*time.Millisecond), func() {
		if pid != n.server.PID || pid == n.guardPID || pid != n.pg.pid {
			return
		}
		if g := &n.guardian; g.pid != pid {
			n.life[guard]++
			g.pid, g.armed, g.firing = pid, 0, false
		}
		n.guardPID = pid
		n.feedGuard()
		n.wake()
	})
}

// guardDies is seen by the sidecar at once.
func (n *node) guardDies() {
	n.life[guard]++
	n.guardian = guardian{set: n.guardian.set + 1}
	n.after(sidecar, 2*time.Millisecond, func() {
		n.guardPID = 0
		n.wake()
		n.protect()
	})
}

func (n *node) feedGuard() {
	if n.trust.Term != 0 && !n.trust.Lost && n.guardPID != 0 && n.trust.Live(n.policy(), n.local()) {
		n.arm(n.trust.FenceAt(n.policy()))
	}
}

// readLoop reads now and then, and as often as silence or an election asks for.
func (n *node) readLoop() {
	n.readNow()
	renewal, d := n.policy().Renewal.D(), 5*time.Second
	c := n.cluster
	leads := c != nil && c.Leader == n.name && n.leased
	switch {
	case leads && n.readAt.Since(n.memory.SilentSince) > 2*renewal:
		d = renewal / 5
	case leads, c == nil, n.readGap, n.trust.Term != 0 && !n.leased, c.Record == nil, c.Record.Phase != watchdog.PhaseNormal:
		d = renewal
	}
	n.after(sidecar, d, n.readLoop)
}

// readNow makes one read; one at a time.
func (n *node) readNow() {
	if !n.running {
		return
	}
	if n.reading {
		n.readAgain = true
		return
	}
	n.reading = true
	n.reads++
	number, sent := n.reads, n.local()
	n.fetch(n.policy().RenewalDeadline.D(), func(c *watchdog.Cluster) {
		n.reading = false
		switch {
		case c == nil:
			n.readGap = true
			n.after(sidecar, n.policy().Renewal.D(), n.readNow)
		case number >= n.mustRead:
			n.mustRead, n.cluster, n.readAt = 0, c, sent
		}
		n.wake()
		if n.readAgain {
			n.readAgain = false
			n.readNow()
		}
	})
}

// mustReadAnew makes the present view of etcd worth nothing for further changes.
func (n *node) mustReadAnew() {
	n.mustRead = n.reads + 1
	n.readNow()
}
