package pgctl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"github.com/pgvigil/pgvigil/watchdog"
)

// The WAL reader follows whole records, as PostgreSQL's own replay does, and so finds the position at which a replay of what
// lies in the WAL directory would stop, without asking the server and whatever its replay is held back by. It judges as
// PostgreSQL does: page addresses and timelines, the chain of previous records, and each record's checksum. It reads
// 9.5 and up.

// errRecord is the end of the WAL: no whole record starts at the position.
var errRecord = errors.New("no whole record")

// walRecord is what of a record's header matters here.
type walRecord struct {
	start   watchdog.LSN
	end     watchdog.LSN // where the next one starts, headers of pages aside
	manager byte
	info    byte
}

// Resource managers and their records.
const (
	managerXLOG      = 0
	managerXact      = 1
	recordHeader     = 24
	recordMost       = 1 << 30 // no record is longer
	xlogShutdown     = 0x00
	xlogSwitch       = 0x40
	xactOperation    = 0x70
	xactCommit       = 0x00
	xactCommitFormer = 0x30 // of a prepared transaction
)

func (r walRecord) commits() bool {
	operation := r.info & xactOperation
	return r.manager == managerXact && (operation == xactCommit || operation == xactCommitFormer)
}

// walReader reads records, one after the other. Close it after use.
type walReader struct {
	walFiles
	candidates []watchdog.Timeline // whose segment files are looked for, best first
	must       []ancestor          // WAL that the history read must include

	at   watchdog.LSN // where the next record starts
	prev watchdog.LSN // where the last one started; 0: not known
	want watchdog.LSN // up to where the record that was cut short would go, as far as its length is known

	lineage lineage // of the file that is open
	seen    watchdog.Timeline
	file    *os.File
	first   watchdog.LSN // of that file
	page    []byte
	pageAt  watchdog.LSN
	pageOK  bool
	head    pageHeader
}

func (r *walReader) close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}

// openSegment opens the best segment file that holds lsn: of the highest timeline whose history includes what was read so
// far.
func (r *walReader) openSegment(lsn watchdog.LSN) error {
	first := r.segmentStart(lsn)
	if r.file != nil && r.first == first {
		return nil
	}
	var last error = fmt.Errorf("%w: no segment", os.ErrNotExist)
	for _, timeline := range r.candidates {
		line, err := lineageOf(r.path, timeline)
		if err != nil {
			return err
		}
		if !r.suits(line, lsn) {
			continue
		}
		file, _, err := r.segmentOf(timeline, lsn)
		if err != nil {
			last = err
			continue
		}
		r.close()
		r.file, r.first, r.lineage, r.pageOK = file, first, line, false
		return nil
	}
	return last
}

// suits says whether a timeline's history includes what must be in it and what has been read.
func (r *walReader) suits(line lineage, lsn watchdog.LSN) bool {
	if r.file != nil && !line.includes(r.lineage.timeline, r.segmentStart(lsn)) {
		return false
	}
	for _, a := range r.must {
		if !line.includes(a.Timeline, a.End) {
			return false
		}
	}
	return true
}

// load makes the page that holds lsn the current one.
func (r *walReader) load(lsn watchdog.LSN) error {
	start := r.pageStart(lsn)
	if r.pageOK && r.pageAt == start {
		return nil
	}
	if err := r.openSegment(lsn); err != nil {
		return err
	}
	if r.page == nil {
		r.page = make([]byte, r.walFormat.page)
	}
	r.pageAt, r.pageOK = start, false
	if _, err := r.file.ReadAt(r.page, int64(start-r.first)); err != nil {
		return fmt.Errorf("%w at %s: %w", errPage, start, err)
	}
	h, err := r.parsePage(r.page, start)
	if err != nil {
		return err
	}
	if !r.lineage.allows(h.timeline, start) || h.timeline < r.seen {
		return fmt.Errorf("%w at %s: timeline %d in the WAL of %d", errPage, start, h.timeline, r.lineage.timeline)
	}
	r.head, r.pageOK = h, true
	return nil
}

// seek finds the first record from which the records can be followed to lsn: one that starts before it, so that the chain of
// previous records is known by then.
func (r *walReader) seek(ctx context.Context, lsn watchdog.LSN) error {
	const most = 4096 // pages that one record may span
	start := r.pageStart(lsn - 1)
	for range most {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.seen = 0
		if err := r.load(start); err != nil {
			return err
		}
		if at, ok := r.firstRecord(); ok && at < lsn {
			r.at, r.prev = at, 0
			return nil
		}
		if start < watchdog.LSN(r.walFormat.page) {
			break
		}
		// Backwards no file but the current timeline's and its ancestors' will do.
		if r.segmentStart(start) == start {
			r.close()
		}
		start -= watchdog.LSN(r.walFormat.page)
	}
	return fmt.Errorf("%w before %s", errRecord, lsn)
}

// firstRecord is where the first record starts on the current page.
func (r *walReader) firstRecord() (watchdog.LSN, bool) {
	at := uint64(r.pageAt) + r.header(r.pageAt)
	if r.head.info&pageFirstIsContinued != 0 {
		at += (uint64(r.head.rest) + 7) &^ 7
	}
	return watchdog.LSN(at), at < uint64(r.pageAt)+r.walFormat.page
}

// next reads the record at r.at and moves behind it. errRecord or errPage: the WAL ends at r.at.
func (r *walReader) next(ctx context.Context) (walRecord, error) {
	for {
		rec, again, err := r.read(ctx)
		if !again {
			return rec, err
		}
	}
}

