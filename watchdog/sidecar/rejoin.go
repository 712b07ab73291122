package sidecar

import (
	"context"
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// rejoinBound is for one rung of the ladder; a big server's rewind or clone takes its time.
const rejoinBound = 12 * time.Hour

// startServer starts a stopped server as a standby. One whose WAL ends past the place where the upstream's history leaves
// its own would refuse to start, or never stream: that is seen on its WAL first. (WAL that goes on along a later timeline
// ends there, and DeadEnd says so.)
func (s *Sidecar) startServer(ctx context.Context, v watchdog.View, a watchdog.Action) error {
	if timeline := v.Cluster.TimelineBefore(v.Cluster.Record.Timeline); a.Upstream.Timeline > timeline {
		fork := v.Cluster.ForkAfter(timeline)
		quick, done := context.WithTimeout(ctx, 5*time.Second)
		end, err := s.options.Postgres.DeadEnd(quick, timeline, fork)
		surely := end.End
		if err == nil && !end.Exact && end.End > 0 { // its last page may hold nothing
			surely, err = s.options.Postgres.PageStart(quick, end.End-1)
		}
		done()
		if err == nil && end.Timeline == timeline && fork != 0 && surely > fork {
			return fmt.Errorf("its WAL of timeline %d goes on to %s, and %s's leaves it at %s: %w", timeline, end.End, a.Upstream.Name, fork, ErrDiverged)
		}
	}
	return s.options.Postgres.Start(ctx, a.Upstream)
}

// rewind stops the server, keeps what only it has, and takes it back to the upstream's history. That the histories leave
// each other is looked at once more here, on the WAL itself: SQL's timeline may lag behind.
func (s *Sidecar) rewind(ctx context.Context, v watchdog.View, a watchdog.Action) error {
	ctx, cancel := context.WithTimeout(ctx, rejoinBound)
	defer cancel()
	timeline := v.Server.Timeline
	if timeline == 0 {
		timeline = v.Cluster.TimelineBefore(v.Cluster.Record.Timeline)
	}
	if !v.Server.Gone {
		quick, done := context.WithTimeout(ctx, 5*time.Second)
		end, err := s.options.Postgres.EndOfWAL(quick)
		done()
		if err != nil {
			return fmt.Errorf("look at our own end of WAL before a rewind: %w", err)
		}
		timeline = end.Timeline
		if fork := v.Cluster.ForkAfter(timeline); fork == 0 || end.End <= fork {
			return fmt.Errorf("not rewound: our WAL ends at %s on timeline %d, which %s has too", end.End, timeline, a.Upstream.Name)
		}
	}
	if err := s.stop(ctx); err != nil {
		return err
	}
	fork := v.Cluster.ForkAfter(timeline)
	s.options.Crash("rejoin-receipt")
	receipt, err := s.options.Postgres.Receipt(ctx, v.Cluster.Record.Term, timeline, fork)
	if err != nil {
		return fmt.Errorf("keep a divergence receipt: %w", err)
	}
	s.log.Warn("divergence receipt kept", "receipt", receipt)
	s.options.Crash("rejoin-rewind")
	if err := s.options.Postgres.Rewind(ctx, a.Upstream, s.options.Crash); err != nil {
		return err
	}
	s.options.Crash("rejoin-rewound")
	_ = s.Tell(ctx, watchdog.EventRejoined, watchdog.ReasonRewind, fmt.Sprintf("%s was rewound to %s's history: %s", v.Me.Name, a.Upstream.Name, receipt), nil)
	return s.options.Postgres.Start(ctx, a.Upstream)
}

// clone copies the upstream beside and swaps, the old directory kept.
func (s *Sidecar) clone(ctx context.Context, v watchdog.View, a watchdog.Action) error {
	ctx, cancel := context.WithTimeout(ctx, rejoinBound)
	defer cancel()
	if err := s.stop(ctx); err != nil {
		return err
	}
	s.options.Crash("rejoin-clone")
	if err := s.options.Postgres.Clone(ctx, a.Upstream, s.options.Crash); err != nil {
		return err
	}
	_ = s.Tell(ctx, watchdog.EventRejoined, watchdog.ReasonClone, fmt.Sprintf("%s was cloned anew from %s; its old data directory is kept beside", v.Me.Name, a.Upstream.Name), nil)
	return nil
}

// stop ends a standby cleanly where it can, and for certain.
func (s *Sidecar) stop(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := s.options.Postgres.Stop(bounded); err != nil {
		s.log.Warn("server not stopped cleanly", "error", err)
		if err := s.options.Postgres.Fence(ctx, true); err != nil {
			return fmt.Errorf("stop the server before it rejoins: %w", err)
		}
	}
	return nil
}
