package pgctl

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// promoted promotes the standby and checks what must hold afterwards, whatever lay in the way.
func (s *testServer) promoted(in *Instance, timeline watchdog.Timeline) sidecar.Promotion {
	s.t.Helper()
	var named []string
	p, err := in.Promote(s.context(), timeline, func(name string) { named = append(named, name) })
	s.must(err)
	s.t.Logf("promoted: %+v, steps %v", p, named)
	if p.Timeline != timeline || p.Fork == 0 {
		s.t.Errorf("promotion %+v", p)
	}
	s.exec("CREATE TABLE IF NOT EXISTS promoted (n int); INSERT INTO promoted VALUES (1)")
	s.tidy(in)
	again, err := in.Promote(s.context(), timeline, nil)
	s.must(err)
	if again.Fork != p.Fork {
		s.t.Errorf("promoted again: fork %s, was %s", again.Fork, p.Fork)
	}
	s.tidy(in)
	if _, err := in.Promote(s.context(), timeline+1, nil); !errors.Is(err, ErrWrongTimeline) {
		s.t.Errorf("a primary on timeline %d promotes to %d: %v", timeline, timeline+1, err)
	}
	return p
}

// tidy checks that nothing of a promotion is left but the latch.
func (s *testServer) tidy(in *Instance) {
	s.t.Helper()
	if !exists(in.latchFile()) {
		s.t.Error("not latched")
	}
	next, err := in.NextTimeline(s.context())
	s.must(err)
	for timeline := watchdog.Timeline(2); timeline < next+10; timeline++ {
		if path := filepath.Join(in.walDir(), historyName(timeline)); exists(path) != (timeline < next) {
			s.t.Errorf("of %s it is said: %v", path, exists(path))
		}
	}
	if s.major.promoteFile != "" && exists(in.path("promote")) {
		s.t.Error("the promote file is left")
	}
}

func (in *Instance) path(name string) string { return filepath.Join(in.config.DataDir, name) }

// holder opens a session on the standby and leaves a transaction open on it.
func (s *testServer) holder(statements ...string) *pgx.Conn {
	s.t.Helper()
	ctx := s.context()
	conn, err := s.connect(ctx)
	s.must(err)
	s.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	for _, sql := range statements {
		_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
		s.must(err)
	}
	return conn
}

func (s *testServer) caughtUp(with *testServer) {
	s.t.Helper()
	eventually(s.t, s.name+" has replayed", func() bool {
		return s.value("SELECT "+s.major.replayLSN+"()") == with.value("SELECT "+with.major.flushLSN+"()")
	})
}

func TestPromoteToAGivenTimeline(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin)
		one.must(one.open().Fence(one.context(), false))
		two.must(in.HangUp(two.context()))
		next, err := in.NextTimeline(two.context())
		two.must(err)
		if next != 2 {
			t.Errorf("next timeline %d", next)
		}
		// What a crash has left: a placeholder too many, one cut to no bytes, and a trigger that slows.
		for _, name := range []string{"00000007.history", "00000004.history"} {
			two.write(filepath.Join(two.major.walDir, name), strings.Repeat(placeholderText, int(name[7]-'4')/3))
		}
		two.write("fallback_promote", "")
		two.must(os.Remove(in.path("fallback_promote")))
		p := two.promoted(in, 5)
		if p.Steps["replay"] > 5*time.Second {
			t.Errorf("it took %s", p.Steps["replay"])
		}
		if fork, err := in.History(two.context(), 5); err != nil || fork != p.Fork {
			t.Errorf("fork %s, %v", fork, err)
		}
		if next, err := in.NextTimeline(two.context()); err != nil || next != 6 {
			t.Errorf("next timeline %d, %v", next, err)
		}
	})
}

func TestPromoteRefusesATakenTimeline(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		_, two, in := pair(t, bin)
		two.write(filepath.Join(two.major.walDir, "00000003.history"), "1\t0/5000000\tsomebody else's\n")
		for _, timeline := range []watchdog.Timeline{0, 1, 2, 3} {
			if _, err := in.Promote(two.context(), timeline, nil); !errors.Is(err, sidecar.ErrNotPossible) {
				t.Errorf("timeline %d: %v", timeline, err)
			}
		}
		if two.value("SELECT pg_is_in_recovery()") != "t" {
			t.Error("promoted all the same")
		}
	})
}

func TestPromoteWithReplayPaused(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin)
		one.exec("CREATE TABLE t (n int)")
		two.caughtUp(one)
		two.exec("SELECT " + two.major.pauseFunction + "()")
		one.exec("INSERT INTO t SELECT generate_series(1, 1000)")
		eventually(t, "the WAL on the standby", func() bool {
			return two.value("SELECT "+two.major.receiveLSN+"()") == one.value("SELECT "+one.major.flushLSN+"()")
		})
		one.must(one.open().Fence(one.context(), false))
		two.promoted(in, 2)
		if n := two.value("SELECT count(*) FROM t"); n != "1000" {
			t.Errorf("%s rows", n)
		}
	})
}

