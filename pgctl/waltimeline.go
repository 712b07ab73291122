package pgctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
)

// errAmbiguous says that the files alone do not tell which timeline's WAL is the server's.
var errAmbiguous = errors.New("segments of timelines that exclude each other")

// reader returns a reader of the WAL that the server would replay past lsn: of the highest timeline whose history includes
// what the control file says of the past.
func (d walFiles) reader(ctx context.Context, c control, lsn watchdog.LSN) (*walReader, error) {
	known, err := d.timelines()
	if err != nil {
		return nil, err
	}
	r := &walReader{walFiles: d, candidates: known, must: []ancestor{{c.Timeline, c.CheckpointLSN}}}
	if c.MinRecoveryTimeline != 0 {
		r.must = append(r.must, ancestor{c.MinRecoveryTimeline, c.MinRecoveryPoint})
	}
	return r, r.settle(ctx, lsn)
}

// settle drops the timelines that are not the server's at lsn: of those with a segment there that exclude each other, the
// ones whose records do not reach past it, as the segment does in which a timeline was left. It refuses when that leaves two.
func (r *walReader) settle(ctx context.Context, lsn watchdog.LSN) error {
	rivals, err := r.rivals(lsn)
	if err != nil || agree(rivals, lsn) {
		return err
	}
	var left []lineage
	for _, line := range rivals {
		if r.reaches(ctx, line, lsn) {
			left = append(left, line)
		} else {
			r.candidates = slices.DeleteFunc(r.candidates, func(t watchdog.Timeline) bool { return t == line.timeline })
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(left) == 0 || !agree(left, lsn) {
		return fmt.Errorf("%w at %s: %s", errAmbiguous, lsn, timelinesOf(rivals))
	}
	return nil
}

// rivals are the timelines with a segment that holds lsn, highest first.
func (r *walReader) rivals(lsn watchdog.LSN) ([]lineage, error) {
	var rivals []lineage
	for _, timeline := range r.candidates {
		line, err := lineageOf(r.path, timeline)
		if err != nil {
			return nil, err
		}
		if !r.suits(line, lsn) {
			continue
		}
		if file, _, err := r.segmentOf(timeline, lsn); err == nil {
			file.Close()
			rivals = append(rivals, line)
		}
	}
	return rivals, nil
}

// agree says whether the highest timeline's history includes the others' WAL up to lsn.
func agree(rivals []lineage, lsn watchdog.LSN) bool {
	return !slices.ContainsFunc(rivals, func(l lineage) bool { return !rivals[0].includes(l.timeline, lsn) })
}

func timelinesOf(lines []lineage) string {
	var names []string
	for _, line := range lines {
		names = append(names, fmt.Sprint(line.timeline))
	}
	return strings.Join(names, ", ")
}

// reaches says whether the timeline's own records go on past lsn.
func (r *walReader) reaches(ctx context.Context, line lineage, lsn watchdog.LSN) bool {
	alone := &walReader{walFiles: r.walFiles, must: r.must, candidates: slices.DeleteFunc(slices.Clone(r.candidates), func(t watchdog.Timeline) bool {
		return t > line.timeline || !line.includes(t, 0)
	})}
	defer alone.close()
	if alone.seek(ctx, lsn+1) != nil {
		return false
	}
	for alone.at <= lsn {
		if _, err := alone.next(ctx); err != nil {
			return false
		}
	}
	return true
}
