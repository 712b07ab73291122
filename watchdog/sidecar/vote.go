package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// vote promises the term, durably and before anything else, hangs up, and publishes the exact position. A term that nobody
// has opened yet is promised in advance, and the promise stands until the ballot is withdrawn.
func (s *Sidecar) vote(ctx context.Context, v watchdog.View, term watchdog.Term) error {
	token := randomToken()
	err := s.journal.change(func(k *kept) {
		if term > v.Cluster.Record.Term {
			k.Admission.Advance = max(k.Admission.Advance, term)
		} else {
			k.Admission.Promised = max(k.Admission.Promised, term)
		}
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
		NextXID: v.Server.NextXID, Token: token, Priority: v.Me.Priority, Site: v.Me.Site, API: v.Me.API, Cascade: v.Memory.Cascades,
	}
	if _, err := s.options.Store.Apply(bounded, watchdog.BallotChange(v, ballot)); err != nil && !errors.Is(err, ErrCompareLost) {
		return fmt.Errorf("publish ballot of term %d: %w", term, err)
	}
	s.log.Info("ballot given", "term", term, "end", end.End, "timeline", end.Timeline, "exact", end.Exact, "fenced", ballot.Fenced)
	if !end.Exact {
		return fmt.Errorf("ballot of term %d: %w: at least %s", term, errEndUnknown, end.End)
	}
	s.options.Crash("balloted")
	return nil
}

// withdraw takes a ballot given in advance back: acknowledged first, and only then may the server follow again.
func (s *Sidecar) withdraw(ctx context.Context, v watchdog.View, term watchdog.Term) error {
	ballot := v.Cluster.Advance[v.Me.Name].Ballot
	ballot.Term, ballot.Member, ballot.Incarnation, ballot.Withdrawn = term, v.Me.Name, v.Me.Incarnation, true
	bounded, cancel := context.WithTimeout(ctx, v.Policy.RenewalDeadline.D())
	defer cancel()
	if _, err := s.options.Store.Apply(bounded, watchdog.BallotChange(v, ballot)); err != nil {
		return fmt.Errorf("withdraw ballot of term %d: %w", term, err)
	}
	s.options.Crash("withdrawn")
	if err := s.journal.change(func(k *kept) { k.Admission.Advance = 0 }); err != nil {
		return fmt.Errorf("withdraw ballot of term %d: %w", term, err)
	}
	s.log.Info("ballot withdrawn", "term", term)
	return nil
}

// synchronise makes the server wait for the voters, and notes from where on every commit has.
func (s *Sidecar) synchronise(ctx context.Context, v watchdog.View, sync watchdog.Sync) error {
	bounded, cancel := context.WithTimeout(ctx, v.Policy.HangAfter.D())
	defer cancel()
	from, err := s.options.Postgres.Synchronise(bounded, sync)
	if err != nil {
		return err
	}
	s.options.Crash("synchronised")
	s.with(func(st *state) {
		st.epoch++
		st.server.Sync, st.server.SyncFrom = sync, from
	})
	s.log.Info("synchronous standbys set", "k", sync.K, "voters", sync.Voters, "from", from)
	return nil
}

// errEndUnknown has the ballot given again, after a pause: an inexact one counts towards nothing.
var errEndUnknown = errors.New("the end of WAL is not known exactly")

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
