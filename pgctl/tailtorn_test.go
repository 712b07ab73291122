package pgctl

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
)

// lastCommit finds the last commit in the WAL of a server that is down, from lsn on.
func (s *testServer) lastCommit(in *Instance, lsn watchdog.LSN) (last walRecord) {
	s.t.Helper()
	c, err := in.control(s.context())
	s.must(err)
	d, err := in.wal(c)
	s.must(err)
	r, err := d.reader(s.context(), c, lsn-1)
	s.must(err)
	defer r.close()
	_, err = r.follow(s.context(), lsn, func(rec walRecord) bool {
		if rec.commits() {
			last = rec
		}
		return true
	})
	s.must(err)
	return last
}

// tear leaves of a record its first half, as a page that was torn does.
func (s *testServer) tear(in *Instance, rec walRecord) {
	s.t.Helper()
	f := s.format()
	file, err := os.OpenFile(filepath.Join(in.walDir(), f.fileName(1, rec.start)), os.O_RDWR, 0)
	s.must(err)
	defer file.Close()
	half := rec.start + (rec.end-rec.start)/2
	_, err = file.WriteAt(make([]byte, f.pageStart(half)+watchdog.LSN(f.page)-half), int64(uint64(half)%f.segment))
	s.must(err)
}

// recycle makes files of the segments after lsn with what is in lsn's own, as PostgreSQL does with old ones.
func (s *testServer) recycle(lsn watchdog.LSN, n int) {
	s.t.Helper()
	f := s.format()
	old := s.read(filepath.Join(s.major.walDir, f.fileName(1, lsn)))
	for at := f.nextSegment(lsn); n > 0; at, n = f.nextSegment(at), n-1 {
		s.write(filepath.Join(s.major.walDir, f.fileName(1, at)), old)
	}
}

// The dead primary's last commit is torn. All before it is laid over recycled segments, by a stream that breaks again and
// again, and PostgreSQL replays to just there: pg_waldump and the fork say so.
func TestTailThatEndsInATornRecord(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, dead, heir, ours, theirs := leftBehind(t, bin)
		torn := one.lastCommit(dead, ours.End)
		one.tear(dead, torn)
		two.recycle(ours.End, 2)
		if end, err := dead.DeadEnd(one.context(), 1, ours.End); err != nil || end != theirs {
			t.Fatalf("the torn end is %+v, %v; it was %+v", end, err, theirs)
		}
		f := two.format()
		from := f.pageStart(ours.End)
		page := watchdog.LSN(f.page)
		for _, length := range []watchdog.LSN{10, page + page/2, 2 * page, watchdog.LSN(f.segment), 30, 3*page - 1} {
			length = min(length, f.nextSegment(from)-from)
			var part bytes.Buffer
			one.must(dead.ServeTail(one.context(), 1, from, min(from+length, theirs.End), &part))
			got, err := heir.LayTail(two.context(), 1, from, theirs.End, &part)
			if want := f.pageStart(from + length); err == nil || got != want {
				t.Fatalf("of %d bytes from %s: to %s, %v; want %s", length, from, got, err, want)
			}
			from = got
			two.noTailFiles(heir)
		}
		var rest bytes.Buffer
		one.must(dead.ServeTail(one.context(), 1, from, theirs.End, &rest))
		got, err := heir.LayTail(two.context(), 1, from, theirs.End, &rest)
		two.must(err)
		if got != theirs.End {
			t.Fatalf("laid in to %s of %s", got, theirs.End)
		}
		end, err := heir.EndOfWAL(two.context())
		if two.must(err); !end.Exact || end.End != torn.start || end.Timeline != 1 {
			t.Errorf("the end is %+v, and the torn record starts at %s", end, torn.start)
		}
		if _, err := os.Stat(filepath.Join(bin, "pg_waldump")); err == nil {
			c, _ := readControl(two.dir)
			if dumped := two.dumpedEnd(1, c.RedoLSN); dumped != torn.start {
				t.Errorf("by pg_waldump the end is %s", dumped)
			}
		}
		if p := two.promoted(heir, 2); p.Fork != torn.start {
			t.Errorf("fork %s, and the torn record starts at %s", p.Fork, torn.start)
		}
		if n := two.value("SELECT count(*) FROM t"); n != "60000" {
			t.Errorf("%s rows: all but the torn commit's were to be there", n)
		}
	})
}

// A primary that ended just after pg_switch_wal says where: at the start of a segment that is not there.
func TestDeadEndAfterASwitch(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		in := one.open()
		var hint watchdog.LSN
		eventually(t, "WAL that ends with a segment", func() bool {
			one.exec("CREATE TABLE IF NOT EXISTS t (n int); INSERT INTO t VALUES (1)")
			one.exec("SELECT " + one.major.switchFunction + "()")
			hint = one.lsn("SELECT " + one.major.flushLSN + "()")
			return hint == one.format().segmentStart(hint)
		})
		one.must(in.Fence(one.context(), false))
		p, err := in.DeadEnd(one.context(), 1, hint)
		one.must(err)
		if p.End < hint || p.End > hint+watchdog.LSN(one.format().page) || p.Timeline != 1 {
			t.Errorf("end %+v, flushed was %s", p, hint)
		}
	})
}
