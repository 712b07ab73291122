package pgctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	timeline, start, err := in.needed(ctx, upstream)
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

// needed is where a receiver would begin: at the start of the segment with the first record that is not here.
func (in *Instance) needed(ctx context.Context, upstream watchdog.Upstream) (watchdog.Timeline, watchdog.LSN, error) {
	c, err := in.control(ctx)
	if err != nil {
		return 0, 0, err
	}
	d, err := in.wal(c)
	if err != nil {
		return 0, 0, err
	}
	at, err := in.positions(ctx)
	switch {
	case sqlState(err) == sqlCannotConnectNow:
		return d.firstMissing(upstream.Timeline, in.recoveryStart(c))
	case err != nil:
		return 0, 0, err
	case at.replayed == 0:
		return 0, 0, errors.New("nothing has been replayed")
	}
	end := d.recordsEnd(ctx, c, at.replayed)
	timeline := d.timelineAt(ctx, c, end)
	if timeline == 0 {
		return 0, 0, errors.New("the files do not tell the timeline")
	}
	return timeline, d.segmentStart(end), nil
}

// recoveryStart is where the server's recovery begins: where a backup's or rewind's label says, or its last checkpoint.
func (in *Instance) recoveryStart(c control) watchdog.LSN {
	label, err := os.ReadFile(filepath.Join(in.config.DataDir, "backup_label"))
	if err != nil {
		return c.RedoLSN
	}
	var start string
	if _, err := fmt.Sscanf(string(label), "START WAL LOCATION: %s", &start); err != nil {
		return c.RedoLSN
	}
	lsn, err := watchdog.ParseLSN(start)
	if err != nil {
		return c.RedoLSN
	}
	return lsn
}

// firstMissing is the first segment from lsn on that a recovery toward the timeline needs and that is not here: of the
// timeline in force at the segment's end, as PostgreSQL takes it.
func (d walFiles) firstMissing(timeline watchdog.Timeline, lsn watchdog.LSN) (watchdog.Timeline, watchdog.LSN, error) {
	line, err := lineageOf(d.path, timeline)
	if err != nil {
		return 0, 0, err
	}
	if !line.known {
		return 0, 0, fmt.Errorf("the history of timeline %d is not here yet", timeline)
	}
	for start := d.segmentStart(lsn); ; start = d.nextSegment(start) {
		owner := line.at(d.segmentEnd(start) - 1)
		file, _, err := d.segmentOf(owner, start)
		if err != nil {
			return owner, start, nil
		}
		file.Close()
	}
}

// recordsEnd is where the records end that are here from lsn on, or lsn where none can be read.
func (d walFiles) recordsEnd(ctx context.Context, c control, lsn watchdog.LSN) watchdog.LSN {
	if !d.records {
		return lsn
	}
	r, err := d.reader(ctx, c, lsn)
	if err != nil {
		return lsn
	}
	defer r.close()
	f, err := r.follow(ctx, lsn, nil)
	if err != nil {
		return lsn
	}
	return f.end
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
