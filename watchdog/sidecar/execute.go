package sidecar

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// start sets one action in motion and returns at once. The mutex is held.
func (s *Sidecar) start(ctx context.Context, v watchdog.View, d watchdog.Decision, a watchdog.Action) error {
	switch a.Kind {
	case watchdog.ActRefuse:
		return &Refusal{Reason: d.Reason, Message: a.Error}
	case watchdog.ActAdmit:
		return s.admit(a.Admission)
	case watchdog.ActApply:
		s.startApply(ctx, v, d, a)
	default:
		s.startOperation(ctx, v, d, a)
	}
	return nil
}

// admit notes on our own disk what we belong to. It is rare and small; the loop waits for it.
func (s *Sidecar) admit(a watchdog.Admission) error {
	first := false
	err := s.journal.change(func(k *kept) {
		first = k.Admission.SystemID == ""
		a.Promised, a.Held = max(a.Promised, k.Admission.Promised), max(a.Held, k.Admission.Held)
		a.Advance = k.Admission.Advance // its own operations write it
		a.Follow = cmp.Or(a.Follow, k.Admission.Follow)
		k.Admission = a
	})
	if err != nil {
		s.log.Error("state not written", "error", err)
		return nil
	}
	if first {
		s.log.Info("joined the cluster", "system_id", a.SystemID, "term", a.Term)
	}
	signal(s.wake)
	return nil
}

// startApply makes one change in etcd beside the loop; another is not begun before etcd has been read anew. The mutex is
// held.
func (s *Sidecar) startApply(ctx context.Context, v watchdog.View, d watchdog.Decision, a watchdog.Action) {
	leased := a.Change.Member != nil || a.Change.Campaign != "" || a.Change.TakePrimary != ""
	unseen := s.state.mustLook && a.Change.Record != nil // judged on what the server was before an operation that has ended
	if s.state.applying || unseen || s.state.mustRead != 0 || leased && !s.state.leased || v.Now < s.state.applyFrom {
		return
	}
	s.state.applying = true
	change := *a.Change
	s.complete(&change)
	s.tasks.Go(func() {
		bounded, cancel := context.WithTimeout(ctx, v.Policy.RenewalDeadline.D())
		defer cancel()
		sent := s.now()
		revision, err := s.options.Store.Apply(bounded, change)
		s.with(func(st *state) {
			st.applying = false
			if err != nil && !errors.Is(err, ErrCompareLost) {
				st.applyFrom = s.now().Add(restBetween)
			}
			if errors.Is(err, ErrLeaseLost) {
				st.leased = false
				signal(s.renewal)
			}
			s.mustReadAnew()
		})
		switch {
		case errors.Is(err, ErrCompareLost):
			s.log.Debug("change overtaken", "reason", d.Reason)
		case err != nil:
			s.log.Warn("change not acknowledged", "reason", d.Reason, "error", err)
		default:
			s.applied(v, change, sent, revision)
		}
	})
}

// applied follows up a change that was acknowledged.
func (s *Sidecar) applied(v watchdog.View, change watchdog.Change, sent watchdog.Instant, revision int64) {
	if change.TakePrimary != "" {
		s.begin(change.PrimaryTerm.Term, sent, revision)
	}
	r := change.Record
	if r == nil {
		return
	}
	s.log.Info("record changed", "term", r.Term, "phase", r.Phase, "primary", r.Primary, "reason", r.Reason)
	if change.TakePrimary != "" {
		_ = s.admit(watchdog.Admission{
			SystemID: r.SystemID, StoreID: v.Cluster.StoreID, Term: r.Term, Seq: r.Seq, Promised: v.Me.Admitted.Promised, Held: r.Term,
		})
	}
	if change.Event != nil && change.Event.Kind == watchdog.EventDurability {
		s.options.Crash("durability")
	}
	if change.Event != nil && change.Event.Kind == watchdog.EventElection {
		s.with(func(st *state) { st.counters.Elections++ })
	}
}

// complete adds to a change what only the writer knows: the cluster's name, the wall clock, itself. The mutex need not be
// held.
func (s *Sidecar) complete(c *watchdog.Change) {
	wall := s.options.Clock.Wall()
	if c.Record != nil {
		r := *c.Record
		r.Cluster, r.Since = s.options.Cluster, wall
		c.Record = &r
	}
	if c.Event != nil {
		e := *c.Event
		e.Time, e.Member = wall, s.options.Identity.Name
		c.Event = &e
	}
	if c.Member != nil {
		m := *c.Member
		m.Version = s.options.Version
		c.Member = &m
	}
}

