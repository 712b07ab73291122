package sidecar_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgvigil/pgvigil/election/electiontest"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// world is a whole cluster in one process and in virtual time: real sidecars, etcd's fake, and servers that are a few
// numbers. It tests the loop, not PostgreSQL.
type world struct {
	t     *testing.T
	began time.Time
	etcd  *electiontest.Cluster
	mu    sync.Mutex
	nodes map[string]*node

	policy watchdog.Policy
	tail   func(context.Context) (io.ReadCloser, error) // what a peer answers that is asked for its tail; nil: all of it
}

type node struct {
	*world
	name    string
	dir     string
	store   *electiontest.FakeClient
	sidecar *sidecar.Sidecar
	stop    context.CancelFunc
	done    chan error

	// the server, under the world's mutex
	role      watchdog.Role
	pid, pids int
	timeline  watchdog.Timeline
	end       watchdog.LSN
	upstream  string
	latched   bool
	hung      bool
	crash     func(step string)
	before    func(ctx context.Context, v watchdog.View) error
	unsure    int // so often is the end of WAL not known exactly
	exited    chan struct{}
	fences    int
	reloads   int
	stamp     watchdog.Term
	sync      watchdog.Sync

	silentFrom string // Observe hangs from this step of the sidecar on to the next
	isSilent   bool
	endless    bool // the end of its WAL cannot be found

	// the guard
	armed watchdog.Instant
}

var servers = []string{"node1", "node2", "node3"}

// inWorld runs a test in a bubble of virtual time with a primary, two standbys and a sidecar beside each.
func inWorld(t *testing.T, test func(t *testing.T, w *world), changes ...func(*watchdog.Policy)) {
	dirs := map[string]string{}
	for _, name := range servers {
		dirs[name] = t.TempDir()
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, began: time.Now(), nodes: map[string]*node{}, policy: watchdog.DefaultPolicy()}
		for _, change := range changes {
			change(&w.policy)
		}
		w.etcd = electiontest.NewCluster(w.Now)
		for _, name := range servers {
			n := &node{world: w, name: name, dir: dirs[name], role: watchdog.RoleStandby, timeline: 1, end: 0x5000000, upstream: "node1:5432", latched: true}
			w.nodes[name] = n
			n.run(watchdog.RoleStandby)
		}
		w.nodes["node1"].role, w.nodes["node1"].latched, w.nodes["node1"].upstream = watchdog.RolePrimary, false, ""
		for _, name := range servers {
			w.nodes[name].start()
		}
		defer func() {
			for _, n := range w.nodes {
				n.halt()
			}
		}()
		w.until("every standby is confirmed and another leads", 30*time.Second, func(c watchdog.Cluster) bool {
			return c.Record != nil && len(c.Record.Members) == 3 && c.Leader != "" && c.Leader != "node1" && w.heirsKnown()
		})
		test(t, w)
	})
}

func (w *world) Now() watchdog.Instant { return watchdog.Instant(time.Since(w.began)) + 1 }
func (w *world) Wall() time.Time       { return time.Now() }

func (n *node) address() string { return n.name + ":5432" }

