package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/test/until"
	"github.com/pgvigil/pgvigil/watchdog"
)

const (
	// patience bounds every wait of these tests, which share two cores with much else.
	patience = 20 * time.Second
	// soon is a deadline that is to pass, and far one that is not.
	soon = 300 * time.Millisecond
	far  = time.Hour
)

// TestMain is also the guard's process, as the program's main package is. It fences by leaving a file in the data directory, for
// as long as a file called stubborn does not lie there.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Command {
		os.Exit(Run(os.Args[2:], reach))
	}
	os.Exit(m.Run())
}

func reach(dataDir string) (Hands, error) {
	if _, err := os.Stat(dataDir); err != nil {
		return Hands{}, err
	}
	mark := func(name string) error {
		return os.WriteFile(filepath.Join(dataDir, name), []byte(strconv.Itoa(os.Getpid())), 0o600)
	}
	return Hands{
		Rehearse: func() error { return mark("rehearsed") },
		Fence: func(ctx context.Context) error {
			if _, err := os.Stat(filepath.Join(dataDir, "stubborn")); err == nil {
				<-ctx.Done()
				return ctx.Err()
			}
			return mark("fenced")
		},
	}, nil
}

// newGuard returns a sidecar's end whose guards are ended with the test.
func newGuard(t *testing.T, o Options) *Guard {
	t.Helper()
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.Dismiss()
		if c := g.current.Load(); c != nil {
			if g.options.Program == "/proc/self/exe" {
				_ = syscall.Kill(c.pid, syscall.SIGCONT)
			}
			gone(t, c.exited)
		}
	})
	return g
}

func options(t *testing.T) Options { return Options{DataDir: t.TempDir(), StateDir: t.TempDir()} }

func ready(t *testing.T, g *Guard, postmaster int) Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := g.Ensure(ctx, postmaster); err != nil {
		t.Fatal(err)
	}
	s, ok := g.Status()
	if !ok || s.PID == 0 || s.Ready == 0 {
		t.Fatalf("ensured, and has %+v", s)
	}
	return s
}

func arm(t *testing.T, g *Guard, in time.Duration) watchdog.Instant {
	t.Helper()
	deadline := boottime().Add(in)
	if err := g.Arm(deadline); err != nil {
		t.Fatal(err)
	}
	return deadline
}

func gone(t *testing.T, exited <-chan struct{}) {
	t.Helper()
	select {
	case <-exited:
	case <-time.After(patience):
		t.Fatal("the guard's process does not end")
	}
}

// fencedBy returns the pid of the guard that fenced, 0 if none did.
func fencedBy(g *Guard) int {
	data, err := os.ReadFile(filepath.Join(g.options.DataDir, "fenced"))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(string(data))
	return pid
}

// passed waits until the instant is past and, so that what would happen then can have happened, a little longer.
func passed(t *testing.T, at watchdog.Instant) {
	t.Helper()
	select {
	case <-time.After(at.Since(boottime()) + 100*time.Millisecond):
	case <-t.Context().Done():
	}
}

func TestAGuardThatIsNotFedFences(t *testing.T) {
	g := newGuard(t, options(t))
	s := ready(t, g, os.Getpid())
	if _, err := os.Stat(filepath.Join(g.options.DataDir, "rehearsed")); err != nil {
		t.Error("it is ready and has not rehearsed")
	}
	deadline := arm(t, g, soon)
	gone(t, g.Exited())
	if by := fencedBy(g); by != s.PID {
		t.Errorf("fenced by %d, want %d", by, s.PID)
	}
	after, _ := g.Status()
	if after.Fired < deadline || after.Fenced < after.Fired || after.Deadline != 0 {
		t.Errorf("deadline %d, status %+v", deadline, after)
	}
	t.Logf("fired %s after the deadline; %+v", after.Fired.Since(deadline), after)
	if err := g.Arm(boottime().Add(far)); !errors.Is(err, ErrFired) {
		t.Errorf("arming it again: %v", err)
	}
	log, _ := os.ReadFile(g.options.journalFile())
	if len(log) == 0 {
		t.Error("it left no line")
	}
	t.Logf("%s", log)
}

