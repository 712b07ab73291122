package pgctl

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/pgctl/process"
	"github.com/pgvigil/pgvigil/watchdog"
)

// dumpRecord is a line of pg_waldump.
var dumpRecord = regexp.MustCompile(`len \(rec/tot\): +\d+/ *(\d+), .* lsn: ([0-9A-F]+/[0-9A-F]+), prev`)

// dumpedEnd is where pg_waldump sees the last record end.
func (s *testServer) dumpedEnd(timeline watchdog.Timeline, from watchdog.LSN) watchdog.LSN {
	s.t.Helper()
	path := filepath.Join(s.bin, "pg_waldump")
	if _, err := os.Stat(path); err != nil {
		s.t.Skip("no pg_waldump")
	}
	// It ends with an error at the end of the WAL.
	out, _ := exec.Command(path, "-p", filepath.Join(s.dir, s.major.walDir), "-t", fmt.Sprint(timeline), "-s", from.String()).Output()
	all := dumpRecord.FindAllSubmatch(out, -1)
	if len(all) == 0 {
		s.t.Fatalf("pg_waldump found no record: %s", out)
	}
	last := all[len(all)-1]
	start, err := watchdog.ParseLSN(string(last[2]))
	s.must(err)
	var length uint64
	_, err = fmt.Sscan(string(last[1]), &length)
	s.must(err)
	return s.format().advance(start, (length+7)&^7)
}

func (s *testServer) format() walFormat {
	s.t.Helper()
	c, err := readControl(s.dir)
	s.must(err)
	f, err := walFormatOf(c)
	s.must(err)
	return f
}

// hang stops the server's receiver, so that it knows of nothing that comes.
func (s *testServer) stopReceiver() (pid int) {
	s.t.Helper()
	eventually(s.t, "a receiver", func() bool {
		var ok bool
		pid, ok = process.Receiver(s.directory())
		return ok
	})
	s.signal(pid, syscall.SIGSTOP)
	return pid
}

func TestDeadEndAfterCleanShutdown(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, standby := pair(t, bin)
		in := one.open()
		for range 20 { // the record's place on its page is another each time
			one.exec("CREATE TABLE IF NOT EXISTS t (s text); INSERT INTO t SELECT repeat('x', (random()*8000)::int)")
			one.must(in.Stop(one.context()))
			p, err := in.DeadEnd(one.context(), 1, 0)
			one.must(err)
			c, _ := readControl(one.dir)
			if want := one.dumpedEnd(1, c.RedoLSN); p.End != want || !p.Exact || p.Timeline != 1 {
				t.Fatalf("primary's end %+v, by pg_waldump %s", p, want)
			}
			one.start()
		}
		streams(t, standby, one)
		pid := two.stopReceiver()
		one.exec("INSERT INTO t SELECT 'x' FROM generate_series(1, 1000)")
		two.signal(pid, syscall.SIGCONT)
		two.must(standby.Stop(two.context()))
		p, err := standby.DeadEnd(two.context(), 0, 0)
		two.must(err)
		c, _ := readControl(two.dir)
		if want := two.dumpedEnd(1, c.RedoLSN); p.End != want || !p.Exact || p.Timeline != 1 {
			t.Errorf("standby's end %+v, by pg_waldump %s", p, want)
		}
	})
}

