package pgctl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/pgctl/process"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// drainTick is how often a standby's replay is asked for.
const drainTick = 10 * time.Millisecond

// EndOfWAL returns the end of a running standby's WAL that has hung up.
//
// What the server says of itself does not prove it. The received position is a segment's start after a restart (F20), and
// the replayed one stands still under a pause, a lag or a blocking query (F21, F22). So the records in the WAL directory are
// followed from the replayed position on, judged as replay judges them, to the last whole one: there a promotion would
// fork, whatever holds replay back just now. That end must not be before the replayed position, and if it is before the
// received one, what lies between must be a record whose rest has not come. Then it is exact.
//
// Where records cannot be followed (before 9.5, or what they show does not fit), replay is resumed and drained instead:
// exact is the larger of received and replayed once a receiver has run since the server's start, which a received position
// within a segment proves, or once the startup process was seen waiting at the end of WAL twice. Past ctx, what is known is
// returned, not exact.
func (in *Instance) EndOfWAL(ctx context.Context) (sidecar.Position, error) {
	c, err := in.control(ctx)
	if err != nil {
		return sidecar.Position{}, fmt.Errorf("find the end of WAL: %w", err)
	}
	d, err := in.wal(c)
	if err != nil {
		return sidecar.Position{}, fmt.Errorf("find the end of WAL: %w", err)
	}
	at, err := in.awaitPositions(ctx, c)
	if err != nil {
		return sidecar.Position{}, fmt.Errorf("find the end of WAL: %w", err)
	}
	if !at.recovering {
		return sidecar.Position{}, fmt.Errorf("find the end of WAL: %w", ErrNotStandby)
	}
	p, err := d.followedEnd(ctx, c, at)
	if err != nil {
		in.log.Debug("the WAL's end does not show in its files", "error", err)
		p = in.drainedEnd(ctx, c, d)
	}
	if _, receives := process.Receiver(in.Directory()); receives {
		p.Exact = false
	}
	p.Archive = in.readsArchive()
	return p, nil
}

// positions is what a server says of its recovery.
type positions struct {
	recovering         bool
	received, replayed watchdog.LSN
}

func (in *Instance) positions(ctx context.Context) (positions, error) {
	var p positions
	var received, replayed *string
	sql := fmt.Sprintf("SELECT pg_is_in_recovery(), %s()::text, %s()::text", in.version.receiveLSN, in.version.replayLSN)
	if err := in.scan(ctx, []any{&p.recovering, &received, &replayed}, sql); err != nil {
		return p, err
	}
	for _, field := range []struct {
		text *string
		to   *watchdog.LSN
	}{{received, &p.received}, {replayed, &p.replayed}} {
		if field.text == nil {
			continue
		}
		var err error
		if *field.to, err = watchdog.ParseLSN(*field.text); err != nil {
			return p, err
		}
	}
	return p, nil
}

// awaitPositions waits for a server that was just started, as hanging up does before 13. Of one that replays and accepts no
// sessions, be it warm (hot_standby = off) or not consistent yet, the files say enough: from where it recovers.
func (in *Instance) awaitPositions(ctx context.Context, c control) (at positions, err error) {
	waited := poll(ctx, drainTick, func() (bool, error) {
		at, err = in.positions(ctx)
		closed := sqlState(err) == sqlCannotConnectNow || errors.Is(err, ErrNotRunning)
		switch {
		case !closed:
			return true, nil
		case in.master.handle(in.Directory()) == nil:
			return false, ErrNotRunning
		case in.isStandby() != nil:
			return false, nil
		}
		at, err = positions{recovering: true, replayed: max(c.MinRecoveryPoint, c.RedoLSN)}, nil
		return true, nil
	})
	if waited != nil {
		return at, waited
	}
	return at, err
}

