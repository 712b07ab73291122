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
// A segment that is not there is written beside with zeros to its full size, synced, and renamed. One that is there is
// written into after our own end, as a receiver does (a startup process that lags behind has it open), and is kept where it
// reaches further than the stream: what lies past the last page laid in is no valid page, and a crash in between leaves a
// torn end, at which replay stops.
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
func (t *tail) laySegment(from, to watchdog.LSN) error {
	info, err := os.Stat(t.ownName(from))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t.layBeside(from, to)
	case err != nil:
		return err
	case uint64(info.Size()) != t.segment:
		return fmt.Errorf("%s has %d bytes and not %d", t.ownName(from), info.Size(), t.segment)
	}
	return t.layOver(from, to)
}

// layOver writes into a segment that is there, after our own end, as a receiver would. It must be the same file: a startup
// process that lags behind has it open, would read the old one to its end, and promote without the tail.
func (t *tail) layOver(from, to watchdog.LSN) error {
	own, err := os.OpenFile(t.ownName(from), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer own.Close()
	if from != t.segmentStart(from) {
		h, err := t.readPageHeader(own, from-watchdog.LSN(t.walFormat.page))
		if err != nil {
			return fmt.Errorf("our own WAL ends before %s: %w", from, err)
		}
		t.before, t.magic = h.timeline, h.magic
	}
	longer, err := t.ownReaches(to)
	if err != nil {
		return err
	}
	var pages io.WriterAt = own
	if longer {
		pages = unwritten{}
	}
	got, broken := t.copyPages(pages, t.segmentStart(from), from, to)
	if got == from {
		return broken
	}
	if err := own.Sync(); err != nil {
		return errors.Join(err, broken)
	}
	t.got = got
	return broken
}

// unwritten takes what our own segment has already.
type unwritten struct{}

// WriteAt writes nothing.
func (unwritten) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// layBeside makes a segment that is not there: beside, and renamed once it is durable.
func (t *tail) layBeside(from, to watchdog.LSN) (err error) {
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
	if err := file.Truncate(int64(t.segment)); err != nil {
		return err
	}
	got, broken := t.copyPages(file, t.segmentStart(from), from, to)
	if got == from {
		return broken
	}
	if err := t.install(file, beside, name); err != nil {
		return errors.Join(err, broken)
	}
	t.got = got
	return broken
}

// copyPages writes the stream's pages to file, which begins at start, as far as they are whole and right.
func (t *tail) copyPages(file io.WriterAt, start, from, to watchdog.LSN) (watchdog.LSN, error) {
	at := from
	for at < to {
		data := t.page[:min(t.walFormat.page, uint64(to-at))]
		if _, err := io.ReadFull(t.stream, data); err != nil {
			return at, fmt.Errorf("the stream broke after %s: %w", at, err)
		}
		if err := t.check(data, at); err != nil {
			return at, err
		}
		clear(t.page[len(data):]) // the last page is filled up with zeros
		if _, err := file.WriteAt(t.page, int64(at-start)); err != nil {
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
