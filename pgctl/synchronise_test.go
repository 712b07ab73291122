package pgctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// stamped is the server as an upstream of a term.
func (s *testServer) stamped(term watchdog.Term) watchdog.Upstream {
	up := s.upstream()
	up.Term = term
	return up
}

// trio is a primary with two standbys that follow it in term 7.
func trio(t *testing.T, bin string, settings ...string) (one, two, three *testServer, in *Instance) {
	t.Helper()
	one = newPrimary(t, bin, settings...)
	one.exec("CREATE TABLE t (n int)")
	two, three = one.newStandby("two"), one.newStandby("three")
	for _, s := range []*testServer{two, three} {
		standby := s.open()
		s.must(standby.Start(s.context(), one.stamped(7)))
		streams(t, standby, one)
	}
	return one, two, three, one.open()
}

func anyOf(k int, term watchdog.Term, voters ...string) watchdog.Sync {
	return watchdog.Sync{K: k, Voters: voters, Term: term}
}

// commit runs a statement on a session of its own, and says when it has returned.
func (s *testServer) commit(sql string) <-chan error {
	returned := make(chan error, 1)
	ctx := s.context()
	go func() {
		conn, err := s.connect(ctx)
		if err == nil {
			defer conn.Close(ctx)
			_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
		}
		returned <- err
	}()
	return returned
}

// waits checks that a commit waits for standbys.
func (s *testServer) waits(returned <-chan error) {
	s.t.Helper()
	eventually(s.t, "a commit that waits or returns", func() bool {
		return len(returned) > 0 || s.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1"
	})
	if len(returned) > 0 {
		s.t.Fatalf("a commit has not waited: %v", <-returned)
	}
}

func (s *testServer) returns(returned <-chan error) {
	s.t.Helper()
	eventually(s.t, "the commit returns", func() bool { return len(returned) > 0 })
	s.must(<-returned)
}

// held stops the receivers of standbys, so that they confirm nothing more.
func held(standbys ...*testServer) (pids []int) {
	for _, s := range standbys {
		pids = append(pids, s.stopReceiver())
	}
	return pids
}

func (s *testServer) lsn(sql string) watchdog.LSN {
	s.t.Helper()
	lsn, err := watchdog.ParseLSN(s.value(sql))
	s.must(err)
	return lsn
}

func (s *testServer) number(sql string) int {
	s.t.Helper()
	n, err := strconv.Atoi(s.value(sql))
	s.must(err)
	return n
}

func (s *testServer) senderOf(standby *testServer) int {
	s.t.Helper()
	return s.number("SELECT coalesce(max(pid), 0) FROM pg_stat_replication WHERE application_name LIKE '" + standby.name + ":%'")
}

func (s *testServer) synchronised(in *Instance, sync watchdog.Sync) watchdog.LSN {
	s.t.Helper()
	from, err := in.Synchronise(s.context(), sync)
	s.must(err)
	if got := s.value("SHOW " + syncNames); sync.K > 0 && got != formatSync(sync) {
		s.t.Errorf("%s is %q after %+v", syncNames, got, sync)
	}
	return from
}

func TestSynchronise(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, three, in := trio(t, bin)
		one.exec("INSERT INTO t VALUES (1)")
		before := one.lsn("SELECT " + one.major.flushLSN + "()")
		from := one.synchronised(in, anyOf(1, 7, "three", "two"))
		if from <= before {
			t.Errorf("from %s, and a commit that waited for nobody ended at %s", from, before)
		}
		if n := one.value("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum' AND flush_lsn >= '" + from.String() + "'"); n != "2" {
			t.Errorf("%s standbys count and have confirmed %s", n, from)
		}
		observed(t, in, "the setting", func(s watchdog.Server, _ bool) bool {
			return s.Sync.K == 1 && s.Sync.Term == 7 && slices.Equal(s.Sync.Voters, []string{"three", "two"})
		})
		pids := held(two, three)
		returned := one.commit("INSERT INTO t VALUES (2)")
		one.waits(returned)
		two.signal(pids[0], syscall.SIGCONT)
		one.returns(returned)

		// The other one is behind and does not answer: its sender is ended, and not waited for.
		lagging := one.senderOf(three)
		if from := one.synchronised(in, anyOf(1, 7, "two")); from <= before {
			t.Errorf("a voter removed from %s", from)
		}
		if now := one.senderOf(three); now == lagging {
			t.Error("the sender that owes the proof is still there")
		}
		three.signal(pids[1], syscall.SIGCONT)
		streams(t, three.open(), one)
		pids = held(two)
		returned = one.commit("INSERT INTO t VALUES (3)")
		one.waits(returned) // although the removed one has it
		two.signal(pids[0], syscall.SIGCONT)
		one.returns(returned)

		one.synchronised(in, anyOf(2, 7, "three", "two"))
		pids = held(three)
		returned = one.commit("INSERT INTO t VALUES (4)")
		one.waits(returned)
		three.signal(pids[0], syscall.SIGCONT)
		one.returns(returned)
	})
}

