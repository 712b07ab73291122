package pgctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/pgvigil/pgvigil/pgctl/process"
)

// goneTick is how often it is looked whether a server's processes are gone.
const goneTick = 5 * time.Millisecond

// Stop asks for a fast shutdown and returns when no process is left. When ctx ends first the server may be in any state, and
// whoever must know fences it.
func (in *Instance) Stop(ctx context.Context) error {
	if err := in.askToStop(ctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	if h := in.master.handle(in.Directory()); h != nil {
		select {
		case <-h.Exited():
			reap(h.PID())
		case <-ctx.Done():
			return fmt.Errorf("stop: the server has not shut down: %w", ctx.Err())
		}
	}
	err := poll(ctx, goneTick, func() (bool, error) {
		return gone(in.Directory()), nil
	})
	if err != nil {
		return fmt.Errorf("stop: processes of the server are left: %w", err)
	}
	return nil
}

func (in *Instance) askToStop(ctx context.Context) error {
	if in.config.StopCommand != "" {
		log, err := in.openLog()
		if err != nil {
			return err
		}
		defer log.Close()
		from, _ := log.Seek(0, 2)
		if err := in.runShell(ctx, in.config.StopCommand, log); err != nil {
			return fmt.Errorf("%q: %w: %s", in.config.StopCommand, err, lastOf(log, from))
		}
		return nil
	}
	err := in.signal(syscall.SIGINT)
	if errors.Is(err, ErrNotRunning) {
		return nil // what is left of it, if anything, is waited for
	}
	return err
}

// signal sends the postmaster a signal.
func (in *Instance) signal(sig syscall.Signal) error {
	h := in.master.handle(in.Directory())
	if h == nil {
		return ErrNotRunning
	}
	err := h.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return ErrNotRunning
	}
	return err
}

// restart stops a standby and starts it as its files now say.
func (in *Instance) restart(ctx context.Context) error {
	if err := in.awaitStandby(ctx); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	if err := in.Stop(ctx); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	return in.start(ctx)
}

// isStandby refuses unless the running server replays WAL: that it has a startup process proves it, whether it accepts
// sessions or not.
func (in *Instance) isStandby() error {
	if _, ok := process.Startup(in.Directory()); !ok {
		return ErrNotStandby
	}
	return nil
}

// awaitStandby is isStandby for a postmaster that may have just begun, and have started no process yet: only a WAL writer,
// which a server has that replays nothing, proves the contrary.
func (in *Instance) awaitStandby(ctx context.Context) error {
	return poll(ctx, goneTick, func() (bool, error) {
		if in.isStandby() == nil {
			return true, nil
		}
		dir := in.Directory()
		switch {
		case in.master.handle(dir) == nil:
			return false, ErrNotRunning
		case len(process.ByTitle(dir, "walwriter", "wal writer process")) > 0:
			return false, ErrNotStandby
		}
		return false, nil
	})
}
