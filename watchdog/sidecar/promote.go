package sidecar

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// promotion is one run from being named to being settled. Each step may be the last that this process sees: run again, it
// finds what is done and goes on.
type promotion struct {
	*Sidecar
	view    watchdog.View
	timings map[string]float64
	fetched watchdog.TailFetch
	began   watchdog.Instant
	taken   func() // makes the record that taking the term left the one that the view shows
}

func (s *Sidecar) promote(ctx context.Context, v watchdog.View) error {
	bounded, cancel := context.WithTimeout(ctx, v.Policy.PromoteWait.D())
	defer cancel()
	cluster := *v.Cluster // the promotion carries its own copy on from step to step
	v.Cluster = &cluster
	p := &promotion{Sidecar: s, view: v, timings: map[string]float64{}, began: s.now(), taken: func() {}}
	return p.run(bounded)
}

// run takes the term while it fetches the tail, and promotes when both are done.
func (p *promotion) run(ctx context.Context) error {
	r := p.view.Cluster.Record
	timeline, err := p.pickTimeline(ctx)
	if err != nil {
		return err
	}
	p.options.Crash("named")
	var takeErr, tailErr, syncErr, veto error
	var both sync.WaitGroup
	both.Go(func() { veto = p.askBefore(ctx) })
	both.Go(func() { takeErr = p.timed("take", func() error { return p.take(ctx, timeline) }) })
	standby := p.view.Server.Role == watchdog.RoleStandby
	enforce := func() { syncErr = p.timed("synchronise", func() error { return p.enforceNext(ctx) }) }
	restarts := standby && !p.view.Server.ReloadsConninfo() // to hang up
	if !restarts {
		both.Go(enforce)
	}
	if standby {
		both.Go(func() { tailErr = p.fetchTail(ctx) })
	} else {
		p.fetched.Failed = p.journal.read().TailLeft == r.Term
	}
	both.Wait()
	if restarts && tailErr == nil {
		enforce()
	}
	if err := errors.Join(takeErr, tailErr, syncErr, veto); err != nil {
		return err
	}
	p.taken()
	p.options.Crash("taken")
	if p.view.Server.Role == watchdog.RoleStandby {
		_ = p.timed("copies", func() error { return p.awaitCopies(ctx) })
	}
	var done Promotion
	err = p.timed("promote", func() error {
		done, err = p.options.Postgres.Promote(ctx, timeline, p.options.Crash)
		return err
	})
	if err != nil {
		return fmt.Errorf("promote to timeline %d for term %d: %w", timeline, r.Term, err)
	}
	for step, took := range done.Steps {
		p.timings["promote_"+step] = ms(took)
	}
	p.options.Crash("promoted")
	return p.settle(ctx, done)
}

