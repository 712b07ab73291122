package sidecar

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Sidecar is the event loop of one member.
type Sidecar struct {
	options Options
	log     *slog.Logger
	journal *journal
	wake    chan struct{} // the loop is to take a turn
	look    chan struct{} // the observer is to look now
	reread  chan struct{} // the reader is to read now
	renewal chan struct{} // the renewer is to renew now
	protect chan struct{} // another postmaster runs, or the guard failed: a guard is to be made sure of now

	mu        sync.Mutex
	state     state
	listeners []chan struct{} // for Changed
	told      standing        // to them

	tasks  sync.WaitGroup     // operations and applies, for which Run waits
	flight context.CancelFunc // ends the operation under way
	ended  chan struct{}      // closed when the last operation has ended
}

// state is all that the goroutines share, under the mutex.
type state struct {
	server    watchdog.Server
	epoch     uint64 // grows when an observation that began before is worth nothing
	mustLook  bool   // an operation ended: the server must be seen anew before the next
	storing   watchdog.Instant
	cluster   *watchdog.Cluster
	readAt    watchdog.Instant
	readGap   bool
	mustRead  uint64 // reads begun so far count only from this one on
	reads     uint64
	applying  bool
	applyFrom watchdog.Instant // no change is tried before: the last one failed
	trust     watchdog.Trust
	renewTerm watchdog.Term
	counter   uint64
	leaseFrom watchdog.Instant // the send of the last acknowledged keep-alive
	leased    bool
	guardPID  int
	peers     map[string]watchdog.Peer
	inFlight  watchdog.Flight
	landed    struct {
		kind watchdog.ActionKind
		at   watchdog.Instant
	}
	problem   string // of the last operation that failed
	said      string // by the operation under way, to be told when it has succeeded
	memory    watchdog.Memory
	decision  watchdog.Decision
	view      watchdog.View
	turnedAt  watchdog.Instant
	fencedFor watchdog.Reason
	noticedAt watchdog.Instant
	fencedAt  watchdog.Instant
	counters  counters
	offered   string           // the token of the tail that our surrender names, which the heir may read before we do
	abstain   watchdog.Instant // until then we take no part in elections
	renewing  error            // why the last renewal failed; nil: it did not
	refusal   error
}

// New makes a sidecar, reading its state file. It starts nothing.
func New(o Options) (*Sidecar, error) {
	j, err := openJournal(o.StateDir)
	if err != nil {
		return nil, err
	}
	if o.Crash == nil {
		o.Crash = func(string) {}
	}
	o.Identity.Incarnation = j.read().Incarnation
	s := &Sidecar{
		options: o, log: o.Log.With("member", o.Identity.Name), journal: j,
		wake: make(chan struct{}, 1), look: make(chan struct{}, 1), reread: make(chan struct{}, 1), renewal: make(chan struct{}, 1),
		protect: make(chan struct{}, 1),
	}
	s.state.peers = map[string]watchdog.Peer{}
	s.state.abstain = s.abstention()
	s.state.counters.Decisions = map[watchdog.Reason]uint64{}
	return s, nil
}

// Run turns the loop until ctx ends or the sidecar refuses to go on. PostgreSQL, the lease and the guard are left as they
// are: a sidecar started again in time takes them back.
func (s *Sidecar) Run(ctx context.Context) error {
	defer s.journal.close()
	ctx, cancel := context.WithCancel(ctx)
	defer s.tasks.Wait()
	defer cancel()
	s.takeBack(ctx)
	for _, run := range []func(context.Context){s.watch, s.read, s.observe, s.knock, s.probeStorage, s.renew, s.watchGuard, s.heartbeat, s.heartbeatUpstream, s.knockPrimary, s.rehearse} {
		s.tasks.Go(func() { run(ctx) })
	}
	return s.loop(ctx)
}

// takeBack resumes what an earlier process of this member left: its lease and, from the guard's deadline, its trust. The
// guard is the witness: without one that is armed, a writable server has no trust and is fenced.
func (s *Sidecar) takeBack(ctx context.Context) {
	k := s.journal.read()
	looking, done := context.WithTimeout(ctx, time.Second)
	server, _ := s.options.Postgres.Observe(looking)
	done()
	server.AnsweredAt, server.ConnectedAt, server.StartedAt = s.now(), s.now(), s.now()
	s.state.server = server
	if server.Problem != "" {
		s.log.Warn("server", "problem", server.Problem)
	}
	if k.Admission.Held != 0 && server.PID != 0 {
		looking, done := context.WithTimeout(ctx, time.Second)
		err := s.options.Guard.Ensure(looking, server.PID)
		done()
		if err != nil {
			s.log.Warn("guard not taken back", "error", err)
		} else if deadline := s.options.Guard.Deadline(); deadline != 0 {
			s.state.guardPID = server.PID
			s.state.trust = watchdog.Trust{Term: k.Admission.Held, Until: deadline}
			s.state.renewTerm = k.Admission.Held
			s.log.Info("term taken back", "term", k.Admission.Held, "trust_left", s.state.trust.Left(s.options.Policy, s.now()))
		}
	}
	sent := s.now()
	resume, cancel := context.WithTimeout(ctx, s.options.Policy.RenewalDeadline.D())
	defer cancel()
	if k.Lease != 0 && s.options.Store.Resume(resume, k.Lease) == nil {
		s.state.leased, s.state.leaseFrom = true, sent
	}
}

