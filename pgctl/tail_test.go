package pgctl

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// leftBehind makes a primary that has died with WAL that its standby has not: 60,000 rows over several segments.
func leftBehind(t *testing.T, bin string) (one, two *testServer, dead, heir *Instance, ours, theirs sidecar.Position) {
	one, two, heir = pair(t, bin)
	one.exec("CREATE TABLE t (n int, s text)")
	two.caughtUp(one)
	dead = one.open()
	pid := two.stopReceiver()
	one.exec("INSERT INTO t SELECT n, repeat(md5(n::text), 12) FROM generate_series(1, 60000) n")
	one.exec("INSERT INTO t VALUES (0, 'last')")
	one.must(dead.Fence(one.context(), false))
	two.signal(pid, syscall.SIGCONT)
	two.must(heir.HangUp(two.context()))
	ours, err := heir.EndOfWAL(two.context())
	two.must(err)
	if !ours.Exact || ours.Timeline != 1 {
		t.Fatalf("the standby's end %+v", ours)
	}
	theirs, err = dead.DeadEnd(one.context(), 1, ours.End)
	one.must(err)
	if segments := (theirs.End - ours.End) / watchdog.LSN(one.format().segment); segments < 1 {
		t.Fatalf("only %s to %s", ours.End, theirs.End)
	}
	eventually(t, "none of the rows on the standby", func() bool { return two.value("SELECT count(*) FROM t") == "0" })
	return one, two, dead, heir, ours, theirs
}

// The whole story of a hand-over after a crash: everything that the old primary had acknowledged is on the new one, and the old
// one follows without a rewind.
func TestTailOfADeadPrimary(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, dead, heir, ours, theirs := leftBehind(t, bin)
		from := two.format().pageStart(ours.End)
		stream, w := io.Pipe()
		go func() { _ = w.CloseWithError(dead.ServeTail(one.context(), 1, from, theirs.End, w)) }()
		two.write(filepath.Join(two.major.walDir, tailPrefix+"left"), "of an earlier attempt")
		got, err := heir.LayTail(two.context(), 1, from, theirs.End, stream)
		two.must(err)
		if got != theirs.End {
			t.Fatalf("laid in to %s of %s", got, theirs.End)
		}
		two.noTailFiles(heir)
		if p, err := heir.EndOfWAL(two.context()); err != nil || !p.Exact || p.End <= ours.End || p.End > theirs.End {
			t.Errorf("the standby's end is now %+v, %v", p, err)
		}
		p := two.promoted(heir, 5)
		if n := two.value("SELECT count(*) FROM t"); n != "60001" {
			t.Errorf("%s rows", n)
		}
		if p.Fork > theirs.End || p.Fork+watchdog.LSN(two.format().page) < theirs.End {
			t.Errorf("fork %s, the dead primary's end %s", p.Fork, theirs.End)
		}
		one.must(dead.Start(one.context(), two.upstream()))
		streams(t, dead, two)
		two.exec("INSERT INTO t VALUES (-1, 'new')")
		eventually(t, "the new row on the old primary", func() bool { return one.value("SELECT count(*) FROM t") == "60002" })
	})
}

func (s *testServer) noTailFiles(in *Instance) {
	s.t.Helper()
	names, err := readNames(in.walDir())
	s.must(err)
	for _, name := range names {
		if strings.HasPrefix(name, tailPrefix) {
			s.t.Errorf("%s is left", name)
		}
		info, err := os.Stat(filepath.Join(in.walDir(), name))
		if err == nil && len(name) == 24 {
			st := info.Sys().(*syscall.Stat_t)
			if int(st.Uid) != s.owner.uid || info.Mode().Perm() != 0o600 || uint64(info.Size()) != s.format().segment {
				s.t.Errorf("%s: user %d, %v, %d bytes", name, st.Uid, info.Mode(), info.Size())
			}
		}
	}
}

// A stream that breaks leaves what was whole, and another attempt goes on from there.
func TestTornTail(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, dead, heir, ours, theirs := leftBehind(t, bin)
		f := two.format()
		from := f.pageStart(ours.End)
		var whole bytes.Buffer
		one.must(dead.ServeTail(one.context(), 1, from, theirs.End, &whole))
		if uint64(whole.Len()) != uint64(theirs.End-from) {
			t.Fatalf("%d bytes from %s to %s", whole.Len(), from, theirs.End)
		}
		data, farthest := whole.Bytes(), ours.End
		for round := range 4 {
			cut := rand.IntN(len(data) * (round + 1) / 4)
			got, err := heir.LayTail(two.context(), 1, from, theirs.End, bytes.NewReader(data[:cut]))
			if want := f.pageStart(from + watchdog.LSN(cut)); err == nil || got != want {
				t.Fatalf("cut after %d bytes: %s, %v; want %s", cut, got, err, want)
			}
			two.noTailFiles(heir)
			// Replay may be anywhere before got; what it gets to is never past it.
			farthest = max(farthest, got)
			if p, err := heir.EndOfWAL(two.context()); err != nil || p.End < ours.End || p.End > farthest {
				t.Errorf("the standby's end %+v, %v, laid in to %s", p, err, farthest)
			}
		}
		foreign := append([]byte(nil), data...)
		at := int(f.page) * 3
		foreign[at+8] ^= 0xff // another address
		if got, err := heir.LayTail(two.context(), 1, from, theirs.End, bytes.NewReader(foreign)); !errors.Is(err, errPage) || got != from+3*watchdog.LSN(f.page) {
			t.Errorf("a foreign page: %s, %v", got, err)
		}
		got, err := heir.LayTail(two.context(), 1, from, theirs.End, bytes.NewReader(data))
		two.must(err)
		if got != theirs.End {
			t.Errorf("at last %s of %s", got, theirs.End)
		}
		two.promoted(heir, 2)
		if n := two.value("SELECT count(*) FROM t"); n != "60001" {
			t.Errorf("%s rows", n)
		}
	})
}

func TestTailRefuses(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin)
		p, err := one.open().EndOfWAL(one.context())
		if !errors.Is(err, ErrNotStandby) {
			t.Errorf("a primary's end: %+v, %v", p, err)
		}
		at := watchdog.LSN(one.format().segment) * 3
		if _, err := in.LayTail(two.context(), 1, at, at+8192, bytes.NewReader(nil)); err == nil || !strings.Contains(err.Error(), "hang up") {
			t.Errorf("beside a receiver: %v", err)
		}
		two.must(in.HangUp(two.context()))
		if _, err := in.LayTail(two.context(), 1, at+8, at+8192, bytes.NewReader(nil)); err == nil {
			t.Error("from within a page")
		}
		if _, err := in.LayTail(two.context(), 4, at, at+8192, bytes.NewReader(nil)); !errors.Is(err, errNoHistory) {
			t.Errorf("of an unknown timeline: %v", err)
		}
		if _, err := in.LayTail(two.context(), 1, at*100+8192, at*100+16384, bytes.NewReader(nil)); !errors.Is(err, errNoWAL) {
			t.Errorf("past a hole: %v", err)
		}
		var nothing bytes.Buffer
		if err := one.open().ServeTail(one.context(), 1, at*100, at*100+8192, &nothing); !errors.Is(err, errNoWAL) || nothing.Len() > 0 {
			t.Errorf("a missing segment: %v, %d bytes", err, nothing.Len())
		}
	})
}
