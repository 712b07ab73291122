package pgctl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

const (
	// askBound is how long an upstream may take to send the first WAL, or to say that it has none.
	askBound = 2 * time.Second
	// sqlUndefinedFile is what a WAL sender says of a segment that is removed.
	sqlUndefinedFile = "58P01"
)

// askForWAL asks upstream for the segment that the standby's receiver would begin with, just as the receiver asks. It returns
// sidecar.ErrWALGone when that has been removed, unless a restore_command may bring it; whatever else goes wrong says nothing.
func (in *Instance) askForWAL(ctx context.Context, upstream watchdog.Upstream) error {
	if command, err := in.standbySetting("restore_command"); err != nil || command != "" {
		return nil
	}
	timeline, start, err := in.needed(ctx)
	if err != nil {
		in.log.Debug("not known which WAL is needed next", "error", err)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	err = in.requestWAL(ctx, upstream, timeline, start)
	var said *pgconn.PgError
	if errors.As(err, &said) && said.Code == sqlUndefinedFile {
		return fmt.Errorf("%s was asked for WAL of timeline %d from %s: %w: %s", upstream.Name, timeline, start, sidecar.ErrWALGone, said.Message)
	}
	return nil
}

// needed is where a receiver would begin: at the start of the segment with the next record.
func (in *Instance) needed(ctx context.Context) (watchdog.Timeline, watchdog.LSN, error) {
	at, err := in.positions(ctx)
	if err != nil {
		return 0, 0, err
	}
	if at.replayed == 0 {
		return 0, 0, errors.New("nothing has been replayed")
	}
	c, err := in.control(ctx)
	if err != nil {
		return 0, 0, err
	}
	d, err := in.wal(c)
	if err != nil {
		return 0, 0, err
	}
	timeline := d.timelineAt(ctx, c, at.replayed)
	if timeline == 0 {
		return 0, 0, errors.New("the files do not tell the timeline")
	}
	return timeline, d.segmentStart(at.replayed), nil
}

// requestWAL returns nil once WAL comes.
func (in *Instance) requestWAL(ctx context.Context, upstream watchdog.Upstream, timeline watchdog.Timeline, start watchdog.LSN) error {
	from, err := in.backupSource(upstream)
	if err != nil {
		return err
	}
	conn, err := from.replicate(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	conn.Frontend().Send(&pgproto3.Query{String: fmt.Sprintf("START_REPLICATION %s TIMELINE %d", start, timeline)})
	if err := conn.Frontend().Flush(); err != nil {
		return err
	}
	for {
		message, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		switch m := message.(type) {
		case *pgproto3.ErrorResponse:
			return pgconn.ErrorResponseToPgError(m)
		case *pgproto3.CopyData:
			if len(m.Data) > 0 && m.Data[0] == 'w' {
				return nil
			}
		}
	}
}