func TestAGuardThatIsFedDoesNotFence(t *testing.T) {
	g := newGuard(t, options(t))
	ready(t, g, os.Getpid())
	end := boottime().Add(5 * soon)
	for boottime() < end {
		passed(t, arm(t, g, soon)-watchdog.Instant(200*time.Millisecond))
	}
	if s, _ := g.Status(); s.Fired != 0 || fencedBy(g) != 0 {
		t.Errorf("it fenced: %+v", s)
	}
	if err := g.Disarm(); err != nil {
		t.Fatal(err)
	}
}

func TestADisarmedGuardRests(t *testing.T) {
	g := newGuard(t, options(t))
	ready(t, g, 0)
	deadline := arm(t, g, soon)
	if err := g.Disarm(); err != nil {
		t.Fatal(err)
	}
	passed(t, deadline)
	if s, _ := g.Status(); s.Fired != 0 || s.Deadline != 0 || fencedBy(g) != 0 {
		t.Errorf("it fenced: %+v", s)
	}
	arm(t, g, soon)
	gone(t, g.Exited())
}

func TestAnEarlierDeadlineHolds(t *testing.T) {
	g := newGuard(t, options(t))
	ready(t, g, os.Getpid())
	arm(t, g, far)
	arm(t, g, soon)
	gone(t, g.Exited())
	if err := g.Arm(0); err == nil {
		t.Error("armed for never")
	}
}