// A sender that hangs may release commits by the old names once it goes on.
func TestSynchroniseAwaitsAHungSender(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, _, three, in := trio(t, bin)
		one.synchronised(in, anyOf(1, 7, "three", "two"))
		hung := one.senderOf(three)
		one.signal(hung, syscall.SIGSTOP)
		ctx, cancel := context.WithTimeout(one.context(), 2*time.Second)
		defer cancel()
		if from, err := in.Synchronise(ctx, anyOf(1, 7, "two")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("beside a hung sender: %s, %v", from, err)
		}
		one.signal(hung, syscall.SIGCONT)
		one.synchronised(in, anyOf(1, 7, "two"))
	})
}

// ghost replicates as a standby of term 7 that confirms nothing, and comes back whenever it is cut off. It says how often.
func (s *testServer) ghost() (came *atomic.Int32) {
	s.t.Helper()
	came = &atomic.Int32{}
	ctx, cancel := context.WithCancel(s.t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		for ctx.Err() == nil {
			conn, err := pgconn.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d user=%s replication=true application_name=ghost:7 sslmode=disable",
				s.port, s.owner.name))
			if err != nil {
				continue
			}
			conn.Frontend().Send(&pgproto3.Query{String: "START_REPLICATION 0/1000000 TIMELINE 1"})
			if conn.Frontend().Flush() == nil {
				came.Add(1)
			}
			for err == nil {
				_, err = conn.ReceiveMessage(ctx)
			}
			_ = conn.Close(context.Background())
		}
	}()
	s.t.Cleanup(func() { cancel(); <-over })
	eventually(s.t, "a standby that confirms nothing", func() bool {
		return s.value("SELECT count(*) FROM pg_stat_replication WHERE application_name = 'ghost:7'") == "1"
	})
	return came
}

// A standby that comes anew has the new setting, however far behind it is. Nobody waits for it, or ends it twice.
func TestSynchroniseIsNotForNewcomers(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, _, in := trio(t, bin)
		came := one.ghost()
		one.synchronised(in, anyOf(1, 7, "two"))
		if n := came.Load(); n > 2 {
			t.Errorf("it was ended %d times", n-1)
		}
		one.synchronised(in, anyOf(1, 7, "three", "two"))
		held(two)
		one.exec("INSERT INTO t VALUES (1)") // three counts, and the ghost does not
	})
}

// What counted under a foreign setting may go on releasing commits by it, and need not carry a term.
func TestSynchroniseReplacesAForeignSetting(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, three, in := trio(t, bin)
		old := three.open()
		three.must(old.Repoint(three.context(), one.upstream()))
		streams(t, old, one)
		one.append("postgresql.conf", syncNames+" = 'FIRST 1 (three)'")
		one.exec("SELECT pg_reload_conf()")
		eventually(t, "the foreign setting", func() bool {
			return one.value("SELECT count(*) FROM pg_stat_replication WHERE application_name = 'three' AND sync_state = 'sync'") == "1"
		})
		counts := one.number("SELECT coalesce(max(pid), 0) FROM pg_stat_replication WHERE application_name = 'three'")
		one.signal(counts, syscall.SIGSTOP)
		ctx, cancel := context.WithTimeout(one.context(), 2*time.Second)
		defer cancel()
		if from, err := in.Synchronise(ctx, anyOf(1, 7, "two")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("beside a sender with the foreign setting: %s, %v", from, err)
		}
		one.signal(counts, syscall.SIGCONT)
		one.synchronised(in, anyOf(1, 7, "two"))
		held(two)
		one.waits(one.commit("INSERT INTO t VALUES (1)"))
	})
}

// TestSynchroniseAwaitsTheCheckpointer is F41: until it has the new setting, no commit waits for anybody.
func TestSynchroniseAwaitsTheCheckpointer(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, three, in := trio(t, bin)
		sync := anyOf(1, 7, "three", "two")
		checkpointer := one.number("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
		one.signal(checkpointer, syscall.SIGSTOP)
		for _, who := range []*Instance{in, in, one.open()} { // the second finds the setting as it is to be
			ctx, cancel := context.WithTimeout(one.context(), time.Second)
			if from, err := who.Synchronise(ctx, sync); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("without the checkpointer: %s, %v", from, err)
			}
			cancel()
		}
		pids := held(two, three)
		one.returns(one.commit("INSERT INTO t VALUES (1)")) // that is why
		for _, pid := range pids {
			one.signal(pid, syscall.SIGCONT)
		}
		one.signal(checkpointer, syscall.SIGCONT)
		one.synchronised(in, sync)
		held(two, three)
		one.waits(one.commit("INSERT INTO t VALUES (2)"))
	})
}

