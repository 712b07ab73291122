package pgctl

import (
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
)

// deafListener accepts connections, as the kernel does for it, and never answers.
func deafListener(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func isPrimary(s watchdog.Server, alive bool) bool { return alive && s.Role == watchdog.RolePrimary }

// TestStoppedPostmaster is F48: the kept connection answers, a new one does not; and a fence works.
func TestStoppedPostmaster(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		in := one.open()
		s := observed(t, in, "a primary", isPrimary)
		one.signal(s.PID, syscall.SIGSTOP)
		again := observed(t, in, "an answer", isPrimary)
		if again.PID != s.PID {
			t.Errorf("postmaster %d, before %d", again.PID, s.PID)
		}
		if err := in.Knock(short(t)); err == nil || Alive(err) {
			t.Errorf("knock at a stopped postmaster: %v", err)
		}
		one.signal(s.PID, syscall.SIGCONT)
		eventually(t, "an answer to a knock", func() bool { return in.Knock(one.context()) == nil })
		one.signal(s.PID, syscall.SIGSTOP)
		one.must(in.Fence(one.context(), true))
		observed(t, in, "gone", func(s watchdog.Server, alive bool) bool { return s.Gone && !alive && s.Role == watchdog.RoleDown })
	})
}

// TestSlowAnswerCostsNoConnection is F50: an observation gives up waiting, and the connection outlives it.
func TestSlowAnswerCostsNoConnection(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		in := one.open()
		s := observed(t, in, "a primary", isPrimary)
		_, release, err := in.kept(one.context())
		one.must(err)
		backend := int(in.sessions.current().conn.PgConn().PID())
		release()
		one.signal(s.PID, syscall.SIGSTOP)
		one.signal(backend, syscall.SIGSTOP)
		late, alive := in.Observe(short(t))
		if alive || late.Role != watchdog.RoleUnknown || late.PID != s.PID || late.Received != 0 {
			t.Errorf("an unanswered observation says %+v", late)
		}
		one.signal(backend, syscall.SIGCONT)
		observed(t, in, "an answer", isPrimary)
		if now := int(in.sessions.current().conn.PgConn().PID()); now != backend {
			t.Errorf("backend %d, before %d", now, backend)
		}
		one.signal(s.PID, syscall.SIGCONT)
	})
}

// TestHungSessionIsReplaced: one backend hangs, and the server does not.
func TestHungSessionIsReplaced(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		in := one.open()
		observed(t, in, "a primary", isPrimary)
		backend := int(in.sessions.current().conn.PgConn().PID())
		one.signal(backend, syscall.SIGSTOP)
		in.Observe(short(t))
		observed(t, in, "an answer on another connection", isPrimary)
		one.signal(backend, syscall.SIGCONT)
	})
}

// TestTooManyConnections is F47: the kept connection answers, and to have no slot left proves life.
func TestTooManyConnections(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin, "superuser_reserved_connections = 0")
		in, late := one.open(), one.open()
		observed(t, in, "a primary", isPrimary)
		ctx := one.context()
		for {
			conn, err := one.connect(ctx)
			if err != nil {
				if sqlState(err) != sqlTooManyConnections {
					t.Fatal(err)
				}
				break
			}
			defer conn.Close(ctx)
		}
		observed(t, in, "an answer", isPrimary)
		one.must(in.Knock(ctx))
		s := observed(t, late, "life", func(_ watchdog.Server, alive bool) bool { return alive })
		if s.Role != watchdog.RoleUnknown || !strings.Contains(s.Problem, "max_connections") {
			t.Errorf("without a slot: %+v", s)
		}
	})
}

// TestBackendCrash: the server restarts itself, says so, and comes up as a standby where the latch lies.
func TestBackendCrash(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		in := one.open()
		s := observed(t, in, "a primary", isPrimary)
		one.must(in.Latch(one.context()))
		ctx := one.context()
		victim, err := one.connect(ctx)
		one.must(err)
		for len(in.Broken()) > 0 {
			<-in.Broken()
		}
		startup := startupDelay(t, one)
		one.signal(int(victim.PgConn().PID()), syscall.SIGKILL)
		select {
		case <-in.Broken():
		case <-ctx.Done():
			t.Fatal("the kept connection was not seen to break")
		}
		seen := observed(t, in, "a restart", func(s watchdog.Server, _ bool) bool { return s.Restarting })
		if seen.PID != s.PID || seen.Role != watchdog.RoleStarting {
			t.Errorf("restarting: %+v", seen)
		}
		startup()
		observed(t, in, "a standby", func(s watchdog.Server, alive bool) bool {
			return alive && s.Role == watchdog.RoleStandby && !s.Restarting
		})
	})
}

// startupDelay makes the crash restart wait until the returned function is called: one backend is stopped, which the
// postmaster waits for (five seconds at most).
func startupDelay(t *testing.T, s *testServer) func() {
	t.Helper()
	conn, err := s.connect(s.context())
	s.must(err)
	pid := int(conn.PgConn().PID())
	s.signal(pid, syscall.SIGSTOP)
	return func() { _ = syscall.Kill(pid, syscall.SIGCONT) }
}

func TestShutdownIsNoRestart(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		in := one.open()
		s := observed(t, in, "a primary", isPrimary)
		release := startupDelay(t, one) // a backend that does not end holds a fast shutdown up
		one.signal(s.PID, syscall.SIGINT)
		down := observed(t, in, "refusal", func(s watchdog.Server, alive bool) bool { return alive && s.Role == watchdog.RoleStarting })
		if down.Restarting || !strings.Contains(down.Problem, "shutting down") {
			t.Errorf("shutting down: %+v", down)
		}
		release()
		observed(t, in, "gone", func(s watchdog.Server, _ bool) bool { return s.Gone })
	})
}

