package sidecar

import (
	"context"
	"crypto/subtle"
	"io"
	"maps"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

type counters struct {
	Decisions       map[watchdog.Reason]uint64
	Renewals        uint64
	RenewalsFailed  uint64
	Fences          uint64
	Promotions      uint64
	HandOvers       uint64
	Elections       uint64
	HeartbeatsLost  uint64
	StoreReadErrors uint64
	Failsafes       uint64
}

// Snapshot is the state of the sidecar at one moment, for its API.
type Snapshot struct {
	View      watchdog.View
	Decision  watchdog.Decision
	Self      watchdog.Member
	Writable  bool          // the server accepts writes under unexpired trust, and is not being fenced
	TrustLeft time.Duration // until the server is fenced unless a renewal succeeds
	LoopAge   time.Duration // since the loop last turned
	Counters  Counters
}

// Counters grow for as long as the process lives.
type Counters = counters

// self is what we say of ourselves. The mutex is held.
func (s *Sidecar) self() watchdog.Member {
	v := s.state.view
	problem := v.Server.Problem
	v.Server, v.Trust, v.Flight = s.state.server, s.state.trust, s.state.inFlight
	if v.Server.Problem == "" {
		v.Server.Problem = problem
	}
	if v.Me.Name == "" {
		v.Me = s.options.Identity
	}
	m := v.Self()
	m.Version = s.options.Version
	return m
}

// Self is what this member says of itself, as of now.
func (s *Sidecar) Self() watchdog.Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.self()
}

// standing is what Changed tells of.
type standing struct {
	writable, fencing, gone, streaming, turned bool
	role                                       watchdog.Role
	upstream, primary                          string
	term                                       watchdog.Term
	phase                                      watchdog.Phase
}

// Changed returns a channel that receives whenever it may be worth to ask for a Snapshot: the server's role, whether it accepts
// writes, whom it follows, or the record has changed. The trust's end by time alone is not told: see Snapshot.TrustLeft. The
// channel has room for one. It is asked for before Run.
func (s *Sidecar) Changed() <-chan struct{} {
	c := make(chan struct{}, 1)
	s.with(func(*state) { s.listeners = append(s.listeners, c) })
	return c
}

// announce tells the listeners of a change. The mutex is held.
func (s *Sidecar) announce() {
	if len(s.listeners) == 0 {
		return
	}
	st := &s.state
	now := standing{
		writable: s.writable(), fencing: st.inFlight.Kind == watchdog.ActFence, gone: st.server.Gone, streaming: st.server.Streaming,
		turned: st.turnedAt != 0, role: st.server.Role, upstream: st.server.Upstream,
	}
	if c := st.cluster; c != nil && c.Record != nil {
		now.primary, now.term, now.phase = c.Record.Primary, c.Record.Term, c.Record.Phase
	}
	if now == s.told {
		return
	}
	s.told = now
	for _, c := range s.listeners {
		signal(c)
	}
}

// writable: the server accepts writes under unexpired trust, and is not being fenced. The mutex is held.
func (s *Sidecar) writable() bool {
	st := &s.state
	return st.trust.Live(s.policy(), s.now()) && st.server.Role == watchdog.RolePrimary && st.server.PID != 0 && st.inFlight.Kind != watchdog.ActFence
}

// Heard notes a heartbeat from another member.
func (s *Sidecar) Heard(peer watchdog.Member) {
	now := s.now()
	s.with(func(st *state) {
		if own, known := st.peers[peer.Name]; !known || own.Streaming != peer.Streaming {
			signal(s.wake)
		}
		p := st.peers[peer.Name]
		p.Member, p.HeardAt, p.AnsweredAt = peer, now, now
		st.peers[peer.Name] = p
	})
}

// Snapshot is the last view and decision of the loop, with the server and trust as of now.
func (s *Sidecar) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, st := s.now(), &s.state
	v := st.view
	v.Server, v.Trust, v.Flight, v.Now = st.server, st.trust, st.inFlight, now
	left := st.trust.Left(s.policy(), now)
	c := st.counters
	c.Decisions = maps.Clone(c.Decisions)
	return Snapshot{
		View: v, Decision: st.decision, Self: s.self(), TrustLeft: left, LoopAge: now.Since(st.turnedAt), Counters: c,
		Writable: s.writable(),
	}
}

// ServeTail writes raw WAL to the one who names a token that the record, our own ballot or our surrender gave.
func (s *Sidecar) ServeTail(ctx context.Context, token string, timeline watchdog.Timeline, from, to watchdog.LSN, w io.Writer) error {
	given := []string{s.journal.read().BallotToken}
	s.with(func(st *state) {
		given = append(given, st.offered)
		if c := st.cluster; c != nil && c.Record != nil && c.Record.Tail != nil && c.Record.Tail.From == s.options.Identity.Name {
			given = append(given, c.Record.Tail.Token)
		}
	})
	for _, ours := range given {
		if ours != "" && subtle.ConstantTimeCompare([]byte(ours), []byte(token)) == 1 {
			return s.options.Postgres.ServeTail(ctx, timeline, from, to, w)
		}
	}
	return ErrForbidden
}
