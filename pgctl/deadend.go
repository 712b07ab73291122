package pgctl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/pgvigil/pgvigil/pgctl/process"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// DeadEnd returns the end of a stopped server's WAL.
//
// After a clean shutdown it is exact: of a primary the end of the shutdown checkpoint's record, of a standby the end of the
// last whole record that it has. The position then carries the timeline that the WAL truly ends on, which need not be the
// one asked for.
//
// After a crash it is the end of the last page with a valid header on that timeline, so never before the true end and less
// than a page behind it: a replay of all of it stops at the exact end. The scan begins at hint's segment, or with hint 0 at
// the last checkpoint's, goes from one segment to the next, and looks at single pages in the last one only: a segment is
// synced before the next one is begun. A timeline of 0 asks for the newest that has WAL there.
func (in *Instance) DeadEnd(ctx context.Context, timeline watchdog.Timeline, hint watchdog.LSN) (sidecar.Position, error) {
	if pid, runs := process.Postmaster(in.Directory()); runs {
		return sidecar.Position{}, fmt.Errorf("find the end of WAL: %w: process %d", ErrRunning, pid)
	}
	c, err := in.control(ctx)
	if err != nil {
		return sidecar.Position{}, fmt.Errorf("find the end of WAL: %w", err)
	}
	d, err := in.wal(c)
	if err != nil {
		return sidecar.Position{}, fmt.Errorf("find the end of WAL: %w", err)
	}
	position, err := d.deadEnd(ctx, c, timeline, hint)
	if err != nil {
		return sidecar.Position{}, fmt.Errorf("find the end of WAL: %w", err)
	}
	return position, nil
}

func (d walFiles) deadEnd(ctx context.Context, c control, timeline watchdog.Timeline, hint watchdog.LSN) (sidecar.Position, error) {
	switch {
	case c.State == stateShutDown:
		return d.shutdownEnd(c)
	case c.State == stateShutDownInRecovery && d.records:
		if p, err := d.standbyEnd(ctx, c); err == nil || ctx.Err() != nil {
			return p, err
		}
	}
	from := hint
	if from == 0 {
		from = c.RedoLSN
		if c.State == stateShutDownInRecovery {
			from = max(from, c.MinRecoveryPoint)
		}
	}
	if timeline == 0 {
		var err error
		if timeline, err = d.newestAt(ctx, c, from); err != nil {
			return sidecar.Position{}, err
		}
	}
	end, err := d.lastPage(ctx, timeline, from)
	if err != nil && d.notBegun(timeline, from) {
		end, err = from, nil
	}
	return sidecar.Position{Timeline: timeline, End: end}, err
}

// notBegun says whether lsn is the start of a segment in which nothing was written, behind one that is there: the server ended
// when that was full, or just left by pg_switch_wal.
func (d walFiles) notBegun(timeline watchdog.Timeline, lsn watchdog.LSN) bool {
	if lsn != d.segmentStart(lsn) {
		return false
	}
	next, _, err := d.segmentOf(timeline, lsn)
	if err == nil {
		next.Close()
	}
	if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, errPage) {
		return false
	}
	full, _, err := d.segmentOf(timeline, lsn-1)
	if err != nil {
		return false
	}
	full.Close()
	return true
}

// shutdownEnd is the end of the shutdown checkpoint's record, the last that a primary writes.
func (d walFiles) shutdownEnd(c control) (sidecar.Position, error) {
	file, _, err := d.segmentOf(c.Timeline, c.CheckpointLSN)
	if err != nil {
		return sidecar.Position{}, fmt.Errorf("shutdown checkpoint at %s: %w", c.CheckpointLSN, err)
	}
	defer file.Close()
	at := int64(uint64(c.CheckpointLSN) % d.segment)
	if d.ancient {
		at += 16 // up to 9.2 the length was not the first field
	}
	var length [4]byte
	if _, err := file.ReadAt(length[:], at); err != nil {
		return sidecar.Position{}, fmt.Errorf("shutdown checkpoint at %s: %w", c.CheckpointLSN, err)
	}
	n := uint64(binary.LittleEndian.Uint32(length[:]))
	if n < recordHeader || n > d.page {
		return sidecar.Position{}, fmt.Errorf("shutdown checkpoint at %s: no record there: its length is said to be %d", c.CheckpointLSN, n)
	}
	return sidecar.Position{Timeline: c.Timeline, End: d.advance(c.CheckpointLSN, (n+7)&^7), Exact: true}, nil
}

