package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// vote promises the record's term, durably and before anything else, hangs up, and publishes the exact position.
func (s *Sidecar) vote(ctx context.Context, v watchdog.View) error {
	term, token := v.Cluster.Record.Term, randomToken()
	err := s.journal.change(func(k *kept) {
		k.Admission.Promised = max(k.Admission.Promised, term)
		k.BallotToken = token
	})
	if err != nil {
		return fmt.Errorf("promise term %d: %w", term, err)
	}
	s.options.Crash("promised")
	bounded, cancel := context.WithTimeout(ctx, max(v.Policy.BallotWait.D(), 5*time.Second))
	defer cancel()
	if err := s.options.Postgres.HangUp(bounded); err != nil {
		return fmt.Errorf("hang up for term %d: %w", term, err)
	}
	s.options.Crash("hung-up")
	end, err := s.options.Postgres.EndOfWAL(bounded)
	if err != nil {
		return fmt.Errorf("find the end of WAL for term %d: %w", term, err)
	}
	last, self := v.Cluster.Record.LastTaker, v.Self()
	ballot := watchdog.Ballot{
		Term: term, Member: v.Me.Name, Incarnation: v.Me.Incarnation, Timeline: end.Timeline, End: end.End, Exact: end.Exact,
		Fenced: last.Name == v.Me.Name && last.Incarnation == v.Me.Incarnation, Vetoes: self.Vetoes, Archive: end.Archive,
		Token: token, Priority: v.Me.Priority, Site: v.Me.Site, API: v.Me.API,
	}
	change := watchdog.Change{If: watchdog.If{RecordRev: &v.Cluster.RecordRev}, Ballot: &ballot}
	if _, err := s.options.Store.Apply(bounded, change); err != nil && !errors.Is(err, ErrCompareLost) {
		return fmt.Errorf("publish ballot of term %d: %w", term, err)
	}
	s.log.Info("ballot given", "term", term, "end", end.End, "timeline", end.Timeline, "exact", end.Exact, "fenced", ballot.Fenced)
	if !end.Exact {
		return fmt.Errorf("ballot of term %d: %w: at least %s", term, errEndUnknown, end.End)
	}
	return nil
}

// errEndUnknown has the ballot given again, after a pause: an inexact one counts towards nothing.
var errEndUnknown = errors.New("the end of WAL is not known exactly")

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
