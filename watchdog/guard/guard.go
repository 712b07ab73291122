package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Options says what is guarded, and by what program.
type Options struct {
	DataDir  string // of the PostgreSQL that is fenced
	StateDir string // for guard.json and guard.log
	Program  string // run as `<Program> guard-process …`; empty: this very program, as it was when it was started
	Log      Logger // nil: none

	Addresses []Address // that the guard takes down as it fences; needs CAP_NET_ADMIN
}

// Logger is what the guard needs of a *slog.Logger. The package log/slog itself would have to be initialised before the guard's
// process begins, and much else with it (see cmd/pgvigil/guardian).
type Logger interface {
	Debug(message string, facts ...any)
	Info(message string, facts ...any)
	Warn(message string, facts ...any)
}

type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}

// Guard is the sidecar's end. Arm, Disarm, Exited and Status may be called while Ensure runs, and do not wait for it.
type Guard struct {
	options Options

	ensure chan struct{} // held by the one Ensure that runs
	looked bool          // for guards of an earlier sidecar; under ensure

	swap    sync.Mutex // held to feed a guard, and to replace it
	current atomic.Pointer[child]
}

// New returns the sidecar's end. It starts and adopts nothing yet.
func New(o Options) (*Guard, error) {
	if o.DataDir == "" || o.StateDir == "" {
		return nil, errors.New("guard needs a data directory and a state directory")
	}
	var err error
	if o.DataDir, err = absolute(o.DataDir); err != nil {
		return nil, fmt.Errorf("guard: data directory: %w", err)
	}
	if o.StateDir, err = absolute(o.StateDir); err != nil {
		return nil, fmt.Errorf("guard: state directory: %w", err)
	}
	if o.Program == "" {
		o.Program = "/proc/self/exe"
	}
	if o.Log == nil {
		o.Log = silent{}
	}
	return &Guard{options: o, ensure: make(chan struct{}, 1)}, nil
}

// absolute is for a process that works elsewhere.
func absolute(path string) (string, error) {
	if path[0] != '/' {
		here, err := os.Getwd()
		if err != nil {
			return "", err
		}
		path = here + "/" + path
	}
	return strings.TrimRight(path, "/"), nil
}

// Ensure returns once a guard is ready that was started for the postmaster pid: the one that runs, one that an earlier sidecar
// has left, or a new one, which takes the deadline over. pid 0, for no postmaster yet: any guard of the data directory will
// do. When ctx ends first, the guard before it, if any, goes on.
func (g *Guard) Ensure(ctx context.Context, pid int) error {
	select {
	case g.ensure <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("ensure guard: %w", ctx.Err())
	}
	// All that touches a disk or starts a process is done beside, so that ctx is kept to whatever hangs.
	done := make(chan error, 1)
	go func() {
		defer func() { <-g.ensure }()
		done <- g.provide(ctx, pid)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("ensure guard: %w", ctx.Err())
	}
}

// provide is Ensure, under its lock.
func (g *Guard) provide(ctx context.Context, pid int) error {
	if !g.looked {
		g.adopt(ctx)
		g.looked = true
	}
	old := g.current.Load()
	if old != nil && old.suits(pid) && old.same(g.options.Addresses) {
		return nil
	}
	c, err := launch(g.options, pid)
	if err != nil {
		return err
	}
	if err := c.await(ctx, func() bool { return c.memory.ready.Load() != 0 }); err != nil {
		c.dismiss()
		return fmt.Errorf("start guard for postmaster %d (see %s): %w", pid, g.options.journalFile(), err)
	}
	g.save(old, c)
	if err := g.replace(old, c); err != nil {
		c.dismiss()
		return fmt.Errorf("replace guard for postmaster %d: %w", pid, err)
	}
	g.save(c)
	g.announce(c)
	return nil
}

func (c *child) suits(pid int) bool {
	return c.usable() && (pid == 0 || pid == c.postmaster && c.memory.orphaned.Load() == 0)
}

