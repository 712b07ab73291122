package pgctl

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// diverged makes a former primary, killed, with three transactions that only it had, and the primary of timeline 2 that its
// cluster has gone on with.
func diverged(t *testing.T, bin string) (old, now *testServer, in *Instance, up watchdog.Upstream) {
	t.Helper()
	old, now, standby := pair(t, bin, "wal_log_hints = on")
	if !old.major.rewind {
		t.Skip("no pg_rewind in this version")
	}
	if _, err := os.Stat(filepath.Join(bin, "pg_rewind")); err != nil {
		t.Skip("no pg_rewind here")
	}
	old.exec("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
	now.caughtUp(old)
	now.must(standby.HangUp(now.context()))
	for range 3 {
		old.exec("INSERT INTO t SELECT generate_series(1000, 3000)")
	}
	in = old.open()
	old.must(in.Fence(old.context(), false))
	p := now.promoted(standby, 2)
	now.exec("INSERT INTO t VALUES (2)")
	old.append("postgresql.conf", "# the old primary's own")
	now.append("postgresql.conf", "# the new primary's own")
	up = now.upstream()
	up.Timeline, up.Fork = 2, p.Fork
	return old, now, in, up
}

// rejoined checks that the old primary follows the new one, without its own rows and with its own configuration.
func (s *testServer) rejoined(in *Instance, now *testServer) {
	s.t.Helper()
	streams(s.t, in, now)
	now.exec("INSERT INTO t VALUES (3)")
	eventually(s.t, "the new primary's rows and no others", func() bool {
		return s.value("SELECT string_agg(n::text, ' ' ORDER BY n) FROM t") == "1 2 3"
	})
	conf := s.read("postgresql.conf")
	if !strings.Contains(conf, "the old primary's own") || strings.Contains(conf, "the new primary's own") {
		s.t.Errorf("its configuration is now\n%s", conf)
	}
	if in.RewindPending() {
		s.t.Error("a rewind is still pending")
	}
}

func TestReceiptAndRewind(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		old, now, in, up := diverged(t, bin)
		line, err := in.Receipt(old.context(), 2, 1, up.Fork)
		old.must(err)
		t.Log(line)
		again, err := in.Receipt(old.context(), 2, 1, up.Fork)
		if err != nil || again != line {
			t.Errorf("again: %q, %v", again, err)
		}
		dir := filepath.Join(old.state, receiptsDir, "2-1")
		var r receipt
		old.must(json.Unmarshal([]byte(old.read("../state/receipts/2-1/summary.json")), &r))
		c, _ := readControl(old.dir)
		if r.Transactions == nil || *r.Transactions != 3 || !r.Exact || r.End != old.dumpedEnd(1, c.RedoLSN) || r.Fork != up.Fork ||
			r.Bytes != uint64(r.End-r.Fork) || len(r.Segments) == 0 || len(r.Missing) != 0 {
			t.Errorf("receipt %+v", r)
		}
		for _, name := range r.Segments {
			if !exists(filepath.Join(dir, name)) {
				t.Errorf("segment %s is not kept", name)
			}
		}
		var steps []string
		old.must(in.Rewind(old.context(), up, func(name string) { steps = append(steps, name) }))
		t.Log(steps)
		old.must(in.Rewind(old.context(), up, nil)) // again: nothing to do
		old.must(in.Start(old.context(), up))
		old.rejoined(in, now)
		if why := in.RewindReady(old.context()); why != "" {
			t.Errorf("another rewind would not work: %s", why)
		}
	})
}

// errCrash is what a step panics with where the process is to end.
var errCrash = errors.New("crash")

// crashingAt runs do, which ends when it comes to the step.
func crashingAt(t *testing.T, step string, do func(func(string)) error) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil && r != errCrash {
			panic(r)
		}
	}()
	err := do(func(name string) {
		if name == step {
			panic(errCrash)
		}
	})
	t.Errorf("it did not come to %s: %v", step, err)
}

// A rewind that was cut short at any step is ended by calling again; until then the server does not start.
func TestRewindAfterACrash(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		old, now, in, up := diverged(t, bin)
		for _, step := range []string{"rewind-check", "rewind-recover", "rewind-mark", "rewind-run", "rewind-verify", "rewind-restore"} {
			crashingAt(t, step, func(crash func(string)) error { return in.Rewind(old.context(), up, crash) })
			in = old.open() // another process
			pending := step != "rewind-check" && step != "rewind-recover" && step != "rewind-mark"
			if in.RewindPending() != pending {
				t.Errorf("after a crash at %s: pending %v", step, !pending)
			}
			if pending {
				if err := in.Start(old.context(), up); !errors.Is(err, ErrRewindPending) {
					t.Fatalf("after a crash at %s it starts: %v", step, err)
				}
			}
			if step == "rewind-verify" {
				break // called again it is seen to be done, and comes to no further step
			}
		}
		old.must(in.Rewind(old.context(), up, nil))
		old.must(in.Start(old.context(), up))
		old.rejoined(in, now)
	})
}