// TestSynchroniseDuringACheckpoint: one that takes minutes must not hold up a promotion.
func TestSynchroniseDuringACheckpoint(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, three, in := trio(t, bin, "checkpoint_timeout = 1h")
		one.exec("INSERT INTO t SELECT generate_series(1, 200000)")
		start := "pg_backup_start('spread', false)"
		if one.major.number < 150000 {
			start = "pg_start_backup('spread', false, false)"
		}
		spread := one.commit("SELECT " + start)
		eventually(t, "a checkpoint", func() bool {
			return one.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'CheckpointDone'") == "1" ||
				one.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'checkpointer' AND coalesce(wait_event, '') <> 'CheckpointerMain'") == "1"
		})
		began := time.Now()
		one.synchronised(in, anyOf(1, 7, "three", "two"))
		t.Logf("it took %s; the checkpoint is over: %v", time.Since(began), len(spread) > 0)
		held(two, three)
		one.waits(one.commit("INSERT INTO t VALUES (2)"))
	})
}

// A statement that began while commits waited for nobody waits, if it ends after the position returned.
func TestSynchroniseReachesRunningStatements(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, three, in := trio(t, bin)
		gate := one.holder("SELECT pg_advisory_lock(1)")
		running := one.commit("INSERT INTO t SELECT 1 FROM (SELECT pg_advisory_lock(1)) l")
		eventually(t, "the statement runs", func() bool {
			return one.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "1"
		})
		one.synchronised(in, anyOf(1, 7, "three", "two"))
		held(two, three)
		one.must(gate.Close(one.context()))
		one.waits(running)
	})
}

// TestSynchroniseBackToNone: our own line goes, and what others have set is as it was.
func TestSynchroniseBackToNone(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, _, _, in := trio(t, bin)
		one.synchronised(in, anyOf(2, 7, "three", "two"))
		one.synchronised(in, watchdog.Sync{})
		if got := one.value("SHOW " + syncNames); got != "" || strings.Contains(one.read(autoConf), syncNames) {
			t.Errorf("%q is left, in\n%s", got, one.read(autoConf))
		}
		one.exec("INSERT INTO t VALUES (1)")

		const users, another = `FIRST 1 (nobody, "Some One")`, "1 (*)"
		one.append("postgresql.conf", syncNames+" = '"+users+"'")
		one.synchronised(in, anyOf(1, 7, "two"))
		one.synchronised(in, watchdog.Sync{})
		if got := one.value("SHOW " + syncNames); got != users {
			t.Errorf("%q is in force, and %q was the user's", got, users)
		}
		one.synchronised(in, watchdog.Sync{})
		one.must(in.setAuto(map[string]string{syncNames: another}))
		one.must(in.signal(syscall.SIGHUP))
		eventually(t, "the foreign value", func() bool { return one.value("SHOW "+syncNames) == another })
		before := one.read(autoConf)
		one.synchronised(in, watchdog.Sync{})
		if one.read(autoConf) != before {
			t.Errorf("a foreign value was touched:\n%s", one.read(autoConf))
		}
	})
}

// A standby has the setting from its first commit as a primary on, and a standby of another term does not count (F42).
func TestSynchroniseBeforePromotion(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, three, _ := trio(t, bin)
		heir, other := two.open(), three.open()
		one.must(one.open().Fence(one.context(), false))
		two.must(heir.HangUp(two.context()))
		if from := two.synchronised(heir, anyOf(1, 8, "one", "three")); from != 0 {
			t.Errorf("a standby's commits wait from %s on", from)
		}
		_, err := heir.Promote(two.context(), 2, nil)
		two.must(err)
		returned := two.commit("INSERT INTO t VALUES (1)")
		two.waits(returned)
		three.must(other.Repoint(three.context(), two.stamped(7)))
		streams(t, other, two)
		eventually(t, "the row on the standby of another term", func() bool { return three.value("SELECT count(*) FROM t") == "1" })
		two.waits(returned)
		three.must(other.Repoint(three.context(), two.stamped(8)))
		two.returns(returned)
	})
}

// A warm standby accepts no sessions: our line goes all the same, or in async it could not be promoted.
func TestSynchroniseWarmStandby(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		_, two, in := pair(t, bin)
		two.must(in.Stop(two.context()))
		two.append("postgresql.conf", "hot_standby = off")
		two.must(in.setAuto(map[string]string{syncNames: formatSync(anyOf(1, 7, "one"))}))
		two.must(in.Start(two.context(), watchdog.Upstream{}))
		eventually(t, "no line of ours", func() bool {
			_, err := in.Synchronise(two.context(), watchdog.Sync{})
			return err == nil && !strings.Contains(two.read(autoConf), syncNames)
		})
	})
}

func TestSynchroniseRefusesWithoutQuorumNames(t *testing.T) {
	old, err := versionOf("9.6")
	if err != nil {
		t.Fatal(err)
	}
	in := &Instance{version: old}
	if _, err := in.Synchronise(t.Context(), anyOf(1, 7, "two")); !errors.Is(err, sidecar.ErrNotPossible) {
		t.Errorf("9.6: %v", err)
	}
	if low, err := in.LowCommits(t.Context()); err != nil || low != nil {
		t.Errorf("9.6: %v, %v", low, err)
	}
}