func TestFencingGoesOnUntilNobodyIsLeft(t *testing.T) {
	g := newGuard(t, options(t))
	ready(t, g, os.Getpid())
	stubborn := filepath.Join(g.options.DataDir, "stubborn")
	if err := os.WriteFile(stubborn, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	arm(t, g, soon)
	until.Holds(t, "an attempt has failed", func() bool { s, _ := g.Status(); return s.Failures > 0 })
	if s, _ := g.Status(); s.Fired == 0 || s.Fenced != 0 {
		t.Errorf("status %+v", s)
	}
	if err := os.Remove(stubborn); err != nil {
		t.Fatal(err)
	}
	gone(t, g.Exited())
	if s, _ := g.Status(); s.Fenced == 0 {
		t.Errorf("status %+v", s)
	}
}

func TestEnsureKeepsAGuardThatSuits(t *testing.T) {
	g := newGuard(t, options(t))
	first := ready(t, g, os.Getpid())
	if again := ready(t, g, os.Getpid()); again.PID != first.PID {
		t.Errorf("%d in the place of %d", again.PID, first.PID)
	}
	if any := ready(t, g, 0); any.PID != first.PID {
		t.Errorf("%d in the place of %d", any.PID, first.PID)
	}
}

func TestAnotherPostmasterGetsAnotherGuardWithTheSameDeadline(t *testing.T) {
	g := newGuard(t, options(t))
	first := ready(t, g, os.Getpid())
	exited := g.Exited()
	deadline := arm(t, g, 2*time.Second)
	second := ready(t, g, os.Getppid())
	if second.PID == first.PID || second.Deadline != deadline {
		t.Errorf("first %+v, second %+v", first, second)
	}
	gone(t, exited)
	gone(t, g.Exited())
	if by := fencedBy(g); by != second.PID {
		t.Errorf("fenced by %d, want %d", by, second.PID)
	}
}

func TestAGuardThatIsGoneIsNoticedAndReplaced(t *testing.T) {
	g := newGuard(t, options(t))
	if err := g.Arm(boottime().Add(far)); !errors.Is(err, ErrNone) {
		t.Errorf("armed nothing: %v", err)
	}
	if err := g.Disarm(); err != nil || g.Exited() != nil {
		t.Errorf("%v", err)
	}
	first := ready(t, g, os.Getpid())
	arm(t, g, far)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gone(t, g.Exited())
	if err := g.Arm(boottime().Add(far)); !errors.Is(err, ErrNone) {
		t.Errorf("armed a dead guard: %v", err)
	}
	if second := ready(t, g, os.Getpid()); second.PID == first.PID {
		t.Error("it was not replaced")
	}
	arm(t, g, far)
}

func TestAGuardThatDoesNotStirIsNoticed(t *testing.T) {
	g := newGuard(t, options(t))
	s := ready(t, g, os.Getpid())
	stop(t, s.PID)
	if err := g.Arm(boottime().Add(far)); !errors.Is(err, ErrUnresponsive) {
		t.Errorf("armed a stopped guard: %v", err)
	}
	if now, _ := g.Status(); now.Deadline != 0 {
		t.Errorf("left a deadline with it: %+v", now)
	}
	if err := syscall.Kill(s.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	deadline := arm(t, g, time.Second)
	stop(t, s.PID)
	arm(t, g, far) // it need not stir yet
	passed(t, deadline.Add(2*ackBound))
	if err := g.Arm(boottime().Add(far)); !errors.Is(err, ErrUnresponsive) {
		t.Errorf("fed a stopped guard: %v", err)
	}
	if err := syscall.Kill(s.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	arm(t, g, far)
}

func TestThePostmastersExitDoesNotEndIt(t *testing.T) {
	postmaster := exec.Command("sleep", "600")
	if err := postmaster.Start(); err != nil {
		t.Fatal(err)
	}
	g := newGuard(t, options(t))
	first := ready(t, g, postmaster.Process.Pid)
	arm(t, g, time.Second)
	_ = postmaster.Process.Kill()
	_ = postmaster.Wait()
	until.Holds(t, "the guard sees it", func() bool { s, _ := g.Status(); return s.Orphaned })
	gone(t, g.Exited())
	if by := fencedBy(g); by != first.PID {
		t.Errorf("fenced by %d, want %d", by, first.PID)
	}
}

func TestSIGTERMEndsItOnlyOnceDisarmed(t *testing.T) {
	g := newGuard(t, options(t))
	s := ready(t, g, os.Getpid())
	arm(t, g, far)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
		if err := syscall.Kill(s.PID, sig); err != nil {
			t.Fatal(err)
		}
	}
	arm(t, g, 30*time.Minute) // earlier, so that it answers
	select {
	case <-g.Exited():
		t.Fatal("it ended while armed")
	default:
	}
	if err := g.Disarm(); err != nil {
		t.Fatal(err)
	}
	gone(t, g.Exited())
}

func TestEnsureKeepsToItsContext(t *testing.T) {
	o := options(t)
	o.Program = filepath.Join(t.TempDir(), "hangs")
	if err := os.WriteFile(o.Program, []byte("#!/bin/sh\nexec sleep 5\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	g := newGuard(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := g.Ensure(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, ok := g.Status(); ok {
		t.Error("there is a guard")
	}
}

func TestEnsureSaysWhyThereIsNone(t *testing.T) {
	o := options(t)
	o.Program = "/bin/false"
	if err := newGuard(t, o).Ensure(t.Context(), 0); !errors.Is(err, ErrNone) {
		t.Errorf("a program that ends: %v", err)
	}
	o.Program = "/nonexistent"
	if err := newGuard(t, o).Ensure(t.Context(), 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: %v", err)
	}
	o = options(t)
	o.DataDir += "/none"
	if err := newGuard(t, o).Ensure(t.Context(), 0); !errors.Is(err, ErrNone) {
		t.Errorf("no data directory: %v", err)
	}
	if _, err := New(Options{}); err == nil {
		t.Error("guards nothing in particular")
	}
}

func TestRunRefusesWhatItCannotGuard(t *testing.T) {
	for _, args := range [][]string{nil, {"/", "x"}, {"/", "1", "2"}} {
		if code := runQuietly(args); code != 1 {
			t.Errorf("%q: %d", args, code)
		}
	}
}

// runQuietly calls what Run calls, in this process, which has inherited no memory.
func runQuietly(args []string) int {
	j := openJournal(os.NewFile(^uintptr(0), "nowhere"))
	defer j.close()
	if _, err := newWatcher(args, reach, j); err != nil {
		j.say("%v", err)
		return 1
	}
	return 0
}

func ExampleGuard() {
	g, err := New(Options{DataDir: "/var/lib/postgresql/15/main", StateDir: "/var/lib/pgvigil"})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(errors.Is(g.Arm(1), ErrNone))
	// Output: true
}

// stop stops a process, and returns when it has: a signal takes effect when the process is next scheduled.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if _, after, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(after, "T") {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("process %d does not stop: %s %v", pid, stat, err)
		}
	}
}