// advance returns the position n bytes of a record after lsn: headers of pages between do not count.
func (d walFormat) advance(lsn watchdog.LSN, n uint64) watchdog.LSN {
	for {
		room := d.page - uint64(lsn)%d.page
		if n <= room {
			return lsn + watchdog.LSN(n)
		}
		n -= room
		lsn += watchdog.LSN(room)
		lsn += watchdog.LSN(d.header(lsn))
	}
}

// standbyEnd follows the records from what a cleanly stopped standby had replayed to the end of what it had received.
func (d walFiles) standbyEnd(ctx context.Context, c control) (sidecar.Position, error) {
	from := max(c.MinRecoveryPoint, c.RedoLSN)
	r, err := d.reader(ctx, c, from)
	if err != nil {
		return sidecar.Position{}, err
	}
	defer r.close()
	f, err := r.follow(ctx, from, nil)
	return sidecar.Position{Timeline: f.timeline, End: f.end, Exact: err == nil}, err
}

// newestAt returns the highest timeline with WAL at lsn whose history includes what the control file says of the past.
func (d walFiles) newestAt(ctx context.Context, c control, lsn watchdog.LSN) (watchdog.Timeline, error) {
	r, err := d.reader(ctx, c, lsn)
	if err != nil {
		return 0, err
	}
	defer r.close()
	err = r.openSegment(lsn)
	if err != nil && lsn == d.segmentStart(lsn) {
		err = r.openSegment(lsn - 1)
	}
	if err != nil {
		return 0, fmt.Errorf("no segment holds %s: %w", lsn, err)
	}
	return r.lineage.timeline, nil
}

// lastPage returns the end of the last page with a valid header that can be reached from the page of lsn on.
func (d walFiles) lastPage(ctx context.Context, timeline watchdog.Timeline, lsn watchdog.LSN) (watchdog.LSN, error) {
	line, err := lineageOf(d.path, timeline)
	if err != nil {
		return 0, err
	}
	first := d.segmentStart(lsn)
	file, _, err := d.segmentOf(timeline, first)
	if err != nil {
		return 0, fmt.Errorf("no WAL of timeline %d at %s: %w", timeline, lsn, err)
	}
	for {
		next, h, err := d.segmentOf(timeline, d.nextSegment(first))
		if err != nil || !line.allows(h.timeline, d.nextSegment(first)) {
			if err == nil {
				next.Close()
			} else if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, errPage) {
				file.Close()
				return 0, err
			}
			break
		}
		file.Close()
		file, first = next, d.nextSegment(first)
	}
	defer file.Close()
	return d.lastPageOf(ctx, file, line, max(first, d.pageStart(lsn)))
}

// lastPageOf scans one segment's pages from the one at start on. With none valid the end is start.
func (d walFiles) lastPageOf(ctx context.Context, file *os.File, line lineage, start watchdog.LSN) (watchdog.LSN, error) {
	var before watchdog.Timeline
	end, at := d.segmentEnd(start), start
	for ; at < end; at += watchdog.LSN(d.page) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		h, err := d.readPageHeader(file, at)
		if errors.Is(err, errPage) || err == nil && (!line.allows(h.timeline, at) || h.timeline < before) {
			break
		}
		if err != nil {
			return 0, err
		}
		before = h.timeline
	}
	return at, nil
}
