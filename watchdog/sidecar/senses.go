package sidecar

import (
	"context"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// The senses: each is a goroutine that notes what it sees and wakes the loop when that matters.

// watch asks for a read whenever a key has changed.
func (s *Sidecar) watch(ctx context.Context) {
	for range s.options.Store.Watch(ctx) {
		signal(s.reread)
	}
}

// read makes linearizable reads: when asked, each second where we lead or the record is not at rest, and now and then.
func (s *Sidecar) read(ctx context.Context) {
	for ctx.Err() == nil {
		s.readOnce(ctx)
		wait := time.NewTimer(s.readEvery())
		select {
		case <-ctx.Done():
		case <-s.reread:
		case <-wait.C:
		}
		wait.Stop()
	}
}

// readEvery: the leader counts silence by reads that succeed all along; the others rely on the watch.
func (s *Sidecar) readEvery() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.state
	renewal := s.policy().Renewal.D()
	leads := st.view.Me.CampaignKey != "" && st.cluster != nil && st.cluster.LeaderKey == st.view.Me.CampaignKey
	switch {
	case leads && st.readAt.Since(st.memory.SilentSince) > 2*renewal:
		return renewal / 5
	case leads, st.cluster == nil, st.readGap, st.trust.Term != 0 && !st.leased,
		st.cluster.Record == nil, st.cluster.Record.Phase != watchdog.PhaseNormal:
		return renewal
	}
	return 5 * time.Second
}

func (s *Sidecar) readOnce(ctx context.Context) {
	var number uint64
	var budget time.Duration
	s.with(func(st *state) {
		st.reads++
		number, budget = st.reads, s.policy().RenewalDeadline.D()
	})
	sent := s.now()
	bounded, cancel := context.WithTimeout(ctx, budget)
	cluster, err := s.options.Store.Read(bounded)
	cancel()
	if ctx.Err() != nil {
		return
	}
	s.with(func(st *state) {
		if err != nil {
			st.counters.StoreReadErrors++
			if !st.readGap {
				s.log.Debug("etcd not read", "error", err)
			}
			st.readGap = true
			return
		}
		if number < st.mustRead {
			return
		}
		st.mustRead = 0
		st.cluster, st.readAt = &cluster, sent
	})
	signal(s.wake)
}

// mustReadAnew makes the present view of etcd worth nothing for further changes. The mutex is held.
func (s *Sidecar) mustReadAnew() {
	s.state.mustRead = s.state.reads + 1
	signal(s.reread)
}

// observe looks at the server each second, and at once when its postmaster exits, its kept connection breaks, or it is asked.
func (s *Sidecar) observe(ctx context.Context) {
	exited, pid := s.options.Postgres.Exited()
	for ctx.Err() == nil {
		if s.observeOnce(ctx) != pid || exited == nil {
			exited, pid = s.options.Postgres.Exited()
		}
		wait := time.NewTimer(s.observeEvery())
		select {
		case <-ctx.Done():
		case <-exited:
			s.postmasterExited()
			exited, pid = nil, 0
		case <-s.options.Postgres.Broken():
		case <-s.look:
		case <-wait.C:
		}
		wait.Stop()
	}
}

// observeEvery: at rest each second; on the way somewhere, as fast as the way is.
func (s *Sidecar) observeEvery() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state.server.Role {
	case watchdog.RoleStarting, watchdog.RoleUnknown:
		return 50 * time.Millisecond
	case watchdog.RoleStandby:
		if r := s.state.cluster; !s.state.server.Streaming || r != nil && r.Record != nil && s.state.server.Timeline < r.Record.Timeline {
			return 100 * time.Millisecond // it is about to stream, or does without knowing the timeline yet
		}
	case watchdog.RolePrimary:
		return s.observePrimaryEvery()
	}
	return time.Second
}

// observePrimaryEvery: while voters change, as fast as they do; in quorum so often that one who is gone is missed in time. The
// mutex is held.
func (s *Sidecar) observePrimaryEvery() time.Duration {
	st := &s.state
	most := time.Second
	if st.cluster != nil && st.cluster.Record != nil && st.cluster.Record.Durability.Mode == watchdog.ModeQuorum {
		most = min(most, s.policy().Detection.D()/2)
	}
	switch st.decision.Reason {
	case watchdog.ReasonSynchronise, watchdog.ReasonVoters, watchdog.ReasonSettling:
		if st.memory.ShortSince == 0 {
			return 20 * time.Millisecond
		}
		return min(most, 200*time.Millisecond)
	}
	return most
}

// postmasterExited is the fastest evidence there is. What the server left behind is not known yet.
func (s *Sidecar) postmasterExited() {
	s.with(func(st *state) {
		st.epoch++
		st.noticedAt = s.now()
		st.server.PID, st.server.Role, st.server.Gone, st.server.Streaming, st.server.Receiver = 0, watchdog.RoleDown, false, false, false
	})
	s.log.Info("postmaster exited")
	signal(s.wake)
}

