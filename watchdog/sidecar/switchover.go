package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// switchOver looks for what speaks against it, has the server checkpointed and shut down, which ships the last WAL, and hands
// over. Up to the shutdown a failure changes nothing; after it the next term is ours again, put back into service. Where
// this process ends in between, the server is found gone and handed over as after a crash.
func (s *Sidecar) switchOver(ctx context.Context, v watchdog.View, d watchdog.Decision, a watchdog.Action) error {
	o := *v.Cluster.Record.Operation
	s.options.Crash("switchover-check")
	if err := s.obstacles(ctx, o); err != nil || o.DryRun {
		return err
	}
	if needed, err := s.restartNeeded(ctx, o); err != nil || !needed {
		return err
	}
	timings := map[string]float64{}
	step := func(name string, bound time.Duration, do func(context.Context) error) error {
		bounded, cancel := context.WithTimeout(ctx, bound)
		defer cancel()
		began := s.now()
		err := do(bounded)
		timings[name] = ms(s.now().Since(began))
		return err
	}
	s.options.Crash("switchover-checkpoint")
	if err := step("checkpoint", o.Bound.D(), s.options.Postgres.Checkpoint); err != nil {
		return fmt.Errorf("checkpoint before the shutdown, so that it is short: %w", err)
	}
	if s.options.Pools != nil {
		pausing, release := context.WithCancel(ctx)
		defer release()
		began := s.now()
		s.pausePools(pausing, &v, o)
		timings["pause"] = ms(s.now().Since(began))
	}
	s.options.Crash("switchover-stop")
	err := step("stop", o.Bound.D(), s.options.Postgres.Stop)
	if err != nil {
		s.log.Warn("server not shut down in time, putting it back", "error", err)
		if err := step("fence", v.Policy.TTL.D(), func(ctx context.Context) error { return s.fence(ctx, v, true) }); err != nil {
			return err
		}
		a.Heir = v.Me.Name
	}
	s.options.Crash("switchover-stopped")
	s.with(func(st *state) {
		st.epoch++
		st.server.PID, st.server.Role, st.server.Gone, st.guardPID = 0, watchdog.RoleDown, true, 0
		v.Trust = st.trust // renewed meanwhile
	})
	if err := s.options.Guard.Disarm(); err != nil {
		s.log.Warn("guard not disarmed", "error", err)
	}
	return s.handOverUntilDone(ctx, v, d, a, timings)
}

// handOverUntilDone hands over, to the heir as long as it is there, else to ourselves. A change of the record in between, such
// as of the members, only has it judged anew.
func (s *Sidecar) handOverUntilDone(ctx context.Context, v watchdog.View, d watchdog.Decision, a watchdog.Action, timings map[string]float64) error {
	for {
		if a.Heir == v.Me.Name && d.Reason != watchdog.ReasonRestart {
			d.Reason = watchdog.ReasonPutBack
		}
		err := s.handOver(ctx, v, d, a, timings)
		if !errors.Is(err, ErrCompareLost) {
			return err
		}
		cluster, readErr := s.options.Store.Read(ctx)
		if readErr != nil {
			return errors.Join(err, readErr)
		}
		r := cluster.Record
		if r == nil || r.Term != a.Term || r.Primary != v.Me.Name {
			return err // another has ended the term
		}
		v.Cluster = &cluster
		s.with(func(st *state) { v.Trust = st.trust })
		if _, there := cluster.Members[a.Heir]; !there {
			a.Heir = v.Me.Name
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// obstacles refuses what the operator did not choose to ignore.
func (s *Sidecar) obstacles(ctx context.Context, o watchdog.Operation) error {
	bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	found, err := s.options.Postgres.Obstacles(bounded)
	if err != nil {
		return fmt.Errorf("look for what speaks against a switchover: %w", err)
	}
	var in []string
	for _, f := range found {
		if !slices.Contains(o.Ignore, f.Name) {
			in = append(in, fmt.Sprintf("%s (--ignore %s)", f.What, f.Name))
		}
	}
	if len(in) > 0 {
		return errors.New(strings.Join(in, "; "))
	}
	return nil
}

// pausePools has the record say so first, so that whoever is left resumes them. Pools that cannot be paused hold nothing up.
func (s *Sidecar) pausePools(ctx context.Context, v *watchdog.View, o watchdog.Operation) {
	if r := v.Cluster.Record; r.Pools == nil || r.Pools.Operation != o.ID { // it may have been begun by a process before us
		change := watchdog.PausePoolsChange(*v)
		s.complete(&change)
		bounded, cancel := context.WithTimeout(ctx, v.Policy.RenewalDeadline.D())
		defer cancel()
		revision, err := s.options.Store.Apply(bounded, change)
		if err != nil {
			s.log.Warn("connection pools not paused: it could not be noted in the record", "error", err)
			return
		}
		cluster := *v.Cluster
		cluster.Record, cluster.RecordRev = change.Record, revision
		v.Cluster = &cluster
	}
	s.options.Crash("switchover-pause")
	err := s.options.Pools.Pause(ctx, o.ID)
	if err != nil {
		s.log.Warn("connection pools not paused: clients may see errors", "error", err)
	}
	s.options.Crash("switchover-paused")
}
