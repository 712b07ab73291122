package sidecar

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// renew keeps the lease and, for the one that holds a term, the trust. One request of each sort at a time, with the send
// time kept.
func (s *Sidecar) renew(ctx context.Context) {
	for ctx.Err() == nil {
		var period, budget time.Duration
		s.with(func(*state) { period, budget = s.policy().Renewal.D(), s.policy().RenewalDeadline.D() })
		began := time.Now()
		bounded, cancel := context.WithTimeout(ctx, budget)
		again := s.renewOnce(bounded)
		cancel()
		pause := period - time.Since(began)
		if again {
			pause = 50 * time.Millisecond
		}
		wait := time.NewTimer(max(pause, 10*time.Millisecond))
		select {
		case <-ctx.Done():
		case <-s.renewal:
		case <-wait.C:
		}
		wait.Stop()
	}
}

// renewOnce renews lease and trust side by side. Trust is counted from the earlier of the two sends, only once both are
// acknowledged. It says whether to try again at once.
func (s *Sidecar) renewOnce(ctx context.Context) (again bool) {
	var trust watchdog.Trust
	var counter uint64
	var server watchdog.Server
	s.with(func(st *state) {
		stuck := st.turnedAt != 0 && s.now().Since(st.turnedAt) > s.policy().FenceDeadline.D()
		if st.renewTerm != 0 && st.renewTerm == st.trust.Term && !st.trust.Lost && !stuck {
			st.counter++
			trust, counter, server = st.trust, st.counter, st.server
		}
	})
	sent := s.now()
	var leaseErr, termErr error
	var revision int64
	var both sync.WaitGroup
	both.Go(func() { leaseErr = s.keepLease(ctx) })
	if trust.Term != 0 && s.failing() {
		both.Go(func() { s.askFailsafe(ctx, trust) })
	}
	if trust.Term != 0 {
		change := watchdog.RenewChange(trust, s.options.Identity, counter, server)
		change.TakePrimary = s.primaryKeyLost()
		revision, termErr = s.options.Store.Apply(ctx, change)
	}
	both.Wait()
	if leaseErr == nil {
		s.with(func(st *state) { st.leaseFrom = sent })
	}
	if trust.Term == 0 {
		return leaseErr != nil && ctx.Err() == nil
	}
	if errors.Is(termErr, ErrCompareLost) {
		return s.renewalLost(ctx, trust)
	}
	s.with(func(st *state) {
		if st.renewing = errors.Join(termErr, leaseErr); st.renewing != nil {
			st.counters.RenewalsFailed++
		} else if st.trust.Failsafe {
			s.log.Info("etcd is back")
		}
		if st.trust.Term != trust.Term || termErr != nil {
			return
		}
		st.trust.Rev = revision
		if leaseErr == nil {
			st.trust.From, st.trust.Until, st.trust.Failsafe = max(st.trust.From, sent), 0, false
			st.counters.Renewals++
		}
	})
	s.feedGuard()
	return leaseErr != nil || termErr != nil
}

// failing says that the last renewal was not acknowledged.
func (s *Sidecar) failing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.renewing != nil
}

// primaryKeyLost returns our name when the `primary` key is gone though the term is ours: an early revocation by etcd.
func (s *Sidecar) primaryKeyLost() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.state.cluster; s.state.leased && c != nil && c.Record != nil && c.Primary == "" {
		return s.options.Identity.Name
	}
	return ""
}

// keepLease renews the lease, or grants another where it is gone; the keys under it are put again by the loop.
func (s *Sidecar) keepLease(ctx context.Context) error {
	var leased bool
	var ttl time.Duration
	s.with(func(st *state) { leased, ttl = st.leased, s.policy().TTL.D() })
	if leased {
		err := s.options.Store.KeepAlive(ctx)
		if !errors.Is(err, ErrLeaseLost) {
			return err
		}
		s.log.Warn("lease lost")
		s.with(func(st *state) { st.leased = false })
	}
	lease, err := s.options.Store.Grant(ctx, ttl)
	if err != nil {
		return err
	}
	if err := s.journal.change(func(k *kept) { k.Lease = lease }); err != nil {
		s.log.Warn("lease not noted", "error", err)
	}
	s.with(func(st *state) {
		st.leased = true
		s.mustReadAnew()
	})
	return nil
}

// renewalLost finds out why primary.term is not as we left it. An own renewal whose answer was lost is ours all the same;
// a key that is gone together with the record is for the loop to restore; anything else is another's term.
func (s *Sidecar) renewalLost(ctx context.Context, trust watchdog.Trust) (again bool) {
	cluster, err := s.options.Store.Read(ctx)
	if err != nil {
		return true
	}
	t := cluster.PrimaryTerm
	ours := t != nil && t.Term == trust.Term && t.Incarnation == s.options.Identity.Incarnation && !t.Surrendered
	gone := cluster.PrimaryTermRev == 0 && cluster.RecordRev == 0
	s.with(func(st *state) {
		if st.trust.Term != trust.Term || st.trust.Rev != trust.Rev {
			return
		}
		switch {
		case ours:
			st.trust.Rev, st.counter = cluster.PrimaryTermRev, max(st.counter, t.Counter)
		case !gone:
			st.trust.Lost = true
		}
	})
	signal(s.reread)
	signal(s.wake)
	return ours
}

// begin notes that a term is ours since sent, and feeds the guard before anybody may rely on it.
func (s *Sidecar) begin(term watchdog.Term, sent watchdog.Instant, revision int64) {
	s.with(func(st *state) {
		st.trust = watchdog.Trust{Term: term, From: min(sent, st.leaseFrom), Rev: revision}
		st.renewTerm, st.counter = term, 0
	})
	s.feedGuard()
	signal(s.renewal)
}