// adopt takes back the guards of an earlier sidecar. The newest becomes ours, with the latest deadline of all.
func (g *Guard) adopt(ctx context.Context) {
	s, err := loadState(g.options)
	if err != nil {
		g.options.Log.Warn("cannot read the guard's state: a guard that still runs will fence", "error", err)
	}
	for _, k := range s.Guards {
		if k.DataDir != g.options.DataDir || ctx.Err() != nil {
			continue
		}
		c, err := adopt(k)
		if err != nil {
			g.options.Log.Debug("no guard to adopt", "guard", k.PID, "error", err)
			continue
		}
		if !c.usable() {
			continue
		}
		if err := g.replace(g.current.Load(), c); err != nil {
			g.options.Log.Warn("cannot adopt guard", "guard", k.PID, "error", err)
			continue
		}
		g.options.Log.Info("adopted guard", "guard", c.pid, "postmaster", c.postmaster)
	}
}

// replace makes c the guard. It carries the deadline before the one before it is let go.
func (g *Guard) replace(old, c *child) error {
	g.swap.Lock()
	defer g.swap.Unlock()
	if old != nil {
		if err := c.carry(old); err != nil {
			return err
		}
	}
	g.current.Store(c)
	if old != nil {
		old.dismiss()
	}
	return nil
}

func (g *Guard) save(guards ...*child) {
	if err := saveState(g.options, guards...); err != nil {
		g.options.Log.Warn("a sidecar started again will not find the guard, which will then fence", "error", err)
	}
}

func (g *Guard) announce(c *child) {
	s := c.status()
	g.options.Log.Info("guard is ready", "guard", s.PID, "postmaster", s.Postmaster, "memory_locked", s.MemoryLocked,
		"real_time", s.RealTime, "nice", s.Nice, "oom_exempt", s.OOMExempt)
}

// Arm sets the instant at which the guard fences unless it is fed again, which is another Arm. For an armed guard it is a store
// to memory. It waits for the guard's answer, for at most a quarter of a second, when the guard was disarmed, when the deadline
// is earlier than the one before, and when the guard should have stirred by now and has not. After ErrFired the server is being
// killed, whatever the deadline; after any other error nothing guards it.
func (g *Guard) Arm(deadline watchdog.Instant) error {
	if deadline <= 0 {
		return fmt.Errorf("arm guard: %d is no instant", deadline)
	}
	g.swap.Lock()
	defer g.swap.Unlock()
	c := g.current.Load()
	if c == nil {
		return fmt.Errorf("arm guard: %w", ErrNone)
	}
	return c.arm(int64(deadline))
}

// Disarm lets the guard rest. Only after the server is verified gone or is a standby. No guard, or one that has fired, is no
// error: it guards nothing any more.
func (g *Guard) Disarm() error {
	g.swap.Lock()
	defer g.swap.Unlock()
	if c := g.current.Load(); c != nil {
		c.disarm()
	}
	return nil
}

// Exited returns a channel that is closed when the present guard's process is gone: nil before the first Ensure. Ask anew after
// each Ensure: a guard that was replaced ends.
func (g *Guard) Exited() <-chan struct{} {
	if c := g.current.Load(); c != nil {
		return c.exited
	}
	return nil
}

// Status is what the present guard says of itself, or said last. ok is false while there is none.
func (g *Guard) Status() (s Status, ok bool) {
	c := g.current.Load()
	if c == nil {
		return Status{}, false
	}
	return c.status(), true
}

// Deadline is what the present guard is armed with, 0 when it is not.
func (g *Guard) Deadline() watchdog.Instant {
	s, _ := g.Status()
	return s.Deadline
}

// Dismiss ends the guard for good, armed or not: for leaving the cluster.
func (g *Guard) Dismiss() {
	g.swap.Lock()
	defer g.swap.Unlock()
	if c := g.current.Load(); c != nil {
		c.dismiss()
	}
}
