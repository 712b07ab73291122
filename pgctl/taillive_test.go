package pgctl

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
)

func TestPageStart(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		page := watchdog.LSN(one.format().page)
		for at, want := range map[watchdog.LSN]watchdog.LSN{0: 0, page - 1: 0, page: page, 7*page + 1: 7 * page} {
			if got, err := one.open().PageStart(one.context(), at); err != nil || got != want {
				t.Errorf("of %s: %s, %v, want %s", at, got, err, want)
			}
		}
	})
	for _, size := range []int{1024, 8192, 16384, 65536} { // options of PostgreSQL's build
		f, err := walFormatOf(control{WalSegmentSize: 16 << 20, WalBlockSize: size})
		if at := watchdog.LSN(5*size + 77); err != nil || f.pageStart(at) != watchdog.LSN(5*size) {
			t.Errorf("pages of %d bytes: %s starts at %s, %v", size, at, f.pageStart(at), err)
		}
	}
}

// The one who has the tail goes on writing while it is read, over the page that it ends in: what comes is right up to its end.
func TestTailOfAServerThatWritesOn(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, heir := pair(t, bin)
		one.exec("CREATE TABLE t (n int, s text); CREATE TABLE more (n int, s text)")
		two.caughtUp(one)
		two.must(heir.HangUp(two.context()))
		one.exec("INSERT INTO t SELECT n, repeat(md5(n::text), 12) FROM generate_series(1, 60000) n")
		ours, err := heir.EndOfWAL(two.context())
		two.must(err)
		to := one.lsn("SELECT " + one.major.flushLSN + "()")
		from, err := heir.PageStart(two.context(), ours.End)
		two.must(err)
		stream, w := io.Pipe()
		go func() { _ = w.CloseWithError(one.open().ServeTail(one.context(), 1, from, to, w)) }()
		grown := 0
		got, err := heir.LayTail(two.context(), 1, from, to, &between{stream, func() {
			if grown < 20 {
				one.exec("INSERT INTO more SELECT n, repeat('x', 300) FROM generate_series(1, 500) n")
				grown++
			}
		}})
		two.must(err)
		if got != to || grown < 20 {
			t.Fatalf("laid in to %s of %s, and it was written to %d times", got, to, grown)
		}
		if p := two.promoted(heir, 2); p.Fork > to {
			t.Errorf("fork %s past the tail's end %s", p.Fork, to)
		}
		if n := two.value("SELECT count(*) FROM t"); n != "60000" {
			t.Errorf("%s rows", n)
		}
	})
}

// between does something before each read.
type between struct {
	io.Reader
	then func()
}

// Read does it, and reads.
func (b *between) Read(p []byte) (int, error) {
	b.then()
	return b.Reader.Read(p)
}

// A segment in the middle of the tail is gone, or cannot be read: what lies before it comes, is replayed, and nothing behind it
// is taken for WAL.
func TestTailWithAHole(t *testing.T) {
	for name, spoil := range map[string]func(segment string) error{
		"gone": os.Remove,
		"unreadable": func(segment string) error { // by a disk that opens it, and fails to read
			return errors.Join(os.Remove(segment), os.Mkdir(segment, 0o700))
		},
		"cut short": func(segment string) error { return os.Truncate(segment, 3*8192+100) },
	} {
		t.Run(name, func(t *testing.T) {
			eachMajor(t, func(t *testing.T, bin string) {
				one, two, dead, heir, ours, theirs := leftBehind(t, bin)
				f := one.format()
				hole := f.nextSegment(ours.End)
				one.must(spoil(filepath.Join(dead.walDir(), f.fileName(1, hole))))
				from := f.pageStart(ours.End)
				stream, w := io.Pipe()
				served := make(chan error, 1)
				go func() {
					err := dead.ServeTail(one.context(), 1, from, theirs.End, w)
					served <- err
					_ = w.CloseWithError(err)
				}()
				got, err := heir.LayTail(two.context(), 1, from, theirs.End, stream)
				if why := <-served; err == nil || why == nil {
					t.Errorf("served with %v, laid in with %v", why, err)
				}
				if got < hole || got >= theirs.End || got > hole+watchdog.LSN(3*f.page) {
					t.Fatalf("laid in to %s, and the hole is at %s", got, hole)
				}
				two.noTailFiles(heir)
				if p := two.promoted(heir, 2); p.Fork <= ours.End || p.Fork > got {
					t.Errorf("fork %s, our own end was %s, and it was laid in to %s", p.Fork, ours.End, got)
				}
				if n := two.value("SELECT count(*) FROM t"); n != "0" { // one transaction, whose commit lies behind the hole
					t.Errorf("%s rows", n)
				}
			})
		})
	}
}
