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

	"github.com/pgvigil/pgvigil/pgctl/process"
	"github.com/pgvigil/pgvigil/watchdog"
)

// awkward is a primary_conninfo that a user could have written: it must survive whatever we do.
const awkward = `user=postgres password='it\'s a \\ pass=word é' connect_timeout = 7 host=127.0.0.1,10.0.0.1 port=1,2 hostaddr=127.0.0.1,10.0.0.1 sslmode='prefer'`

const awkwardPassword = `it's a \ pass=word é`

func TestHangUpAndRepoint(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin)
		two.append("postgresql.conf", "restore_command = 'false'")
		restarted := in.version.restoreReload
		two.must(in.Stop(two.context()))
		two.must(in.Start(two.context(), one.upstream()))
		streams(t, in, one)
		two.must(in.HangUp(two.context()))
		detached(t, two, in)
		if restarted && two.value("SHOW restore_command") != "" {
			t.Errorf("an archive is still read: %q", two.value("SHOW restore_command"))
		}
		two.must(in.HangUp(two.context())) // twice is fine
		detached(t, two, in)

		again := two.open() // a sidecar that was restarted
		two.must(again.Repoint(two.context(), one.upstream()))
		streams(t, again, one)
		if got := two.value("SHOW restore_command"); restarted && got != "false" {
			t.Errorf("restore_command %q was not written back", got)
		}
		receiver, _ := process.Receiver(two.directory())
		before := two.read(autoConf)
		two.must(again.Repoint(two.context(), one.upstream()))
		if now, _ := process.Receiver(two.directory()); now != receiver || two.read(autoConf) != before {
			t.Errorf("repointing to where it points was no no-op")
		}
		two.must(again.Prod(two.context(), one.upstream(), false))
		if now, _ := process.Receiver(two.directory()); now != receiver {
			t.Errorf("a prod ended a receiver that streams")
		}
		two.must(again.Prod(two.context(), one.upstream(), true))
		streams(t, again, one)
		if err := one.open().HangUp(one.context()); !errors.Is(err, ErrNotStandby) {
			t.Errorf("a primary hung up: %v", err)
		}
	})
}

// detached checks that no receiver is there and that the server says so.
func detached(t *testing.T, s *testServer, in *Instance) {
	t.Helper()
	if pid, ok := process.Receiver(s.directory()); ok {
		t.Errorf("receiver %d is left", pid)
	}
	observed(t, in, "no upstream", func(s watchdog.Server, alive bool) bool {
		return alive && s.Upstream == "" && !s.Receiver && !s.Streaming && s.Timeline == 1
	})
}

// TestHangUpWhileReplayIsBlocked: the startup process waits for a query, and sees no reload (PG-VERSIONS.md).
func TestHangUpWhileReplayIsBlocked(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin, "max_standby_streaming_delay = -1")
		one.exec("CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 1000)")
		eventually(t, "the rows", func() bool { return two.value("SELECT count(*) FROM t") == "1000" })
		ctx := two.context()
		reader, err := two.connect(ctx)
		two.must(err)
		defer reader.Close(context.WithoutCancel(ctx))
		_, err = reader.PgConn().Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t").ReadAll()
		two.must(err)
		one.exec("DELETE FROM t")
		one.exec("VACUUM t")
		observed(t, in, "replay behind", func(s watchdog.Server, alive bool) bool {
			startup, _ := process.Startup(two.directory())
			return alive && s.Replayed < s.Received && strings.Contains(process.Title(startup), "waiting")
		})
		two.must(in.HangUp(ctx))
		if pid, ok := process.Receiver(two.directory()); ok {
			t.Fatalf("receiver %d is left", pid)
		}
		server, _ := in.Observe(ctx)
		one.exec("CREATE TABLE later ()")
		two.must(reader.Close(ctx)) // replay goes on
		s := observed(t, in, "replay at its end", func(s watchdog.Server, alive bool) bool { return alive && s.Replayed >= s.Received })
		if s.Received != server.Received || s.Receiver {
			t.Errorf("after hanging up it received up to %s, before %s", s.Received, server.Received)
		}
	})
}

// TestUsersConninfoSurvives is F62: what a user wrote is kept through start, hang-up and repointing.
func TestUsersConninfoSurvives(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin)
		if in.version.recoveryConf {
			t.Skip("recovery.conf has a test of its own")
		}
		two.must(in.setAuto(map[string]string{"primary_conninfo": awkward}))
		config := two.config()
		config.Replication = "user=nobody gssencmode=disable"
		in = two.openWith(config)
		for _, act := range []func() error{
			func() error { return in.Repoint(two.context(), one.upstream()) },
			func() error { return in.HangUp(two.context()) },
			func() error { return in.Repoint(two.context(), one.upstream()) },
			func() error { return in.Prod(two.context(), one.upstream(), true) },
		} {
			two.must(act())
		}
		streams(t, in, one)
		want := strings.Replace(awkward, " host=127.0.0.1,10.0.0.1 port=1,2 hostaddr=127.0.0.1,10.0.0.1",
			" host=127.0.0.1 port="+itoa(one.port), 1) + " application_name=two gssencmode=disable"
		if got := two.value("SHOW primary_conninfo"); got != want {
			t.Errorf("primary_conninfo\n%s, want\n%s", got, want)
		}
		if c, err := pgx.ParseConfig(two.value("SELECT setting FROM pg_settings WHERE name = 'primary_conninfo'")); err != nil || c.Password != awkwardPassword {
			t.Errorf("password %q, %v", c.Password, err)
		}
		receiver := two.value("SELECT conninfo FROM pg_stat_wal_receiver")
		for _, word := range []string{"user=postgres", "connect_timeout=7", "application_name=two", "port=" + itoa(one.port), "sslmode=prefer"} {
			if !strings.Contains(receiver, word) {
				t.Errorf("the receiver's own words %q lack %s", receiver, word)
			}
		}
		info, err := os.Stat(filepath.Join(two.state, savedConninfoFile))
		two.must(err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("a password is kept with mode %s", info.Mode())
		}
	})
}

