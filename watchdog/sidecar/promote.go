package sidecar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// pageSize is PostgreSQL's WAL page: a tail begins at a page.
const pageSize = 8192

// A tail that did not come is asked for again so often, and so far apart.
const (
	tailRetries    = 5
	tailRetryPause = 40 * time.Millisecond
)

// promotion is one run from being named to being settled. Each step may be the last that this process sees: run again, it
// finds what is done and goes on.
type promotion struct {
	*Sidecar
	view    watchdog.View
	timings map[string]float64
	facts   map[string]string
	began   watchdog.Instant
	taken   func() // makes the record that taking the term left the one that the view shows
}

func (s *Sidecar) promote(ctx context.Context, v watchdog.View) error {
	bounded, cancel := context.WithTimeout(ctx, v.Policy.PromoteWait.D())
	defer cancel()
	cluster := *v.Cluster // the promotion carries its own copy on from step to step
	v.Cluster = &cluster
	p := &promotion{Sidecar: s, view: v, timings: map[string]float64{}, facts: map[string]string{}, began: s.now(), taken: func() {}}
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
	restarts := standby && p.view.Server.ServerVersion < 130000 // to hang up
	if !restarts {
		both.Go(enforce)
	}
	if standby {
		both.Go(func() { tailErr = p.fetchTail(ctx) })
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
	trust = watchdog.Trust{Term: r.Term, Rev: p.view.Cluster.PrimaryTermRev}
	sent := p.now()
	revision, err := p.options.Store.Apply(ctx, watchdog.RenewChange(trust, p.options.Identity, 1, p.view.Server.Received))
	if err != nil {
		return fmt.Errorf("renew term %d: %w", r.Term, err)
	}
	p.begin(r.Term, sent, revision)
	return nil
}

// fetchTail hangs up and lays in what the one before had and we have not.
func (p *promotion) fetchTail(ctx context.Context) error {
	r, pg := p.view.Cluster.Record, p.options.Postgres
	if p.view.Server.ServerVersion >= 130000 || p.view.Server.Receiver {
		if err := p.timed("hang_up", func() error { return pg.HangUp(ctx) }); err != nil {
			return fmt.Errorf("hang up from the old primary: %w", err)
		}
	}
	p.options.Crash("detached")
	tail := r.Tail
	if tail == nil || tail.From == p.options.Identity.Name {
		return nil
	}
	server, _ := pg.Observe(ctx)
	own := max(server.Received, server.Replayed, p.view.Server.Received, p.view.Server.Replayed)
	if own >= tail.End && tail.End != 0 && server.Timeline == tail.Timeline { // an older timeline's positions say nothing of it
		return nil
	}
	var reached watchdog.LSN
	err := p.timed("tail", func() (err error) {
		bounded, cancel := context.WithTimeout(ctx, p.view.Policy.TailWait.D())
		defer cancel()
		reached, err = p.layTail(bounded, *tail, own)
		for again := 0; err != nil && again < tailRetries && bounded.Err() == nil; again++ { // its sidecar may just have started
			pause(bounded, tailRetryPause)
			reached, err = p.layTail(bounded, *tail, max(own, reached))
		}
		return err
	})
	return p.judgeTail(*tail, own, reached, err)
}

func (p *promotion) layTail(ctx context.Context, tail watchdog.Tail, own watchdog.LSN) (watchdog.LSN, error) {
	if tail.End == 0 {
		return 0, errors.New("its member did not say where it ends")
	}
	from := own / pageSize * pageSize
	body, err := p.options.Peers.Tail(ctx, tail, from)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	return p.options.Postgres.LayTail(ctx, tail.Timeline, from, tail.End, body)
}

// judgeTail: after a hand-over availability does not wait longer than tail_wait, and what was left behind is reported. The
// winner of an election must reach the best ballot's end.
func (p *promotion) judgeTail(tail watchdog.Tail, own, reached watchdog.LSN, err error) error {
	if err == nil && reached >= tail.End {
		p.facts["tail"] = fmt.Sprintf("%d bytes fetched from %s, to %s", own.Behind(tail.End), tail.From, tail.End)
		return nil
	}
	left := max(own, reached)
	if p.view.Cluster.Record.Next != nil && p.handedOver() {
		return fmt.Errorf("the tail from %s to %s is on %s and did not come, and in quorum an acknowledged commit may be in it: %w: %w",
			left, tail.End, tail.From, ErrNotPossible, cmp.Or(err, io.ErrUnexpectedEOF))
	}
	if tail.Exact && !p.handedOver() {
		return fmt.Errorf("the winner lacks %d bytes that %s has: %w", left.Behind(tail.End), tail.From, err)
	}
	p.facts["lost_range"] = fmt.Sprintf("possibly lost: WAL of timeline %d from %s to %s on %s", tail.Timeline, left, tail.End, tail.From)
	p.log.Warn("tail not whole", "from", left, "to", tail.End, "member", tail.From, "error", err)
	return nil
}

// handedOver: the tail is the last taker's own, named in its surrender, and not an election's.
func (p *promotion) handedOver() bool {
	return p.view.Cluster.Record.Tail.Start == 0
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
	p.reportLoss(done)
	for {
		change := watchdog.SettleChange(p.view, done.Timeline, done.Fork)
		change.Event.TimingsMS, change.Event.Facts = p.timings, p.facts
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

// reportLoss compares where we forked with what the last renewal said was flushed.
func (p *promotion) reportLoss(done Promotion) {
	t, r := p.view.Cluster.PrimaryTerm, p.view.Cluster.Record
	p.facts["fork"] = done.Fork.String()
	if r.Tail != nil && r.Tail.Whole && r.Tail.Start == 0 && p.facts["lost_range"] == "" {
		p.facts["lost"] = "nothing: the old primary's WAL is here to its end"
		return
	}
	if p.facts["lost_range"] == "" && t != nil && t.Term < r.Term {
		p.facts["lost_range"] = fmt.Sprintf("possibly lost: WAL of timeline %d after %s (the last renewal had flushed %s)", r.Timeline, done.Fork, t.Flushed)
	}
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