func (s *Sidecar) now() watchdog.Instant { return s.options.Clock.Now() }

// with changes the state under the mutex.
func (s *Sidecar) with(change func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
	s.announce()
}

// signal sends without waiting: one pending signal is as good as many.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// loop is the one place where decisions are made.
func (s *Sidecar) loop(ctx context.Context) error {
	deadline := time.NewTimer(time.Hour)
	defer deadline.Stop()
	for {
		if err := s.turn(ctx); err != nil {
			return err
		}
		deadline.Reset(s.untilNext())
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.Canceled) {
				return nil
			}
			return context.Cause(ctx)
		case <-s.wake:
		case <-deadline.C:
		}
	}
}

// tickEvery is the net beneath the events: nothing waits for it when all goes well.
const tickEvery = time.Second

// untilNext is when the loop must turn even if nothing happens: the trust ends, or an election's or retry's bound passes.
func (s *Sidecar) untilNext() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := tickEvery
	if left := s.state.trust.Left(s.policy(), s.now()); s.state.trust.Term != 0 && left > 0 {
		next = min(next, left+time.Millisecond)
	}
	if p := s.state.peers[s.primary()]; p.KnockedAt > max(p.AnsweredAt, p.ServerAt) {
		next = min(next, 50*time.Millisecond) // it is about to be suspected
	}
	if r := s.state.cluster; s.state.inFlight.Kind == "" && r != nil && r.Record != nil && (r.Record.Phase != watchdog.PhaseNormal || s.state.inFlight.Failed != "" || s.state.server.Gone) {
		next = min(next, 100*time.Millisecond)
	}
	return next
}

// policy is the one in etcd, or what we were started with before that is known. The mutex is held.
func (s *Sidecar) policy() watchdog.Policy {
	if c := s.state.cluster; c != nil && c.Policy != nil {
		return *c.Policy
	}
	return s.options.Policy
}

// primary is who holds the term, by the last read. The mutex is held.
func (s *Sidecar) primary() string {
	if c := s.state.cluster; c != nil && c.Record != nil {
		return c.Record.Primary
	}
	return ""
}

// turn looks at everything once, decides, and sets the decision in motion.
func (s *Sidecar) turn(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.announce()
	if s.state.refusal != nil {
		return s.state.refusal
	}
	view := s.buildView()
	decision := watchdog.Decide(view)
	s.note(view, decision)
	s.state.memory, s.state.renewTerm = decision.Memory, decision.Renew
	if decision.Renew == 0 && view.Server.Gone && view.Trust.Term != 0 {
		s.state.trust = watchdog.Trust{}
	}
	for _, action := range decision.Actions {
		if err := s.start(ctx, view, decision, action); err != nil {
			return err
		}
	}
	return nil
}

// buildView gathers everything that the decision may depend on. The mutex is held.
func (s *Sidecar) buildView() watchdog.View {
	now, k, st := s.now(), s.journal.read(), &s.state
	v := watchdog.View{
		Now: now, Wall: s.options.Clock.Wall(), Me: s.options.Identity, Policy: s.policy(), Server: st.server, Trust: st.trust, Cluster: st.cluster,
		ReadAt: st.readAt, ReadGap: st.readGap, Peers: make(map[string]watchdog.Peer, len(st.peers)), Flight: st.inFlight, Memory: st.memory, Abstain: st.abstain,
	}
	st.readGap = false
	for name, p := range st.peers {
		v.Peers[name] = p
	}
	v.Me.Admitted = k.Admission
	v.Me.GuardReady = st.guardPID != 0 && st.guardPID == st.server.PID
	v.Server.StoredAt = now
	if st.storing != 0 {
		v.Server.StoredAt = st.storing
	}
	if v.Server.Problem == "" && st.inFlight.Failed != "" {
		v.Server.Problem = st.problem
	}
	if c := st.cluster; c != nil && st.leased {
		own, registered := c.Members[v.Me.Name]
		v.Me.Registered = registered && own.Incarnation == v.Me.Incarnation
		v.Me.CampaignKey = c.Campaigns[v.Me.Name]
	}
	return v
}

// note logs a decision when it differs from the one before, and counts it.
func (s *Sidecar) note(v watchdog.View, d watchdog.Decision) {
	st := &s.state
	st.counters.Decisions[d.Reason]++
	if d.Reason != st.decision.Reason {
		level := slog.LevelInfo
		if len(d.Actions) == 0 && d.Detail == "" {
			level = slog.LevelDebug
		}
		s.log.Log(context.Background(), level, "decision", "reason", d.Reason, "detail", d.Detail, "role", v.Server.Role, "term", termOf(v))
	}
	st.view, st.decision, st.turnedAt = v, d, v.Now
}

func termOf(v watchdog.View) watchdog.Term {
	if v.Cluster == nil || v.Cluster.Record == nil {
		return 0
	}
	return v.Cluster.Record.Term
}