// read reads one record. again: the record that began at r.at was given up, and the next one starts at the new r.at.
func (r *walReader) read(ctx context.Context) (rec walRecord, again bool, err error) {
	if r.at == r.pageStart(r.at) {
		if err := r.load(r.at); err != nil {
			return rec, false, err
		}
		if r.head.info&pageFirstIsContinued != 0 {
			return rec, false, fmt.Errorf("%w at %s: the page continues another", errRecord, r.at)
		}
		r.at += watchdog.LSN(r.header(r.at))
	}
	r.want = 0
	b := bite{reader: r, at: r.at}
	header, err := b.take(ctx, recordHeader)
	if err != nil {
		return r.cut(b, err)
	}
	length := uint64(binary.LittleEndian.Uint32(header))
	prev := watchdog.LSN(binary.LittleEndian.Uint64(header[8:]))
	switch {
	case length < recordHeader || length > recordMost:
		return rec, false, fmt.Errorf("%w at %s: length %d", errRecord, r.at, length)
	case prev >= r.at || r.prev != 0 && prev != r.prev:
		return rec, false, fmt.Errorf("%w at %s: the one before it is said to be at %s", errRecord, r.at, prev)
	}
	rec = walRecord{start: r.at, manager: header[17], info: header[16] & 0xF0}
	r.want = r.at + watchdog.LSN(length) // and the headers between, so at least
	sum := uint32(0)
	for rest := length - recordHeader; rest > 0; {
		part, err := b.some(ctx, rest)
		if err != nil {
			return r.cut(b, err)
		}
		sum = crc32.Update(sum, castagnoli, part)
		rest -= uint64(len(part))
	}
	sum = crc32.Update(sum, castagnoli, header[:20])
	if sum != binary.LittleEndian.Uint32(header[20:]) {
		return rec, false, fmt.Errorf("%w at %s: wrong checksum", errRecord, r.at)
	}
	rec.end = (b.at + 7) &^ 7
	if rec.manager == managerXLOG && rec.info == xlogSwitch && rec.end != r.segmentStart(rec.end) {
		rec.end = r.segmentEnd(rec.end)
	}
	r.at, r.prev, r.seen = rec.end, rec.start, r.head.timeline
	return rec, false, nil
}

// errOverwritten says that the page after a record's beginning starts anew: the record was given up at a crash.
var errOverwritten = errors.New("record was given up")

// cut is what to say of a record that is not there to its end.
func (r *walReader) cut(b bite, err error) (walRecord, bool, error) {
	if errors.Is(err, errOverwritten) && b.at > r.at {
		r.at = b.at
		return walRecord{}, true, nil
	}
	return walRecord{}, false, err
}

// bite takes a record's bytes off its pages.
type bite struct {
	reader *walReader
	at     watchdog.LSN
	held   []byte
}

// take returns n bytes in one piece.
func (b *bite) take(ctx context.Context, n uint64) ([]byte, error) {
	for uint64(len(b.held)) < n {
		part, err := b.some(ctx, n-uint64(len(b.held)))
		if err != nil {
			return nil, err
		}
		b.held = append(b.held, part...)
	}
	return b.held, nil
}

// some returns up to n of the bytes that follow, those that are on one page.
func (b *bite) some(ctx context.Context, n uint64) ([]byte, error) {
	r := b.reader
	begin := b.at == r.pageStart(b.at)
	if begin {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if err := r.load(b.at); err != nil {
		return nil, err
	}
	if begin {
		switch {
		case r.head.info&pageOverwrites != 0:
			return nil, errOverwritten
		case r.head.info&pageFirstIsContinued == 0:
			return nil, fmt.Errorf("%w: the page at %s does not continue it", errRecord, b.at)
		}
		b.at += watchdog.LSN(r.header(b.at))
	}
	from := uint64(b.at - r.pageAt)
	n = min(n, r.walFormat.page-from)
	b.at += watchdog.LSN(n)
	return r.page[from : from+n], nil
}

// followed is where a walk along the records ended.
type followed struct {
	end      watchdog.LSN
	timeline watchdog.Timeline
	commits  int
	cutFrom  watchdog.LSN // at least up to there would the record go that begins at end and is not there to its end; 0: none begins
}

// follow walks along the records from lsn, which is a record's end, to the end of the WAL. visit may be nil; false ends the
// walk.
func (r *walReader) follow(ctx context.Context, lsn watchdog.LSN, visit func(walRecord) bool) (followed, error) {
	if err := r.seek(ctx, lsn); err != nil {
		return followed{}, err
	}
	var f followed
	for {
		rec, err := r.next(ctx)
		switch {
		case ctx.Err() != nil:
			return followed{}, ctx.Err()
		case errors.Is(err, errRecord), errors.Is(err, errPage), errors.Is(err, os.ErrNotExist):
			f.end, f.cutFrom = r.prevEnd(), r.want
			f.timeline = r.timelineOf(f.end)
			if f.end < lsn {
				return f, fmt.Errorf("the records end at %s, before %s: %w", f.end, lsn, err)
			}
			return f, nil
		case err != nil:
			return followed{}, err
		}
		if rec.start >= lsn && rec.commits() {
			f.commits++
		}
		if visit != nil && !visit(rec) {
			f.end, f.timeline = rec.end, r.timelineOf(rec.end)
			return f, nil
		}
	}
}

// prevEnd is the end of the last record read: r.at, unless that was moved behind a page's header.
func (r *walReader) prevEnd() watchdog.LSN {
	if start := r.pageStart(r.at); r.at == start+watchdog.LSN(r.header(start)) {
		return start
	}
	return r.at
}

// timelineOf is the timeline that the WAL up to lsn is of: that of the file, from its fork on.
func (r *walReader) timelineOf(lsn watchdog.LSN) watchdog.Timeline {
	for _, a := range r.lineage.ancestors {
		if lsn <= a.End {
			return a.Timeline
		}
	}
	return r.lineage.timeline
}