func (s *Sidecar) observeOnce(ctx context.Context) (pid int) {
	var epoch uint64
	s.with(func(st *state) { epoch = st.epoch })
	bounded, cancel := context.WithTimeout(ctx, time.Second)
	server, alive := s.options.Postgres.Observe(bounded)
	cancel()
	now := s.now()
	changed := false
	s.with(func(st *state) {
		if epoch != st.epoch || ctx.Err() != nil {
			changed = true
			signal(s.look)
			return
		}
		old := st.server
		server.AnsweredAt, server.ConnectedAt, server.StartedAt = old.AnsweredAt, old.ConnectedAt, old.StartedAt
		if server.PID != old.PID {
			server.AnsweredAt, server.ConnectedAt, server.StartedAt = now, now, now
		}
		if alive {
			server.AnsweredAt = now
		}
		if server.PID == old.PID {
			server.Timeline = max(server.Timeline, old.Timeline) // SQL's lags behind once the receiver is gone
		}
		if server.SystemID == "" {
			server.SystemID = old.SystemID
		}
		server.NoRewind, server.LowCommits = old.NoRewind, old.LowCommits
		if server.PID == old.PID && (server.Sync.Equal(old.Sync) || server.Role == watchdog.RoleUnknown) {
			server.Sync, server.SyncFrom = old.Sync, old.SyncFrom
		}
		st.streamed(server.Standbys, now)
		if server.Role == watchdog.RoleUnknown && server.PID == old.PID && !server.Restarting {
			server.Timeline, server.Received, server.Replayed, server.Standbys = old.Timeline, old.Received, old.Replayed, old.Standbys
		}
		if server.PID == 0 || server.Restarting {
			server.Timeline, server.Received, server.Replayed, server.Standbys = old.Timeline, old.Received, old.Replayed, old.Standbys
			if old.PID != 0 && server.PID == 0 || server.Restarting && !old.Restarting {
				st.noticedAt = now
			}
		}
		changed = server.PID != old.PID || server.Role != old.Role || server.Gone != old.Gone || server.Streaming != old.Streaming ||
			server.Upstream != old.Upstream || server.Restarting != old.Restarting || st.mustLook || len(server.Standbys) != len(old.Standbys) ||
			server.Role == watchdog.RolePrimary && st.decision.Reason != watchdog.ReasonHolding
		if server.Problem != "" && server.Problem != old.Problem {
			s.log.Warn("server", "problem", server.Problem)
		}
		st.server, st.mustLook = server, false
	})
	if changed {
		signal(s.wake)
		signal(s.protect)
	}
	return server.PID
}

// knock opens a new connection each second: a stopped postmaster answers on old ones and not on new ones (F48).
func (s *Sidecar) knock(ctx context.Context) {
	s.every(ctx, time.Second, func() {
		var up bool
		s.with(func(st *state) { up = st.server.PID != 0 })
		if !up {
			return
		}
		bounded, cancel := context.WithTimeout(ctx, time.Second)
		err := s.options.Postgres.Knock(bounded)
		cancel()
		if err == nil {
			s.with(func(st *state) { st.server.ConnectedAt = s.now() })
		}
	})
}

// probeStorage runs on its own, and may hang as long as the disk does: the loop sees only since when.
func (s *Sidecar) probeStorage(ctx context.Context) {
	s.every(ctx, 5*time.Second, func() {
		var up bool
		s.with(func(st *state) {
			up = st.server.PID != 0
			if up {
				st.storing = s.now()
			}
		})
		if !up {
			return
		}
		finished := make(chan error, 1)
		go func() { finished <- s.options.Postgres.ProbeStorage() }() // ends with the disk's answer, which may never come
		select {
		case <-ctx.Done():
		case err := <-finished:
			if err != nil {
				s.log.Warn("storage probe failed", "error", err)
				return // still counted as storing: a disk that refuses writes is as sick as one that hangs
			}
			s.with(func(st *state) { st.storing = 0 })
		}
	})
}

// every runs fn now and then each period until ctx ends.
func (s *Sidecar) every(ctx context.Context, period time.Duration, fn func()) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		fn()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// watchGuard keeps a guard for the server that runs.
func (s *Sidecar) watchGuard(ctx context.Context) {
	for ctx.Err() == nil {
		var pid, guarded int
		s.with(func(st *state) { pid, guarded = st.server.PID, st.guardPID })
		if pid != 0 && pid != guarded {
			bounded, cancel := context.WithTimeout(ctx, 2*time.Second)
			err := s.options.Guard.Ensure(bounded, pid)
			cancel()
			if err != nil {
				s.log.Warn("guard not started", "error", err)
			} else {
				s.with(func(st *state) { st.guardPID = pid })
				s.feedGuard()
				signal(s.wake)
			}
		}
		wait := time.NewTimer(guardEvery(pid, guarded))
		var gone <-chan struct{}
		if pid != 0 && pid == guarded {
			gone = s.options.Guard.Exited()
		}
		select {
		case <-ctx.Done():
		case <-s.protect:
		case <-gone:
			s.log.Warn("guard gone")
			s.with(func(st *state) { st.guardPID = 0 })
			signal(s.wake)
		case <-wait.C:
		}
		wait.Stop()
	}
}

func guardEvery(pid, guarded int) time.Duration {
	if pid != guarded {
		return 50 * time.Millisecond
	}
	return 5 * time.Second // the net beneath protect
}

// feedGuard arms the guard with the trust that we have.
func (s *Sidecar) feedGuard() {
	var deadline watchdog.Instant
	s.with(func(st *state) {
		if st.trust.Term != 0 && !st.trust.Lost && st.guardPID != 0 && st.trust.Live(s.policy(), s.now()) {
			deadline = st.trust.FenceAt(s.policy())
		}
	})
	if deadline == 0 {
		return
	}
	if err := s.options.Guard.Arm(deadline); err != nil {
		s.log.Warn("guard not armed", "error", err)
		s.with(func(st *state) { st.guardPID = 0 })
		signal(s.protect)
		signal(s.wake)
	}
}
