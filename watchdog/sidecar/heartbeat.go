package sidecar

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// heartbeat tells the primary's sidecar of ourselves, over one kept connection, and notes what it answers.
func (s *Sidecar) heartbeat(ctx context.Context) {
	s.heartbeatTo(ctx, func(st *state) (name, api string) {
		if c := st.cluster; c != nil && c.Record != nil && c.Record.Primary != s.options.Identity.Name {
			return c.Record.Primary, c.Members[c.Record.Primary].API
		}
		return "", ""
	})
}

// heartbeatUpstream does so to the standby that our server is to follow, on its own: neither waits for the other.
func (s *Sidecar) heartbeatUpstream(ctx context.Context) {
	s.heartbeatTo(ctx, func(st *state) (name, api string) {
		if up, wished := st.view.Wished(); wished {
			return up.Name, up.API
		}
		return "", ""
	})
}

func (s *Sidecar) heartbeatTo(ctx context.Context, whom func(*state) (name, api string)) {
	for ctx.Err() == nil {
		var api, name string
		var period, budget time.Duration
		var self watchdog.Member
		s.with(func(st *state) {
			period, budget = s.policy().Heartbeat.D(), s.policy().Detection.D()/2
			name, api = whom(st)
			self = s.self()
		})
		if api != "" {
			s.beat(ctx, name, api, self, budget)
		}
		wait := time.NewTimer(period)
		select {
		case <-ctx.Done():
		case <-wait.C:
		}
		wait.Stop()
	}
}

func (s *Sidecar) beat(ctx context.Context, name, api string, self watchdog.Member, budget time.Duration) {
	bounded, cancel := context.WithTimeout(ctx, budget)
	peer, answered, err := s.options.Peers.Heartbeat(bounded, api, self)
	cancel()
	now := s.now()
	s.with(func(st *state) {
		p := st.peers[name]
		if answered {
			p.AnsweredAt = now
		}
		if err == nil {
			p.Member, p.HeardAt = peer, now
		} else if !errors.Is(err, context.Canceled) {
			st.counters.HeartbeatsLost++
		}
		st.peers[name] = p
	})
}

// knockPrimary knocks at the primary's server while its sidecar is silent, in quorum: a voter suspects the primary only when
// both are.
func (s *Sidecar) knockPrimary(ctx context.Context) {
	for ctx.Err() == nil {
		var name, address string
		var period, budget time.Duration
		rest := 2 * time.Second
		s.with(func(st *state) {
			period, budget = s.policy().Heartbeat.D(), s.policy().Detection.D()/2
			name = s.primary()
			if name == "" || name == s.options.Identity.Name || st.cluster.Record.Durability.Mode != watchdog.ModeQuorum {
				return
			}
			rest = period
			if silent := s.now().Since(st.peers[name].AnsweredAt); silent > 2*period {
				address = st.cluster.Members[name].Address
				if address == "" {
					address = st.peers[name].Address // its lease may be over before it is heard of again
				}
			}
		})
		if address != "" {
			s.knockAt(ctx, name, address, budget)
		}
		pause(ctx, rest)
	}
}

func (s *Sidecar) knockAt(ctx context.Context, name, address string, budget time.Duration) {
	bounded, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	sent := s.now()
	err := s.options.Postgres.KnockAt(bounded, address)
	if ctx.Err() != nil {
		return
	}
	now := s.now()
	s.with(func(st *state) {
		p := st.peers[name]
		switch {
		case err == nil:
			p.ServerAt = now
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
			p.AnsweredAt = now // the host lives
		default:
			p.KnockedAt = sent
		}
		st.peers[name] = p
	})
	signal(s.wake)
}

// streamed notes which members stream from us under this term's name.
func (st *state) streamed(standbys []watchdog.Downstream, now watchdog.Instant) {
	if st.cluster == nil || st.cluster.Record == nil {
		return
	}
	for _, d := range standbys {
		if d.Streaming && d.Term == st.cluster.Record.Term {
			p := st.peers[d.Name]
			p.StreamedAt = now
			st.peers[d.Name] = p
		}
	}
}