// askBefore returns the veto of whoever is to be asked before our server is promoted. It does not wait for an answer once a
// fence has ended the promotion.
func (p *promotion) askBefore(ctx context.Context) error {
	if p.options.BeforePromote == nil {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, p.view.Policy.PromoteWait.D()/2)
	answer := make(chan error, 1)
	go func() {
		defer cancel()
		answer <- p.timed("before_promote", func() error { return p.options.BeforePromote(bounded, p.view) })
	}()
	select {
	case err := <-answer:
		if err != nil {
			return fmt.Errorf("%w: %w", err, ErrNotPossible)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *promotion) timed(step string, fn func() error) error {
	began := p.now()
	err := fn()
	took := p.now().Since(began)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timings[step] = ms(took)
	return err
}

// pickTimeline is the number in the ledger if the term is taken already, else one that nobody knows.
func (p *promotion) pickTimeline(ctx context.Context) (watchdog.Timeline, error) {
	r := p.view.Cluster.Record
	if r.Taken {
		for _, e := range p.view.Cluster.Ledger {
			if e.Term == r.Term {
				return e.Timeline, nil
			}
		}
		return 0, fmt.Errorf("term %d is taken and not in the ledger", r.Term)
	}
	own, err := p.options.Postgres.NextTimeline(ctx)
	if err != nil {
		return 0, fmt.Errorf("choose a timeline: %w", err)
	}
	return max(own, p.view.Cluster.NextTimeline(p.view.Server.Timeline)), nil
}

// take makes the term ours, or renews it where it is ours already and this process does not know since when.
func (p *promotion) take(ctx context.Context, timeline watchdog.Timeline) error {
	r := p.view.Cluster.Record
	if r.Taken {
		return p.retake(ctx)
	}
	if err := p.journal.change(func(k *kept) { k.Admission.Held = r.Term }); err != nil {
		return fmt.Errorf("note that term %d is ours: %w", r.Term, err)
	}
	if err := p.freshenLease(ctx); err != nil {
		return fmt.Errorf("take term %d: %w", r.Term, err)
	}
	change := watchdog.TakeChange(p.view, timeline)
	p.complete(&change)
	sent := p.now()
	revision, err := p.options.Store.Apply(ctx, change)
	if err != nil {
		return fmt.Errorf("take term %d: %w", r.Term, err)
	}
	p.taken = func() { p.view.Cluster.Record, p.view.Cluster.RecordRev = change.Record, revision }
	p.begin(r.Term, sent, revision)
	return nil
}

// freshenLease keeps the lease alive first where that is long ago, as after an outage of etcd: trust is counted from it too, and
// would be over as soon as the term is taken.
func (p *promotion) freshenLease(ctx context.Context) error {
	var age time.Duration
	p.with(func(st *state) { age = p.now().Since(st.leaseFrom) })
	if age <= p.view.Policy.Renewal.D()+p.view.Policy.RenewalDeadline.D() {
		return nil
	}
	sent := p.now()
	if err := p.options.Store.KeepAlive(ctx); err != nil {
		return err
	}
	p.with(func(st *state) { st.leaseFrom = max(st.leaseFrom, sent) })
	return nil
}

func (p *promotion) retake(ctx context.Context) error {
	r := p.view.Cluster.Record
	var trust watchdog.Trust
	p.with(func(st *state) { trust = st.trust })
	if trust.Term == r.Term && trust.Live(p.view.Policy, p.now()) {
		return nil
	}
	if err := p.freshenLease(ctx); err != nil {
		return fmt.Errorf("renew term %d: %w", r.Term, err)
	}
	sent := p.now()
	revision, err := p.options.Store.Apply(ctx, watchdog.RetakeChange(p.view))
	if err != nil {
		return fmt.Errorf("renew term %d: %w", r.Term, err)
	}
	p.begin(r.Term, sent, revision)
	return nil
}

// settle writes that we accept writes. An answer that was lost is asked for again: the record says whether it was made.
func (p *promotion) settle(ctx context.Context, done Promotion) error {
	p.with(func(st *state) {
		st.epoch++
		st.server.Gone = false
		st.server.Role, st.server.Timeline, st.server.Received, st.server.Latched = watchdog.RolePrimary, done.Timeline, max(done.Fork, st.server.Received), true
		st.counters.Promotions++
	})
	p.timings["named_to_writable"] = ms(p.now().Since(p.began))
	for {
		change := watchdog.SettleChange(p.view, done.Timeline, done.Fork, p.fetched)
		change.Event.TimingsMS = p.timings
		p.complete(&change)
		_, err := p.options.Store.Apply(ctx, change)
		if err == nil {
			break
		}
		cluster, readErr := p.options.Store.Read(ctx)
		if readErr == nil && cluster.Record != nil {
			r := cluster.Record
			if r.Term != p.view.Cluster.Record.Term || r.Phase == watchdog.PhaseNormal {
				break
			}
			p.view.Cluster = &cluster
		}
		if ctx.Err() != nil {
			return fmt.Errorf("settle term %d: %w", p.view.Cluster.Record.Term, err)
		}
		pause(ctx, 20*time.Millisecond)
	}
	p.log.Info("promoted", "term", p.view.Cluster.Record.Term, "timeline", done.Timeline, "fork", done.Fork, "timings_ms", p.timings)
	return nil
}

// checkpoint is asked for and not awaited: rewinding members need it (15 and below), the cluster does not.
func (s *Sidecar) checkpoint(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := s.options.Postgres.Checkpoint(ctx); err != nil && ctx.Err() == nil {
		s.log.Warn("checkpoint after promotion failed", "error", err)
	}
}

// pause waits or ends with ctx.
func pause(ctx context.Context, d time.Duration) {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-ctx.Done():
	case <-wait.C:
	}
}