func TestRefusedPassword(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		one.exec("SET password_encryption = 'scram-sha-256'; CREATE ROLE guarded LOGIN PASSWORD 'right'")
		one.write("pg_hba.conf", "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n")
		one.program("pg_ctl", "reload", "-D", one.dir)
		config := one.config()
		config.Connect = "host=127.0.0.1 user=guarded dbname=postgres password=wrong sslmode=disable port=" + itoa(one.port)
		in := one.openWith(config)
		s := observed(t, in, "life", func(_ watchdog.Server, alive bool) bool { return alive })
		if s.Role != watchdog.RoleUnknown || !strings.Contains(s.Problem, "guarded") || !strings.Contains(s.Problem, "connect") {
			t.Errorf("refused: %+v", s)
		}
		if err := in.exec(one.context(), "SELECT 1"); !errors.Is(err, ErrWrongPassword) || !Alive(err) {
			t.Errorf("refused session: %v", err)
		}
		one.must(in.Knock(one.context()))
		config.Connect = strings.Replace(config.Connect, "wrong", "right", 1)
		in = one.openWith(config)
		s = observed(t, in, "an answer without privileges", func(_ watchdog.Server, alive bool) bool { return alive })
		if s.Problem == "" || !strings.Contains(s.Problem, "pg_monitor") {
			t.Errorf("without privileges: %+v", s)
		}
	})
}

func TestLowerSettingsAreAVeto(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin)
		two.append("postgresql.conf", "max_connections = 40")
		one.must(one.open().Stop(one.context()))
		two.must(in.Stop(two.context()))
		one.append("postgresql.conf", "max_connections = 60")
		one.start()
		one.exec("SELECT 1")
		if two.major.number < 140000 {
			t.Skip("up to 13 such a standby shuts down")
		}
		two.must(in.Start(two.context(), one.upstream()))
		s := observed(t, in, "the veto", func(s watchdog.Server, alive bool) bool {
			return alive && slices.Contains(s.Vetoes, watchdog.VetoSettingsLower)
		})
		if !s.ReplayPaused {
			t.Errorf("replay goes on: %+v", s)
		}
	})
}

func TestWarmStandbyIsStarting(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		two := one.newStandby("two")
		two.append("postgresql.conf", "hot_standby = off")
		in := two.open()
		two.must(in.Start(two.context(), one.upstream()))
		s := observed(t, in, "life", func(_ watchdog.Server, alive bool) bool { return alive })
		if s.Role != watchdog.RoleStarting || s.Restarting || s.Problem == "" {
			t.Errorf("warm standby: %+v", s)
		}
		two.must(in.HangUp(two.context()))
	})
}

func TestOwnSessionsAreHarmless(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin, "synchronous_standby_names = 'nobody'", "log_statement = all")
		in := one.open()
		var commit, name string
		one.must(in.scan(one.context(), []any{&commit, &name}, "SELECT current_setting('synchronous_commit'), current_setting('application_name')"))
		if commit != "local" || name != application {
			t.Errorf("synchronous_commit %s, application_name %s", commit, name)
		}
		one.must(in.exec(one.context(), "CREATE TABLE public.t (n int)")) // F45: it waits for nobody
		rows, err := in.query(one.context(), "SELECT n::text, $1 FROM generate_series(1, 2) AS n", "x")
		if err != nil || len(rows) != 2 || rows[1][0] != "2" || rows[1][1] != "x" {
			t.Errorf("rows %q, %v", rows, err)
		}
		conn, err := in.newConn(one.context(), "template1")
		one.must(err)
		defer conn.Close(one.context())
		if got := conn.Config().Database; got != "template1" {
			t.Errorf("database %q", got)
		}
		one.must(in.Close())
		if _, alive := in.Observe(one.context()); alive {
			t.Error("a closed instance answers")
		}
	})
}

func TestObserveWithoutDirectory(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		in := one.open()
		one.must(in.Stop(one.context()))
		one.runAs("mv", one.dir, one.dir+".away")
		s := observed(t, in, "the directory missing", func(s watchdog.Server, _ bool) bool { return strings.Contains(s.Problem, "no data directory") })
		if s.Role != watchdog.RoleDown || !s.Gone {
			t.Errorf("without its directory: %+v", s)
		}
		if err := in.ProbeStorage(); err == nil {
			t.Error("a probe of a missing directory succeeds")
		}
		if _, err := Open(one.context(), one.config()); !errors.Is(err, ErrNoDataDir) {
			t.Errorf("open: %v", err)
		}
		one.runAs("mkdir", one.dir)
		if _, err := Open(one.context(), one.config()); !errors.Is(err, ErrNotDataDir) {
			t.Errorf("open: %v", err)
		}
		one.write("PG_VERSION", "8.4\n")
		if _, err := Open(one.context(), one.config()); !errors.Is(err, ErrUnsupportedVersion) {
			t.Errorf("open: %v", err)
		}
		one.write("PG_VERSION", "9.0\n")
		if _, err := Open(one.context(), one.config()); !errors.Is(err, ErrNoBinaries) {
			t.Errorf("open: %v", err)
		}
		config := one.config()
		config.DataDir = filepath.Join(one.dir, "PG_VERSION")
		if _, err := Open(one.context(), config); !errors.Is(err, ErrNotDataDir) {
			t.Errorf("open: %v", err)
		}
	})
}
