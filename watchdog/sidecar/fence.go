package sidecar

import (
	"context"
	"fmt"
	"maps"

	"github.com/pgvigil/pgvigil/watchdog"
)

// fence stops the server and returns when no process of it is left. It goes on for as long as it takes: nothing may come
// before it.
func (s *Sidecar) fence(ctx context.Context, v watchdog.View, gentle bool) error {
	s.with(func(st *state) { st.counters.Fences++ })
	bounded, cancel := context.WithTimeout(ctx, max(v.Policy.FenceTime.D(), v.Policy.TTL.D()))
	defer cancel()
	if err := s.options.Postgres.Fence(bounded, gentle); err != nil {
		return fmt.Errorf("fence the server: %w", err)
	}
	s.with(func(st *state) {
		st.epoch++
		st.fencedAt = s.now()
		st.server.PID, st.server.Role, st.server.Gone, st.server.Restarting = 0, watchdog.RoleDown, true, false
		st.server.Streaming, st.server.Receiver = false, false
		st.guardPID = 0
		if st.trust.Lost {
			st.trust = watchdog.Trust{}
		}
	})
	if err := s.options.Guard.Disarm(); err != nil {
		s.log.Warn("guard not disarmed", "error", err)
	}
	return nil
}

// handOver says how far our WAL reaches, surrenders and names the heir, in one transaction. The server is verified gone.
// before is how long the steps took that led to it.
func (s *Sidecar) handOver(ctx context.Context, v watchdog.View, d watchdog.Decision, a watchdog.Action, before map[string]float64) error {
	s.options.Crash("hand-over")
	began := s.now()
	tail := watchdog.Tail{From: s.options.Identity.Name, API: s.options.Identity.API, Token: randomToken(), Timeline: s.heldTimeline(v), Whole: true}
	quick, cancel := context.WithTimeout(ctx, v.Policy.FenceTime.D())
	end, err := s.options.Postgres.DeadEnd(quick, tail.Timeline, v.Server.Received)
	cancel()
	if err != nil {
		s.log.Warn("the end of the WAL is not known: the heir has what it has", "error", err)
		tail.Whole = false
	}
	tail.End, tail.Exact = end.End, end.Exact
	measured := s.now()
	var reason watchdog.Reason
	var noticed, fenced watchdog.Instant
	s.with(func(st *state) {
		reason, noticed, fenced = st.fencedFor, st.noticedAt, st.fencedAt
		if v.Server.Received > 0 && noticed == 0 {
			noticed = began
		}
	})
	if reason == "" || reason == watchdog.ReasonLeftBehind {
		reason = d.Reason
	}
	change := watchdog.HandOverChange(v, reason, a.Heir, tail)
	change.Event.Candidates = a.Candidates
	maps.Copy(change.Event.Facts, map[string]string{"end_of_wal": tail.End.String(), "timeline": fmt.Sprint(tail.Timeline), "exact": fmt.Sprint(tail.Exact)})
	maps.Copy(change.Event.TimingsMS, before)
	change.Event.TimingsMS["find_end"] = ms(measured.Since(began))
	if noticed != 0 && fenced > noticed {
		change.Event.TimingsMS["fence"] = ms(fenced.Since(noticed))
		change.Event.TimingsMS["noticed_to_hand_over"] = ms(measured.Since(noticed))
	}
	s.complete(&change)
	s.with(func(st *state) { st.offered = tail.Token })
	bounded, cancel := context.WithTimeout(ctx, v.Policy.RenewalDeadline.D())
	defer cancel()
	if _, err := s.options.Store.Apply(bounded, change); err != nil {
		return fmt.Errorf("hand over term %d: %w", v.Cluster.Record.Term, err)
	}
	s.options.Crash("handed-over")
	s.with(func(st *state) {
		st.trust, st.renewTerm, st.noticedAt, st.fencedFor = watchdog.Trust{}, 0, 0, ""
		st.counters.HandOvers++
	})
	s.log.Info("handed over", "term", v.Cluster.Record.Term, "heir", change.Record.Primary, "end_of_wal", tail.End, "reason", reason)
	return nil
}

// heldTimeline is the timeline that our term writes, by the ledger.
func (s *Sidecar) heldTimeline(v watchdog.View) watchdog.Timeline {
	timeline := v.Cluster.Record.Timeline
	if v.Cluster.Record.Phase == watchdog.PhasePromoting && v.Server.Timeline != 0 {
		timeline = v.Server.Timeline
	}
	return timeline
}