// followedEnd follows the records from the replayed position on.
func (d walFiles) followedEnd(ctx context.Context, c control, at positions) (sidecar.Position, error) {
	if !d.records {
		return sidecar.Position{}, errors.New("this version's records are not read")
	}
	if at.replayed == 0 {
		return sidecar.Position{}, errors.New("nothing has been replayed")
	}
	r, err := d.reader(ctx, c, at.replayed-1)
	if err != nil {
		return sidecar.Position{}, err
	}
	defer r.close()
	f, err := r.follow(ctx, at.replayed, nil)
	if err != nil {
		return sidecar.Position{}, err
	}
	if f.end < at.received && !d.unfinished(f, at.received) {
		return sidecar.Position{}, fmt.Errorf("the records end at %s, and %s was received", f.end, at.received)
	}
	return sidecar.Position{Timeline: f.timeline, End: f.end, Exact: true}, nil
}

// unfinished says whether what was received past the last whole record may be the beginning of the next: less than the
// record's length where that is known, a few bytes where not even the header is there.
func (d walFiles) unfinished(f followed, received watchdog.LSN) bool {
	if f.cutFrom == 0 {
		return uint64(received-f.end) < recordHeader+d.longHeader()
	}
	length := uint64(f.cutFrom - f.end)
	pages := length/(d.page-d.longHeader()) + 2
	return uint64(received-f.end) < length+pages*d.longHeader()
}

// drainedEnd lets replay drain, as far as ctx allows.
func (in *Instance) drainedEnd(ctx context.Context, c control, d walFiles) sidecar.Position {
	if err := in.resumeReplay(ctx); err != nil {
		in.log.Warn("a paused replay was not resumed", "error", err)
	}
	var p sidecar.Position
	waiting := 0
	var before watchdog.LSN
	err := poll(ctx, drainTick, func() (bool, error) {
		at, err := in.positions(ctx)
		if err != nil {
			return false, err
		}
		p.End = max(at.received, at.replayed)
		streamed := at.received != 0 && at.received != d.segmentStart(at.received)
		if waiting++; !in.waitsForWAL(ctx) || at.replayed != before {
			waiting = 0
		}
		before = at.replayed
		p.Exact = streamed || at.replayed >= at.received && waiting >= 2
		return p.Exact, nil
	})
	if err != nil {
		in.log.Debug("the end of WAL is not known", "error", err)
	}
	if p.End != 0 {
		p.Timeline = d.timelineAt(ctx, c, p.End)
		p.Exact = p.Exact && p.Timeline != 0
	}
	return p
}

// timelineAt is the timeline of the WAL up to lsn by the segments' page headers, 0 when they do not tell.
func (d walFiles) timelineAt(ctx context.Context, c control, lsn watchdog.LSN) watchdog.Timeline {
	r, err := d.reader(ctx, c, lsn-1)
	if err != nil {
		return 0
	}
	defer r.close()
	if r.openSegment(lsn-1) != nil {
		return 0
	}
	return r.timelineOf(lsn)
}

// recoveryWaits are what the startup process waits for at the end of WAL, and nowhere else.
const recoveryWaits = "'RecoveryWalStream', 'RecoveryWalAll', 'RecoveryRetrieveRetryInterval'"

// waitsForWAL says whether the startup process is seen waiting for WAL. Versions that do not show it (before 10) never say so.
func (in *Instance) waitsForWAL(ctx context.Context) bool {
	if !in.version.startupActivity {
		return false
	}
	waits := false
	err := in.scan(ctx, []any{&waits},
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event IN ("+recoveryWaits+")")
	return err == nil && waits
}

// resumeReplay ends a pause of replay.
func (in *Instance) resumeReplay(ctx context.Context) error {
	if in.version.pausedFunction == "" {
		return nil
	}
	var paused bool
	if err := in.scan(ctx, []any{&paused}, "SELECT "+in.version.pausedFunction+"()"); err != nil || !paused {
		return err
	}
	in.log.Info("replay was paused and is resumed")
	return in.exec(ctx, "SELECT "+in.version.resumeFunction+"()")
}

// readsArchive says whether the server may still read an archive: 13 and below do so until a restart.
func (in *Instance) readsArchive() bool {
	if in.version.restoreReload {
		return false
	}
	value, err := in.standbySetting("restore_command")
	return err != nil || value != ""
}
