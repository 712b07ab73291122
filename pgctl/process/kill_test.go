package process

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/test/until"
)

func TestKillLeavesNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		kind   string
		n      int
		before func(s *server, t *testing.T)
		gentle time.Duration
		asked  bool // an immediate shutdown
		killed int  // at least
	}{
		"a running server, at once":              {"plain", 3, nil, 0, false, 4},
		"a running server that obeys":            {"plain", 3, nil, patience, true, 0},
		"a running server that does not obey":    {"deaf", 3, nil, 50 * time.Millisecond, true, 4},
		"backends of a dead postmaster, gently":  {"plain", 3, (*server).kill, patience, false, 3},
		"backends of a dead postmaster, at once": {"plain", 3, (*server).kill, 0, false, 3},
		"a stopped postmaster: it cannot obey":   {"plain", 3, (*server).stop, patience, false, 4},
		"nothing":                                {"plain", 0, (*server).kill, patience, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, tc.kind, tc.n)
			if tc.before != nil {
				tc.before(s, t)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			report, err := Kill(ctx, s.dir, Options{Gentle: tc.gentle})
			if err != nil {
				t.Fatal(err)
			}
			if left := Find(s.dir); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
			if report.Gentle != tc.asked || report.Killed < tc.killed || tc.asked && tc.killed == 0 && report.Killed != 0 {
				t.Errorf("report %+v, want asked %v, killed %d", report, tc.asked, tc.killed)
			}
			t.Logf("%d processes in %s", len(report.Found), report.Took)
		})
	}
}

func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until.Holds(t, "the postmaster is stopped", func() bool { p, _, ok := stat(s.Process.Pid); return ok && p.stopped() })
}

func TestKillMayHoldFewerThanThereAre(t *testing.T) {
	for _, gentle := range []time.Duration{0, 20 * time.Millisecond} {
		s := start(t, "deaf", 5)
		k := newKilling(t.Context(), s.dir)
		k.most = 2
		if err := k.run(Options{Gentle: gentle}); err != nil || !Gone(s.dir) {
			t.Errorf("%v, left: %v", err, Find(s.dir))
		}
	}
}

func TestKillSaysWhoIsLeft(t *testing.T) {
	s := start(t, "plain", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report, err := Kill(ctx, s.dir, Options{})
	if !errors.Is(err, context.Canceled) || len(report.Left) != 2 {
		t.Fatalf("got %v, %+v", err, report)
	}
	for _, pid := range report.Left {
		if !strings.Contains(err.Error(), strconv.Itoa(pid)) {
			t.Errorf("%q does not name %d", err, pid)
		}
	}
}

func TestRehearseHurtsNobody(t *testing.T) {
	s := start(t, "plain", 2)
	before := Find(s.dir)
	if err := Rehearse(s.dir); err != nil {
		t.Fatal(err)
	}
	if after := Find(s.dir); len(after) != len(before) {
		t.Errorf("before %v, after %v", before, after)
	}
	empty, err := Resolve(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := Rehearse(empty); err != nil {
		t.Error(err)
	}
}

func TestHandle(t *testing.T) {
	s := start(t, "plain", 0)
	h, err := Open(s.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if !h.Alive() || h.PID() != s.Process.Pid {
		t.Errorf("pid %d, alive %v", h.PID(), h.Alive())
	}
	select {
	case <-h.Exited():
		t.Error("exited too early")
	default:
	}
	if err := h.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-h.Exited():
	case <-time.After(patience):
		t.Fatal("its exit was not noticed")
	}
	if h.Alive() {
		t.Error("a zombie is alive")
	}
	_ = s.Wait()
	if err := h.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to nobody: %v", err)
	}
	if _, err := Open(s.Process.Pid); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("open nobody: %v", err)
	}
}

func TestAHandleClosedWhileWaitedForSaysNothing(t *testing.T) {
	s := start(t, "plain", 0)
	h, err := Open(s.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	exited := h.Exited()
	if err := errors.Join(h.Close(), h.Close()); err != nil {
		t.Error(err)
	}
	select {
	case <-exited:
		t.Error("said that it exited")
	case <-time.After(50 * time.Millisecond):
	}
	if !h.Alive() {
		t.Error("a closed handle took a living process for dead")
	}
}