func TestDeadEndAfterCrash(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		in := one.open()
		one.exec("CREATE TABLE t (s text); INSERT INTO t SELECT repeat(md5(n::text), 10) FROM generate_series(1, 100000) n")
		hint, err := watchdog.ParseLSN(one.value("SELECT " + one.major.flushLSN + "()"))
		one.must(err)
		one.exec("INSERT INTO t SELECT md5(n::text) FROM generate_series(1, 1000) n")
		one.must(in.Fence(one.context(), false))
		page := watchdog.LSN(one.format().page)
		c, _ := readControl(one.dir)
		want := one.dumpedEnd(1, c.RedoLSN)
		for _, from := range []watchdog.LSN{0, hint} {
			began := time.Now()
			p, err := in.DeadEnd(one.context(), 1, from)
			one.must(err)
			t.Logf("found from %s in %s", from, time.Since(began))
			if p.Exact || p.Timeline != 1 || p.End < want || p.End > want+page || p.End%page != 0 {
				t.Errorf("end %+v from %s, by pg_waldump %s", p, from, want)
			}
		}
		if p, err := in.DeadEnd(one.context(), 0, 0); err != nil || p.Timeline != 1 || p.End < want {
			t.Errorf("end on the newest timeline %+v, %v", p, err)
		}
		if p, err := in.DeadEnd(one.context(), 7, 0); err == nil {
			t.Errorf("end on a timeline that is not there: %+v", p)
		}
		one.must(in.Start(one.context(), watchdog.Upstream{}))
		if _, err := in.DeadEnd(one.context(), 1, 0); !errors.Is(err, ErrRunning) {
			t.Errorf("a running server's dead end: %v", err)
		}
	})
}

func TestEndOfWAL(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin)
		one.exec("CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 1000)")
		eventually(t, "the rows on the standby", func() bool { return two.value("SELECT count(*) FROM t") == "1000" })
		exact := func(what string, received bool) {
			t.Helper()
			p, err := in.EndOfWAL(two.context())
			two.must(err)
			c, _ := readControl(two.dir)
			want := two.dumpedEnd(1, c.RedoLSN)
			if p.End != want || !p.Exact || p.Timeline != 1 || p.Archive {
				t.Errorf("%s: %+v, by pg_waldump %s", what, p, want)
			}
			if at := two.value("SELECT " + two.major.receiveLSN + "()"); received != (at == want.String()) {
				t.Errorf("%s: end %s, received %s", what, want, at)
			}
		}
		two.must(in.HangUp(two.context()))
		exact("after hanging up", true)
		two.must(in.Stop(two.context()))
		two.must(in.Start(two.context(), watchdog.Upstream{}))
		eventually(t, "sessions", func() bool { return two.value("SELECT 1") == "1" })
		exact("after a restart without a primary", false)

		two.must(in.Repoint(two.context(), one.upstream()))
		streams(t, in, one)
		two.exec("SELECT " + two.major.pauseFunction + "()")
		one.exec("INSERT INTO t SELECT generate_series(1, 100000)")
		one.exec("CHECKPOINT")
		eventually(t, "the WAL on the standby", func() bool {
			return two.value("SELECT "+two.major.receiveLSN+"()") == one.value("SELECT "+one.major.flushLSN+"()")
		})
		two.must(in.HangUp(two.context()))
		exact("under a pause", true)
		if two.value("SELECT "+two.major.pausedFunction+"()") != "t" {
			t.Error("looking has ended the pause")
		}
	})
}

// A standby that has followed a promotion keeps the old timeline's segment with the fork in it beside the new one's. The old
// one's records end at the fork, so it is no rival.
func TestEndOfWALPastAFork(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, heir := pair(t, bin)
		three := one.newStandby("three")
		in := three.open()
		three.must(in.Start(three.context(), one.upstream()))
		streams(t, in, one)
		one.exec("CREATE TABLE t (n int)")
		one.exec("INSERT INTO t SELECT generate_series(1, 1000)")
		three.caughtUp(one)
		two.caughtUp(one)
		one.must(one.open().Fence(one.context(), false))
		two.must(heir.HangUp(two.context()))
		two.promoted(heir, 2)
		three.must(in.Repoint(three.context(), two.upstream()))
		streams(t, in, two)
		two.exec("INSERT INTO t SELECT generate_series(1, 1000)")
		three.caughtUp(two)
		three.must(in.HangUp(three.context()))
		p, err := in.EndOfWAL(three.context())
		three.must(err)
		eventually(t, "sessions again", func() bool { return three.value("SELECT 1") == "1" })
		if at := three.value("SELECT " + three.major.replayLSN + "()"); p.End.String() != at || !p.Exact || p.Timeline != 2 {
			t.Errorf("end %+v, replayed %s", p, at)
		}
	})
}