// startOperation carries out one action beside the loop. One at a time, but that a fence ends what is under way first: an
// operation is never left running beside it. The mutex is held.
func (s *Sidecar) startOperation(ctx context.Context, v watchdog.View, d watchdog.Decision, a watchdog.Action) {
	st := &s.state
	fence := a.Kind == watchdog.ActFence
	if !fence && (st.inFlight.Kind != "" || st.mustLook || st.mustRead != 0 || st.applying) {
		return
	}
	if st.inFlight.Kind == watchdog.ActFence || st.landed.kind == a.Kind && v.Now.Since(st.landed.at) < restBetween {
		return
	}
	var before context.CancelFunc
	if st.inFlight.Kind != "" {
		before = s.flight
	}
	own, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	waitFor := s.ended
	s.flight, s.ended = cancel, ended
	st.said = ""
	failures, last := st.inFlight.Failures, st.inFlight.Failed
	st.inFlight = watchdog.Flight{
		Kind: a.Kind, Term: a.Term, Since: v.Now, Failed: last, FailedAt: st.inFlight.FailedAt, Failures: failures,
		Diverged: st.inFlight.Diverged, NotPossible: st.inFlight.NotPossible, WALGone: st.inFlight.WALGone,
	}
	if fence {
		st.fencedFor = d.Reason
		st.renewTerm = 0
		if st.noticedAt == 0 || v.Now.Since(st.noticedAt) > time.Minute {
			st.noticedAt = v.Now
		}
	}
	s.tasks.Go(func() {
		defer close(ended)
		defer cancel()
		if before != nil {
			before()
		}
		if waitFor != nil {
			<-waitFor
		}
		began := s.now()
		err := s.operate(own, v, d, a)
		s.landed(a, began, err)
		if err == nil && a.Kind == watchdog.ActPromote {
			s.checkpoint(ctx)
		}
	})
}

// restBetween two operations of one kind: where the first did not have the effect that its success promised, the loop does
// not spin.
const restBetween = 50 * time.Millisecond

// landed notes how an operation ended, and asks for new eyes before the next.
func (s *Sidecar) landed(a watchdog.Action, began watchdog.Instant, err error) {
	took := s.now().Since(began)
	s.with(func(st *state) {
		if st.inFlight.Kind != a.Kind {
			return // a fence has overtaken it and speaks for itself
		}
		f := watchdog.Flight{Done: a.Kind, DoneAt: s.now(), Said: st.said}
		if err != nil {
			f = watchdog.Flight{
				Failed: a.Kind, FailedAt: s.now(), Failures: 1,
				Diverged: errors.Is(err, ErrDiverged), NotPossible: errors.Is(err, ErrNotPossible), WALGone: errors.Is(err, ErrWALGone),
			}
			if st.inFlight.Failed == a.Kind {
				f.Failures += st.inFlight.Failures
			}
			st.problem = err.Error()
		}
		st.inFlight, st.landed.kind, st.landed.at = f, a.Kind, s.now()
		st.epoch++
		if err == nil && a.Kind == watchdog.ActStart {
			st.server.Role, st.server.Gone = watchdog.RoleStarting, false
		}
		if a.Kind != watchdog.ActFence {
			st.mustLook = true
			s.mustReadAnew()
		}
	})
	if err != nil {
		s.log.Warn("operation failed", "operation", a.Kind, "after", took.Round(time.Millisecond), "error", err)
	} else {
		s.log.Info("operation done", "operation", a.Kind, "after", took.Round(time.Millisecond))
	}
	signal(s.look)
	signal(s.wake)
}

// operate is the one switch from an action to the work.
func (s *Sidecar) operate(ctx context.Context, v watchdog.View, d watchdog.Decision, a watchdog.Action) error {
	pg := s.options.Postgres
	switch a.Kind {
	case watchdog.ActFence:
		return s.fence(ctx, v, !a.Crashed)
	case watchdog.ActHandOver:
		return s.handOver(ctx, v, d, a, nil)
	case watchdog.ActSwitchOver:
		return s.switchOver(ctx, v, d, a)
	case watchdog.ActBallot:
		return s.vote(ctx, v, a.Ballot)
	case watchdog.ActWithdraw:
		return s.withdraw(ctx, v, a.Ballot)
	case watchdog.ActSynchronise:
		return s.synchronise(ctx, v, a.Sync)
	case watchdog.ActPromote:
		return s.promote(ctx, v)
	case watchdog.ActLatch:
		return pg.Latch(ctx)
	case watchdog.ActKill:
		return pg.Kill(ctx)
	case watchdog.ActRestart:
		return s.restart(ctx, v, a)
	case watchdog.ActLeave:
		return s.leave(ctx, v)
	case watchdog.ActReload:
		return s.reload(ctx, v)
	case watchdog.ActRepoint:
		return pg.Repoint(ctx, a.Upstream)
	case watchdog.ActProd:
		if !a.Restart { // it asks the upstream, which may be silent, and our vote must not wait for that
			bounded, cancel := context.WithTimeout(ctx, v.Policy.Detection.D())
			defer cancel()
			ctx = bounded
		}
		return pg.Prod(ctx, a.Upstream, a.Restart)
	case watchdog.ActStart:
		s.options.Crash("rejoin-start")
		return s.startServer(ctx, v, a)
	case watchdog.ActRewind:
		return s.rewind(ctx, v, a)
	case watchdog.ActClone:
		return s.clone(ctx, v, a)
	default:
		return errors.New("no such operation: " + string(a.Kind))
	}
}
