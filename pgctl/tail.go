package pgctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pgvigil/pgvigil/pgctl/process"
	"github.com/pgvigil/pgvigil/watchdog"
)

// tailPrefix begins the names of segments that are still being written. PostgreSQL takes no notice of such names.
const tailPrefix = "pgvigil-tail-"

// LayTail reads raw WAL of the timeline in [from, to) from r, checks each page's header, and lays it into the WAL directory.
// from is a page's start at or before our own end, and everything of ours before it stays as it is. It returns how far it
// got, which is to, or with an error the end of the last whole page: what was whole before a stream breaks is laid in.
//
// Each segment is written beside, with our own bytes before from, the stream's, and zeros to its full size, so that nothing
// stale past to can be taken for WAL; synced, then renamed over ours, then the directory is synced. So at any crash a
// segment is the old one or the new one. Our own segment is kept where it reaches further than the stream.
//
// The server may run. It must have hung up: a receiver would write to the segment that is replaced.
func (in *Instance) LayTail(ctx context.Context, timeline watchdog.Timeline, from, to watchdog.LSN, r io.Reader) (watchdog.LSN, error) {
	c, err := in.control(ctx)
	if err != nil {
		return from, fmt.Errorf("lay WAL in: %w", err)
	}
	d, err := in.wal(c)
	if err != nil {
		return from, fmt.Errorf("lay WAL in: %w", err)
	}
	if pid, receives := process.Receiver(in.Directory()); receives {
		return from, fmt.Errorf("lay WAL in: the server still receives WAL itself, by process %d: hang up first", pid)
	}
	t := &tail{walFiles: d, timeline: timeline, from: from, to: to, stream: interruptible{ctx, r}, got: from}
	if err := in.owner.act(func() error { return t.lay(ctx) }); err != nil {
		return t.got, fmt.Errorf("lay WAL in: %w", err)
	}
	return t.got, nil
}

// tail is one laying of a tail.
type tail struct {
	walFiles
	timeline watchdog.Timeline
	from, to watchdog.LSN
	stream   io.Reader
	line     lineage
	mode     fs.FileMode
	page     []byte
	magic    uint16            // of every page: the major version's
	before   watchdog.Timeline // of the page before
	got      watchdog.LSN      // laid in up to here
}

func (t *tail) lay(ctx context.Context) error {
	if err := t.prepare(); err != nil {
		return err
	}
	for at := t.from; at < t.to; at = t.nextSegment(at) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.laySegment(at, min(t.to, t.segmentEnd(at))); err != nil {
			return err
		}
	}
	return nil
}

// prepare checks what can be checked before the stream is read, and removes what an earlier, broken call has left.
func (t *tail) prepare() error {
	if t.from != t.pageStart(t.from) {
		return fmt.Errorf("%s is no page's start", t.from)
	}
	info, err := os.Stat(t.path)
	if err != nil {
		return err
	}
	t.mode = 0o600
	if info.Mode().Perm()&0o040 != 0 {
		t.mode = 0o640
	}
	t.page = make([]byte, t.walFormat.page)
	names, err := readNames(t.path)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, tailPrefix) {
			if err := os.Remove(filepath.Join(t.path, name)); err != nil {
				return fmt.Errorf("remove what an earlier attempt has left: %w", err)
			}
		}
	}
	if t.line, err = lineageOf(t.path, t.timeline); err != nil {
		return err
	}
	return t.joins()
}

// joins refuses a tail that our own WAL does not lead up to: replay would never get to it.
func (t *tail) joins() error {
	if t.from != t.segmentStart(t.from) {
		if _, err := os.Stat(t.ownName(t.from)); err != nil {
			return fmt.Errorf("%w: we have no WAL before %s to join it to: %w", errNoWAL, t.from, err)
		}
	}
	if !t.line.known {
		if _, err := os.Stat(t.ownName(t.from)); err != nil && !t.hasTimeline() {
			return fmt.Errorf("%w %s: without it this server would not replay that timeline", errNoHistory, historyName(t.timeline))
		}
	}
	return nil
}

func (t *tail) hasTimeline() bool {
	known, _ := t.timelines()
	for _, timeline := range known {
		if timeline == t.timeline {
			return true
		}
	}
	return false
}