// TestProdEndsAHangingReceiver: nothing bounds a connection attempt to a listener that never answers.
func TestProdEndsAHangingReceiver(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin)
		deaf := deafListener(t)
		two.must(in.Repoint(two.context(), watchdog.Upstream{Name: "deaf", Address: deaf}))
		s := observed(t, in, "a receiver without connection", func(s watchdog.Server, alive bool) bool {
			return alive && s.Upstream == deaf && s.Receiver && !s.Streaming
		})
		if s.Timeline != 1 {
			t.Errorf("observed %+v", s)
		}
		hanging, _ := process.Receiver(two.directory())
		two.must(in.Prod(two.context(), one.upstream(), false))
		if in.version.conninfoReload {
			eventually(t, "another receiver", func() bool {
				now, ok := process.Receiver(two.directory())
				return ok && now != hanging
			})
		}
		two.must(in.Repoint(two.context(), one.upstream()))
		streams(t, in, one)
	})
}

func TestRecoveryConf(t *testing.T) {
	old, err := versionOf("9.6")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in := &Instance{config: Config{DataDir: dir, Name: "two", StateDir: t.TempDir(), Replication: "user=repl"}, version: old,
		owner: owner{uid: os.Getuid(), gid: os.Getgid()}}
	path := filepath.Join(dir, recoveryConf)
	const users = "# ours\nstandby_mode = 'on' # yes\nprimary_conninfo = 'host=a port=1 user=u password=''x'''\nrestore_command = 'cp %f'\ntrigger_file = '/t'\n"
	if err := os.WriteFile(path, []byte(users), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := in.point(watchdog.Upstream{Address: "b:2"}); err != nil {
		t.Fatal(err)
	}
	const pointed = "# ours\nstandby_mode = 'on' # yes\nprimary_conninfo = 'host=b port=2 user=u password=''x'' application_name=two'\n" +
		"restore_command = 'cp %f'\ntrigger_file = '/t'\nrecovery_target_timeline = 'latest'\n"
	expectFile(t, path, pointed)
	if got, stamp := in.recoveryUpstream(); got != "b:2" || stamp != 0 {
		t.Errorf("upstream %q", got)
	}
	if trigger, err := in.triggerFile(nil); err != nil || trigger != "/t" {
		t.Errorf("trigger %q, %v", trigger, err)
	}
	if err := in.point(watchdog.Upstream{}); err != nil {
		t.Fatal(err)
	}
	expectFile(t, path, "# ours\nstandby_mode = 'on' # yes\ntrigger_file = '/t'\nrecovery_target_timeline = 'latest'\n")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	ctx := t.Context()
	if err := errors.Join(in.Unlatch(ctx), in.Latch(ctx)); err != nil {
		t.Fatal(err)
	}
	if err := in.point(watchdog.Upstream{Address: "[::1]:3"}); err != nil {
		t.Fatal(err)
	}
	value, _ := parseConf(readAll(t, path)).get("primary_conninfo")
	if value != "host=::1 port=3 user=u password='x' application_name=two" {
		t.Errorf("after a promotion and a hang-up: %q", value)
	}
	if command, _ := parseConf(readAll(t, path)).get("restore_command"); command != "cp %f" {
		t.Errorf("restore_command %q", command)
	}
	if exists(filepath.Join(in.config.StateDir, savedRestoreFile)) {
		t.Errorf("what was written back is still kept")
	}
}

// TestRecoveryConfFromDone: a primary that was once recovered to a point in time is latched as a standby all the same.
func TestRecoveryConfFromDone(t *testing.T) {
	old, err := versionOf("9.6")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in := &Instance{config: Config{DataDir: dir, Name: "two", StateDir: t.TempDir()}, version: old, owner: owner{uid: os.Getuid(), gid: os.Getgid()}}
	const done = "# as restored\nrestore_command = 'cp %f' # why\nrecovery_target_time = '2020-01-01'\nrecovery_target_action = promote\nodd line\n"
	if err := os.WriteFile(filepath.Join(dir, recoveryDone), []byte(done), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := in.Latch(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, recoveryConf)
	expectFile(t, path, "# as restored\nrestore_command = 'cp %f' # why\nrecovery_target_action = promote\nodd line\n"+
		"standby_mode = 'on'\nrecovery_target_timeline = 'latest'\n")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func expectFile(t *testing.T, path, want string) {
	t.Helper()
	if got := readAll(t, path); got != want {
		t.Errorf("%s:\n%s, want:\n%s", path, got, want)
	}
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// short is a context that ends soon, for what is to be cut off.
func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