func (n *node) start() {
	n.store = n.etcd.Client()
	var out io.Writer = io.Discard
	if testing.Verbose() {
		out = &testWriter{n.t}
	}
	s, err := sidecar.New(sidecar.Options{
		Cluster: "test", Policy: n.policy, StateDir: n.dir, Store: n.store, Postgres: n, Guard: (*fakeGuard)(n), Peers: (*fakePeers)(n.world),
		Clock: n.world, Log: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Identity: watchdog.Identity{Name: n.name, Address: n.address(), API: "http://" + n.name}, Crash: n.step, BeforePromote: n.before,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	n.mu.Lock()
	n.sidecar, n.stop, n.done = s, stop, done
	n.mu.Unlock()
	go func() { done <- s.Run(ctx) }()
}

// halt ends the sidecar as a SIGTERM does, and leaves server and guard.
func (n *node) halt() {
	if n.stop == nil {
		return
	}
	n.stop()
	<-n.done
	n.mu.Lock()
	n.sidecar, n.stop = nil, nil
	n.mu.Unlock()
}

type testWriter struct{ t *testing.T }

func (w *testWriter) Write(p []byte) (int, error) {
	w.t.Log(string(bytes.TrimSpace(p)))
	return len(p), nil
}

// until waits in virtual time for the keys in etcd to be so.
func (w *world) until(what string, within time.Duration, so func(watchdog.Cluster) bool) time.Duration {
	w.t.Helper()
	from := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for time.Since(from) <= within {
		c := w.read()
		if so(c) {
			return time.Since(from)
		}
		<-tick.C
		w.etcd.Tick()
	}
	for _, n := range w.nodes {
		if n.sidecar != nil {
			s := n.sidecar.Snapshot()
			w.t.Logf("%s: %s (%s) server %+v flight %+v", n.name, s.Decision.Reason, s.Decision.Detail, s.View.Server, s.View.Flight)
		}
	}
	w.t.Fatalf("after %s still not: %s: %+v", within, what, w.read().Record)
	return 0
}

func (w *world) read() watchdog.Cluster {
	c, err := w.etcd.Client().Read(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func settledOn(names ...string) func(watchdog.Cluster) bool {
	return func(c watchdog.Cluster) bool {
		return c.Record != nil && c.Record.Phase == watchdog.PhaseNormal && slices.Contains(names, c.Record.Primary)
	}
}

// primaries counts the servers that accept writes.
func (w *world) primaries() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.nodes {
		if n.role == watchdog.RolePrimary && n.pid != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// run makes the server run. The mutex need not be held before there are sidecars.
func (n *node) run(role watchdog.Role) {
	n.pids++
	n.pid, n.role, n.exited = 1000+n.pids, role, make(chan struct{})
}

// die ends the server, whatever it was.
func (n *node) die() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pid != 0 {
		close(n.exited)
	}
	n.pid, n.exited = 0, nil
}

// write lets the primary's WAL grow; what standbys have of it is seen when they are looked at.
func (n *node) write(bytes watchdog.LSN) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.end += bytes
}

// source is the running server that this one streams from. The mutex is held.
func (n *node) source() *node {
	for _, up := range n.nodes {
		if up != n && up.address() == n.upstream && up.pid != 0 && up.role == watchdog.RolePrimary && up.end >= n.end && n.role == watchdog.RoleStandby && n.pid != 0 {
			return up
		}
	}
	return nil
}

func (n *node) Observe(ctx context.Context) (watchdog.Server, bool) {
	if n.silent(ctx) {
		return watchdog.Server{}, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pid == 0 {
		return watchdog.Server{Role: watchdog.RoleDown, SystemID: "7", Gone: true}, false
	}
	up := n.source()
	if up != nil {
		n.end, n.timeline = up.end, up.timeline
	}
	s := watchdog.Server{
		Role: n.role, PID: n.pid, SystemID: "7", ServerVersion: 150000, Timeline: n.timeline, Received: n.end, Replayed: n.end,
		Upstream: n.upstream, Receiver: up != nil, Streaming: up != nil, Latched: n.latched, Stamp: n.stamp, Sync: n.sync,
	}
	for _, d := range n.nodes {
		if d.source() == n {
			s.Standbys = append(s.Standbys, watchdog.Downstream{Name: d.name, Term: d.stamp, Streaming: true, Flushed: d.end})
		}
	}
	return s, true
}

func (n *node) Knock(ctx context.Context) error {
	n.mu.Lock()
	hung := n.hung
	n.mu.Unlock()
	if hung {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (n *node) ProbeStorage() error { return nil }

func (n *node) Exited() (<-chan struct{}, int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.exited, n.pid
}

func (n *node) Broken() <-chan struct{} { return nil }

func (n *node) Fence(context.Context, bool) error {
	n.mu.Lock()
	n.fences++
	n.mu.Unlock()
	n.die()
	return nil
}

func (n *node) Latch(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.latched = true
	return nil
}

func (n *node) Unlatch(context.Context) error { return nil }

func (n *node) Start(_ context.Context, up watchdog.Upstream) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.upstream, n.stamp, n.latched, n.hung = up.Address, up.Term, true, false
	n.run(watchdog.RoleStandby)
	return nil
}

func (n *node) Stop(context.Context) error { n.die(); return nil }

func (n *node) Repoint(_ context.Context, up watchdog.Upstream) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.upstream, n.stamp = up.Address, up.Term
	return nil
}

func (n *node) Prod(context.Context, watchdog.Upstream, bool) error { return nil }

func (n *node) HangUp(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.upstream = ""
	return nil
}

func (n *node) EndOfWAL(context.Context) (sidecar.Position, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.unsure > 0 {
		n.unsure--
		return sidecar.Position{End: n.end}, nil
	}
	return sidecar.Position{Timeline: n.timeline, End: n.end, Exact: true}, nil
}

func (n *node) DeadEnd(context.Context, watchdog.Timeline, watchdog.LSN) (sidecar.Position, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.endless {
		return sidecar.Position{}, errNoEnd
	}
	return sidecar.Position{Timeline: n.timeline, End: n.end}, nil
}

func (n *node) ServeTail(_ context.Context, _ watchdog.Timeline, from, to watchdog.LSN, w io.Writer) error {
	_, err := w.Write(make([]byte, to-from))
	return err
}

func (n *node) NextTimeline(context.Context) (watchdog.Timeline, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.timeline + 1, nil
}

func (n *node) Promote(_ context.Context, timeline watchdog.Timeline, step func(string)) (sidecar.Promotion, error) {
	step("promote")
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pid == 0 {
		return sidecar.Promotion{}, errors.New("no server")
	}
	n.role, n.timeline, n.latched = watchdog.RolePrimary, timeline, true
	return sidecar.Promotion{Timeline: timeline, Fork: n.end}, nil
}

func (n *node) Kill(context.Context) error {
	n.die()
	return nil
}

func (n *node) Reload(context.Context) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reloads++
	return "settings that changed: work_mem; that wait for a restart: none", nil
}

func (n *node) PendingRestart(context.Context) ([]string, error) { return nil, nil }

func (n *node) Checkpoint(context.Context) error { return nil }

func (n *node) History(context.Context, watchdog.Timeline) (watchdog.LSN, error) { return 0, nil }

func (n *node) Receipt(context.Context, watchdog.Term, watchdog.Timeline, watchdog.LSN) (string, error) {
	return "kept", nil
}

func (n *node) Rewind(_ context.Context, up watchdog.Upstream, _ func(string)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	source := n.nodes[up.Name]
	n.end, n.timeline = source.end, source.timeline
	return nil
}

func (n *node) RewindReady(context.Context) string { return "" }
func (n *node) Clone(ctx context.Context, up watchdog.Upstream, step func(string)) error {
	return n.Rewind(ctx, up, step)
}

// fakeGuard fences at its deadline, whatever has become of the sidecar.
type fakeGuard node

func (g *fakeGuard) Ensure(context.Context, int) error { return nil }

func (g *fakeGuard) Arm(deadline watchdog.Instant) error {
	n := (*node)(g)
	n.mu.Lock()
	n.armed = deadline
	n.mu.Unlock()
	time.AfterFunc(deadline.Since(n.Now()), func() {
		n.mu.Lock()
		due := n.armed == deadline
		n.mu.Unlock()
		if due {
			n.die()
		}
	})
	return nil
}

func (g *fakeGuard) Deadline() watchdog.Instant {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.armed
}

func (g *fakeGuard) Disarm() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = 0
	return nil
}

func (g *fakeGuard) Exited() <-chan struct{} { return nil }

// fakePeers reaches the other sidecars by a call.
type fakePeers world

func (p *fakePeers) at(api string) (*sidecar.Sidecar, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.nodes {
		if "http://"+n.name == api && n.sidecar != nil {
			return n.sidecar, nil
		}
	}
	return nil, fmt.Errorf("%s does not answer", api)
}

func (p *fakePeers) Heartbeat(_ context.Context, api string, self watchdog.Member) (watchdog.Member, bool, error) {
	s, err := p.at(api)
	if err != nil {
		return watchdog.Member{}, false, err
	}
	s.Heard(self)
	return s.Self(), true, nil
}

func (p *fakePeers) Tail(ctx context.Context, tail watchdog.Tail, from watchdog.LSN) (io.ReadCloser, error) {
	s, err := p.at(tail.API)
	if err != nil {
		return nil, err
	}
	if p.tail != nil {
		return p.tail(ctx)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var b bytes.Buffer
	if err := s.ServeTail(ctx, tail.Token, tail.Timeline, from, tail.End, &b); err != nil {
		return nil, err
	}
	return io.NopCloser(&b), nil
}