func (t *tail) ownName(lsn watchdog.LSN) string {
	return filepath.Join(t.path, t.fileName(t.timeline, lsn))
}

// laySegment lays in what of the stream belongs to one segment: all of it, or as many whole pages as come.
func (t *tail) laySegment(from, to watchdog.LSN) (err error) {
	name := t.fileName(t.timeline, from)
	beside := filepath.Join(t.path, tailPrefix+name)
	file, err := os.OpenFile(beside, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if left := os.Remove(beside); left != nil && !errors.Is(left, fs.ErrNotExist) {
			err = errors.Join(err, left)
		}
	}()
	defer file.Close()
	if err := t.copyOwn(file, from); err != nil {
		return err
	}
	got, broken := t.copyPages(file, from, to)
	if got == from {
		return broken
	}
	if longer, err := t.ownReaches(got); err != nil || longer {
		if err == nil {
			t.got = got
		}
		return errors.Join(err, broken)
	}
	if err := t.install(file, beside, name); err != nil {
		return errors.Join(err, broken)
	}
	t.got = got
	return broken
}

// copyOwn gives the new file its full size and our own bytes before from.
func (t *tail) copyOwn(file *os.File, from watchdog.LSN) error {
	if err := file.Truncate(int64(t.segment)); err != nil {
		return err
	}
	if from == t.segmentStart(from) {
		return nil
	}
	own, _, err := t.segmentOf(t.timeline, from)
	if err != nil {
		return err
	}
	defer own.Close()
	h, err := t.readPageHeader(own, from-watchdog.LSN(t.walFormat.page))
	if err != nil {
		return fmt.Errorf("our own WAL ends before %s: %w", from, err)
	}
	t.before, t.magic = h.timeline, h.magic
	_, err = io.Copy(file, io.NewSectionReader(own, 0, int64(from-t.segmentStart(from))))
	return err
}

// copyPages writes the stream's pages, as far as they are whole and right.
func (t *tail) copyPages(file *os.File, from, to watchdog.LSN) (watchdog.LSN, error) {
	at := from
	for at < to {
		data := t.page[:min(t.walFormat.page, uint64(to-at))]
		if _, err := io.ReadFull(t.stream, data); err != nil {
			return at, fmt.Errorf("the stream broke after %s: %w", at, err)
		}
		if err := t.check(data, at); err != nil {
			return at, err
		}
		if _, err := file.WriteAt(data, int64(uint64(at)%t.segment)); err != nil {
			return at, err
		}
		at += watchdog.LSN(len(data))
	}
	return at, nil
}

// check checks a page's header. Records are for PostgreSQL to check, which does.
func (t *tail) check(data []byte, at watchdog.LSN) error {
	if uint64(len(data)) < t.header(at) {
		return nil // the tail ends within a header: nothing is on that page
	}
	h, err := t.parsePage(data, at)
	if err != nil {
		return err
	}
	if t.magic == 0 {
		t.magic = h.magic
	}
	switch {
	case h.magic != t.magic:
		return fmt.Errorf("%w at %s: magic %04X after %04X", errPage, at, h.magic, t.magic)
	case !t.line.allows(h.timeline, at) || h.timeline < t.before:
		return fmt.Errorf("%w at %s: timeline %d in the WAL of %d", errPage, at, h.timeline, t.timeline)
	}
	t.before = h.timeline
	return nil
}

// ownReaches says whether our own segment has a valid page past lsn.
func (t *tail) ownReaches(lsn watchdog.LSN) (bool, error) {
	next := t.pageStart(lsn + watchdog.LSN(t.walFormat.page) - 1)
	if next >= t.segmentEnd(lsn-1) {
		return false, nil
	}
	own, _, err := t.segmentOf(t.timeline, lsn-1)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errPage) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer own.Close()
	h, err := t.readPageHeader(own, next)
	if errors.Is(err, errPage) {
		return false, nil
	}
	return err == nil && t.line.allows(h.timeline, next), err
}

// install makes the file durable under its own name.
func (t *tail) install(file *os.File, beside, name string) error {
	if err := file.Chmod(t.mode); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(beside, filepath.Join(t.path, name)); err != nil {
		return err
	}
	return syncDir(t.path)
}