// Two servers that promoted to one number: pg_rewind says that nothing is to be done, and is not believed (F24).
func TestRewindDisbelievesPgRewind(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin, "wal_log_hints = on")
		if !one.major.rewind {
			t.Skip("no pg_rewind in this version")
		}
		three := one.newStandby("three")
		third := three.open()
		three.must(third.Start(three.context(), one.upstream()))
		streams(t, third, one)
		one.must(one.open().Fence(one.context(), false))
		two.promoted(in, 2)
		three.promoted(third, 2)
		for _, s := range []*testServer{two, three} {
			s.exec("CREATE TABLE own (n int); INSERT INTO own SELECT generate_series(1, 1000); CHECKPOINT")
		}
		two.must(in.Stop(two.context()))
		err := in.Rewind(two.context(), three.upstream(), nil)
		if !errors.Is(err, sidecar.ErrNotPossible) || !in.RewindPending() {
			t.Errorf("rewound: %v", err)
		}
		two.must(in.Clone(two.context(), three.upstream(), func(string) {}))
		streams(t, in, three)
	})
}

func TestRewindRefuses(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin)
		if !one.major.rewind {
			t.Skip("no pg_rewind in this version")
		}
		if err := in.Rewind(two.context(), one.upstream(), nil); !errors.Is(err, ErrRunning) {
			t.Errorf("of a running server: %v", err)
		}
		if c, _ := readControl(two.dir); !c.DataChecksums {
			if why := in.RewindReady(two.context()); !strings.Contains(why, "wal_log_hints") {
				t.Errorf("it would work: %q", why)
			}
			two.must(in.Stop(two.context()))
			if err := in.Rewind(two.context(), one.upstream(), nil); !errors.Is(err, sidecar.ErrNotPossible) {
				t.Errorf("without hints: %v", err)
			}
		}
		if in.RewindPending() {
			t.Error("it is pending")
		}
	})
}

func TestCloneAndSwap(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		if _, err := os.Stat(filepath.Join(bin, "pg_basebackup")); err != nil {
			t.Skip("no pg_basebackup")
		}
		old, now, in, up := diverged(t, bin)
		old.write("precious", "the only copy")
		for _, step := range []string{"clone-copy", "clone-swap", "clone-start", "clone-keep"} {
			crashingAt(t, step, func(crash func(string)) error { return in.Clone(old.context(), up, crash) })
			if step == "clone-keep" {
				old.must(in.Stop(old.context()))
			}
			in = old.open() // another process
			old.precious()
		}
		old.must(in.Clone(old.context(), up, func(string) {}))
		old.precious()
		old.rejoined(in, now)
		if exists(old.dir + ".clone") {
			t.Error("a copy is left beside")
		}
	})
}

// A WAL directory elsewhere stays elsewhere, and the old one is kept too.
func TestCloneWithWALElsewhere(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		if _, err := os.Stat(filepath.Join(bin, "pg_basebackup")); err != nil {
			t.Skip("no pg_basebackup")
		}
		old, now, in, up := diverged(t, bin)
		elsewhere := filepath.Join(filepath.Dir(old.dir), "wal")
		old.runAs("mv", filepath.Join(old.dir, old.major.walDir), elsewhere)
		old.runAs("ln", "-s", elsewhere, filepath.Join(old.dir, old.major.walDir))
		crashingAt(t, "clone-swap", func(crash func(string)) error { return in.Clone(old.context(), up, crash) })
		old.must(in.Clone(old.context(), up, nil))
		old.rejoined(in, now)
		found, _ := filepath.Glob(elsewhere + "*")
		if len(found) != 2 || !strings.HasPrefix(in.walDir(), elsewhere+besideWAL) {
			t.Errorf("WAL directories %q, in use %s", found, in.walDir())
		}
	})
}

// precious checks that the old directory is still somewhere.
func (s *testServer) precious() {
	s.t.Helper()
	found, _ := filepath.Glob(s.dir + "*/precious")
	if len(found) != 1 {
		s.t.Fatalf("the old directory is at %q", found)
	}
}

func TestCloneRefuses(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin)
		if err := in.Clone(two.context(), one.upstream(), nil); !errors.Is(err, ErrRunning) {
			t.Errorf("of a running server: %v", err)
		}
		space := filepath.Join(filepath.Dir(one.dir), "space")
		one.runAs("mkdir", space)
		one.exec("CREATE TABLESPACE elsewhere LOCATION '" + space + "'")
		two.must(in.Stop(context.WithoutCancel(two.context())))
		if err := in.Clone(two.context(), one.upstream(), nil); !errors.Is(err, sidecar.ErrNotPossible) || !strings.Contains(err.Error(), "tablespace") {
			t.Errorf("with a tablespace: %v", err)
		}
		if exists(two.dir + ".clone") {
			t.Error("a copy is left beside")
		}
	})
}
