package pgctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/pgvigil/pgvigil/pgctl/process"
	"github.com/pgvigil/pgvigil/watchdog"
)

const (
	// reloadTick is how often a session is asked whether a reload has reached it.
	reloadTick = 5 * time.Millisecond
	// reloadWait is how long a repointing waits to see that. It has been written and asked for anyway.
	reloadWait = 250 * time.Millisecond
	// receiverTick is how often it is looked whether a receiver is there.
	receiverTick = 5 * time.Millisecond
	// receiverLooks are needed in a row that see no receiver: one may have been asked for and not be forked yet.
	receiverLooks = 3
)

// Repoint rewrites primary_conninfo on a running standby, by reload (13+) or restart. Where it is in force already, nothing
// is done. A restore_command that hanging up took out is written back; on 13 and below a reload does not bring it in force.
func (in *Instance) Repoint(ctx context.Context, upstream watchdog.Upstream) error {
	if upstream.Address == "" {
		return in.HangUp(ctx)
	}
	if err := in.awaitStandby(ctx); err != nil {
		return fmt.Errorf("repoint: %w", err)
	}
	if err := in.clearPlaceholders(0); err != nil {
		return fmt.Errorf("repoint: %w", err)
	}
	conninfo, err := in.conninfoFor(upstream)
	if err != nil {
		return fmt.Errorf("repoint: %w", err)
	}
	changed, err := in.attach(conninfo)
	if err != nil {
		return fmt.Errorf("repoint: %w", err)
	}
	if in.version.conninfoReload {
		if !changed && in.inForce(ctx, conninfo) {
			return nil
		}
		if err := in.signal(syscall.SIGHUP); err != nil {
			return fmt.Errorf("repoint: %w", err)
		}
		in.awaitReload(ctx, conninfo, reloadWait)
		return nil
	}
	if !changed && in.started(ctx, conninfo) {
		return nil
	}
	if err := in.restart(ctx); err != nil {
		return fmt.Errorf("repoint: %w", err)
	}
	return nil
}

// started says whether the running server was started with that primary_conninfo, where it takes a restart: by asking it or,
// before 12, by which is younger, the server or the file.
func (in *Instance) started(ctx context.Context, conninfo string) bool {
	if !in.version.recoveryConf {
		return in.inForce(ctx, conninfo)
	}
	lines := pidFileLines(in.config.DataDir)
	info, err := os.Stat(in.latchFile())
	if len(lines) < 3 || err != nil {
		return false
	}
	began, err := strconv.ParseInt(lines[2], 10, 64)
	return err == nil && info.ModTime().Before(time.Unix(began+1, 0)) // it is given in whole seconds
}

// inForce says whether the running server has that primary_conninfo.
func (in *Instance) inForce(ctx context.Context, conninfo string) bool {
	var now string
	err := in.scan(ctx, []any{&now}, "SELECT current_setting('primary_conninfo')")
	return err == nil && now == conninfo
}

// awaitReload waits until a session sees that primary_conninfo, and says whether it did.
func (in *Instance) awaitReload(ctx context.Context, conninfo string, most time.Duration) bool {
	until := time.Now().Add(most)
	return poll(ctx, reloadTick, func() (bool, error) {
		if in.inForce(ctx, conninfo) {
			return true, nil
		}
		if time.Now().After(until) {
			return false, errUnanswered
		}
		return false, nil
	}) == nil
}

// Prod makes a standby try its upstream again at once: a reload wakes the startup process from its wait, and a receiver that
// does not stream, which may hang in a connection attempt that nothing bounds, is ended. With restart, the server is
// restarted as its files say. Otherwise sidecar.ErrWALGone when the upstream has removed the WAL that is needed next.
func (in *Instance) Prod(ctx context.Context, upstream watchdog.Upstream, restart bool) error {
	if restart {
		if err := in.restart(ctx); err != nil {
			return fmt.Errorf("prod: %w", err)
		}
		return nil
	}
	if err := in.awaitStandby(ctx); err != nil {
		return fmt.Errorf("prod: %w", err)
	}
	if err := in.signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("prod: %w", err)
	}
	if server, alive := in.Observe(ctx); alive {
		if streams, _ := in.progress(server); streams {
			return nil
		}
	}
	if pid, ok := process.Receiver(in.Directory()); ok {
		if err := in.endReceiver(pid); err != nil {
			return err
		}
	}
	return in.askForWAL(ctx, upstream)
}

// HangUp detaches a running standby for good and returns when no receiver process is left. The files say so first, and
// durably: a restart does not undo it.
//
// 13+: a reload, seen in force by a session, then SIGTERM to the receiver, for as often as one is there: a startup process
// that waits for a query does not see the reload (PG-VERSIONS.md, last part). Before 13: a restart.
func (in *Instance) HangUp(ctx context.Context) error {
	reload := in.version.conninfoReload
	changed, err := in.detach(in.version.restoreReload || !reload)
	if err != nil {
		return fmt.Errorf("hang up: %w", err)
	}
	switch err := in.awaitStandby(ctx); {
	case errors.Is(err, ErrNotRunning):
		return nil // the files say it
	case err != nil:
		return fmt.Errorf("hang up: %w", err)
	case reload:
		err = in.hangUpByReload(ctx)
		if err != nil {
			return fmt.Errorf("hang up: %w", err)
		}
		return nil
	}
	if _, receives := process.Receiver(in.Directory()); !changed && !receives && in.started(ctx, "") {
		return nil
	}
	if err := in.restart(ctx); err != nil {
		return fmt.Errorf("hang up: %w", err)
	}
	return nil
}

func (in *Instance) hangUpByReload(ctx context.Context) error {
	if err := in.signal(syscall.SIGHUP); err != nil {
		return err
	}
	if err := in.reloaded(ctx); err != nil {
		return err
	}
	looks := 0
	return poll(ctx, receiverTick, func() (bool, error) {
		pid, there := process.Receiver(in.Directory())
		if !there {
			looks++
			return looks >= receiverLooks, nil
		}
		looks = 0
		return false, in.endReceiver(pid)
	})
}

// reloaded waits until the postmaster has told its children of the new primary_conninfo: before, a receiver that is ended
// would be replaced by one with the old. A server that accepts no sessions cannot be asked.
func (in *Instance) reloaded(ctx context.Context) error {
	return poll(ctx, reloadTick, func() (bool, error) {
		var now string
		err := in.scan(ctx, []any{&now}, "SELECT current_setting('primary_conninfo')")
		switch {
		case err == nil:
			return now == "", nil
		case sqlState(err) != "":
			return true, nil
		default:
			return false, ctx.Err()
		}
	})
}

// endReceiver asks a receiver to end.
func (in *Instance) endReceiver(pid int) error {
	h, err := process.Open(pid)
	if err == nil {
		defer h.Close()
		if now, ok := process.Receiver(in.Directory()); !ok || now != pid {
			return nil
		}
		err = h.Signal(syscall.SIGTERM)
	}
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