func TestPromoteWithABlockingSession(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		for _, c := range []struct{ name, held, primary string }{
			{"snapshot", "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t", "DELETE FROM t; VACUUM t"},
			{"lock", "BEGIN; SELECT count(*) FROM t", "ALTER TABLE t ADD COLUMN m int"},
		} {
			t.Run(c.name, func(t *testing.T) {
				one := newPrimary(t, bin, "max_standby_streaming_delay = -1", "max_standby_archive_delay = -1")
				two := one.newStandby("two")
				in := two.open()
				two.must(in.Start(two.context(), one.upstream()))
				streams(t, in, one)
				one.exec("CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 1000)")
				two.caughtUp(one)
				innocent := two.holder("SELECT 1")
				blocker := two.holder(c.held)
				for _, sql := range strings.Split(c.primary, "; ") {
					one.exec(sql)
				}
				one.exec("CREATE TABLE last (n int)")
				eventually(t, "the WAL on the standby", func() bool {
					return two.value("SELECT "+two.major.receiveLSN+"()") == one.value("SELECT "+one.major.flushLSN+"()")
				})
				one.must(one.open().Fence(one.context(), false))
				p := two.promoted(in, 2)
				if p.Steps["replay"] > 10*time.Second {
					t.Errorf("it took %s", p.Steps["replay"])
				}
				if n := two.value("SELECT count(*) FROM last"); n != "0" {
					t.Errorf("the last table: %s", n)
				}
				if _, err := blocker.PgConn().Exec(t.Context(), "SELECT 1").ReadAll(); err == nil {
					t.Error("the blocking session lives")
				}
				if _, err := innocent.PgConn().Exec(t.Context(), "SELECT 1").ReadAll(); err != nil {
					t.Errorf("an idle session was ended: %v", err)
				}
			})
		}
	})
}

func TestPromoteByConfiguredTrigger(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		for _, c := range []struct {
			name     string
			writable bool
		}{{"writable", true}, {"unwritable", false}} {
			t.Run(c.name, func(t *testing.T) {
				one := newPrimary(t, bin)
				if one.major.triggerSetting == "" {
					t.Skip("no such setting")
				}
				two := one.newStandby("two")
				dir := t.TempDir()
				two.must(os.Chmod(dir, 0o777))
				two.must(os.Chmod(filepath.Dir(dir), 0o755))
				path := filepath.Join(dir, "trigger")
				if !c.writable {
					path = filepath.Join(dir, "missing", "trigger")
				}
				in := two.open()
				two.append(filepath.Base(in.standbyFile()), two.major.triggerSetting+" = '"+path+"'")
				two.must(in.Start(two.context(), one.upstream()))
				streams(t, in, one)
				one.must(one.open().Fence(one.context(), false))
				p := two.promoted(in, 2)
				if p.Steps["replay"] > 3*time.Second {
					t.Errorf("it took %s", p.Steps["replay"])
				}
				if exists(path) {
					t.Error("the trigger file is left")
				}
			})
		}
	})
}

// A trigger file that the server does not look at, as when its setting was changed and not reloaded, is given up for a signal.
func TestPromoteWithAnUnheededTrigger(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin)
		if two.major.triggerSetting == "" || two.major.promoteFile == "" {
			t.Skip("no trigger setting, or nothing beside it")
		}
		p := &promotion{Instance: in, timeline: 2, trigger: filepath.Join(two.state, "unheeded"), steps: steps{took: map[string]time.Duration{}}}
		two.must(os.Chmod(two.state, 0o777))
		one.must(one.open().Fence(one.context(), false))
		two.must(p.pull())
		two.must(p.await(two.context()))
		two.must(p.verify(two.context()))
		two.must(p.tidy(two.context()))
		two.tidy(in)
	})
}

func TestPromoteRefusesLowerSettings(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		two := one.newStandby("two")
		in := two.open()
		two.must(in.Start(two.context(), one.upstream()))
		streams(t, in, one)
		if two.major.pauseState == "" {
			t.Skip("this version ends at once when a setting is lower")
		}
		one.must(one.open().Stop(one.context()))
		one.append("postgresql.conf", "max_connections = 90")
		one.start()
		eventually(t, "a pause", func() bool { return two.value("SELECT "+two.major.pausedFunction+"()") == "t" })
		if _, err := in.Promote(two.context(), 2, nil); !errors.Is(err, sidecar.ErrNotPossible) {
			t.Errorf("%v", err)
		}
		if two.value("SELECT pg_is_in_recovery()") != "t" {
			t.Error("the server is gone, or promoted")
		}
	})
}
