package pgctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pgvigil/pgvigil/watchdog"
)

// errNoWAL says that a segment that was asked for is not here any more, or not yet.
var errNoWAL = errors.New("WAL is not here")

// ServeTail writes the raw WAL of the timeline in [from, to) to w, as it lies in the segment files of that timeline. A segment
// that is missing or recycled is an error that names it; what stands before it has been written by then.
func (in *Instance) ServeTail(ctx context.Context, timeline watchdog.Timeline, from, to watchdog.LSN, w io.Writer) error {
	c, err := in.control(ctx)
	if err != nil {
		return fmt.Errorf("serve WAL: %w", err)
	}
	d, err := in.wal(c)
	if err != nil {
		return fmt.Errorf("serve WAL: %w", err)
	}
	for at := from; at < to; at = d.nextSegment(at) {
		if err := d.serveSegment(ctx, timeline, at, min(to, d.segmentEnd(at)), w); err != nil {
			return fmt.Errorf("serve WAL: %w", err)
		}
	}
	return nil
}

// serveSegment writes what of [from, to) lies in one segment.
func (d walFiles) serveSegment(ctx context.Context, timeline watchdog.Timeline, from, to watchdog.LSN, w io.Writer) error {
	file, _, err := d.segmentOf(timeline, from)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: segment %s is missing", errNoWAL, d.fileName(timeline, from))
	case errors.Is(err, errPage):
		return fmt.Errorf("%w: %w", errNoWAL, err)
	case err != nil:
		return err
	}
	defer file.Close()
	part := io.NewSectionReader(file, int64(uint64(from)%d.segment), int64(to-from))
	n, err := io.Copy(w, interruptible{ctx, part})
	if err == nil && n < int64(to-from) {
		err = fmt.Errorf("%w: segment %s ends after %d bytes", errNoWAL, d.fileName(timeline, from), n)
	}
	return err
}

// interruptible is a reader that a context ends.
type interruptible struct {
	ctx  context.Context
	from io.Reader
}

// Read reads unless the context has ended.
func (r interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}
