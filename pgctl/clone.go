package pgctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// cloneStreamsWithin bounds the wait for a copy to stream, before the old directory is put back.
const cloneStreamsWithin = 2 * time.Minute

// Clone copies upstream beside the data directory and swaps the two in one step; if the copy does not come to stream, they
// are swapped back. The old directory is kept as <data_dir>.old-<time>: it may hold the only copy of something, and is a
// person's to delete. Called again after a crash it begins anew with what lies beside.
func (in *Instance) Clone(ctx context.Context, upstream watchdog.Upstream, step func(name string)) error {
	if err := in.rests(); err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	if err := in.cloneable(); err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	beside := in.config.DataDir + ".clone"
	if err := os.RemoveAll(beside); err != nil { // an earlier attempt's, never swapped in
		return fmt.Errorf("clone: remove what an earlier attempt has left: %w", err)
	}
	step("clone-copy")
	if err := in.copyUpstream(ctx, upstream, beside); err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	step("clone-swap")
	if err := in.swap(beside); err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	if err := in.startClone(ctx, upstream); err != nil {
		back := in.swapBack(beside)
		return fmt.Errorf("clone: the copy did not come to stream, and the old directory is back: %w", errors.Join(err, back))
	}
	step("clone-keep")
	old := fmt.Sprintf("%s.old-%s", in.config.DataDir, time.Now().UTC().Format("20060102T150405"))
	if err := os.Rename(beside, old); err != nil {
		return fmt.Errorf("clone: keep the old directory: %w", err)
	}
	in.log.Warn("cloned; the old data directory is kept: delete it when nothing in it is missed", "old", old)
	return in.forgetRewind()
}

// cloneable refuses where a swap is not one rename, or a copy would not be whole.
func (in *Instance) cloneable() error {
	if _, err := in.binary("pg_basebackup"); err != nil {
		return fmt.Errorf("%w: %w", err, sidecar.ErrNotPossible)
	}
	spaces, err := os.ReadDir(filepath.Join(in.config.DataDir, "pg_tblspc"))
	if err == nil && len(spaces) > 0 {
		return fmt.Errorf("it has %d tablespaces, which would have to be copied beside too: copy the server by hand: %w", len(spaces), sidecar.ErrNotPossible)
	}
	own, err := os.Stat(in.config.DataDir)
	if err != nil {
		return err
	}
	parent, err := os.Stat(filepath.Dir(in.config.DataDir))
	if err != nil {
		return err
	}
	if device(own) != device(parent) {
		return fmt.Errorf("%s is a mount point, and cannot be swapped: copy the server by hand: %w", in.config.DataDir, sidecar.ErrNotPossible)
	}
	if unix.Access(filepath.Dir(in.config.DataDir), unix.W_OK) != nil {
		return fmt.Errorf("%s cannot be written to by us: %w", filepath.Dir(in.config.DataDir), sidecar.ErrNotPossible)
	}
	return nil
}

func device(info os.FileInfo) uint64 {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return s.Dev
}

// copyUpstream takes a base backup and gives it our own settings.
func (in *Instance) copyUpstream(ctx context.Context, upstream watchdog.Upstream, beside string) error {
	if err := in.keepOwnFiles(); err != nil {
		return err
	}
	source, err := in.conninfoFor(upstream)
	if err != nil {
		return err
	}
	if _, err := in.run(ctx, "pg_basebackup", "-d", source, "-D", beside, "-X", "stream", "-c", "fast", "-w"); err != nil {
		return err
	}
	if err := in.restoreInto(beside); err != nil {
		return err
	}
	if in.version.recoveryConf {
		return nil
	}
	return in.writeFile(filepath.Join(beside, "standby.signal"), nil, 0o600)
}

// swap exchanges the two directories' names, in one step.
func (in *Instance) swap(beside string) error {
	err := unix.Renameat2(unix.AT_FDCWD, beside, unix.AT_FDCWD, in.config.DataDir, unix.RENAME_EXCHANGE)
	if err != nil {
		return fmt.Errorf("exchange %s and %s: %w: %w", beside, in.config.DataDir, err, sidecar.ErrNotPossible)
	}
	if err := syncDir(filepath.Dir(in.config.DataDir)); err != nil {
		return err
	}
	return in.replaced()
}

func (in *Instance) swapBack(beside string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := in.Fence(ctx, true); err != nil {
		return err
	}
	return in.swap(beside)
}

// startClone starts the copy and waits until it streams.
func (in *Instance) startClone(ctx context.Context, upstream watchdog.Upstream) error {
	ctx, cancel := context.WithTimeout(ctx, cloneStreamsWithin)
	defer cancel()
	if err := in.point(upstream); err != nil {
		return err
	}
	if err := in.launchAnew(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		bounded, done := context.WithTimeout(ctx, time.Second)
		s, _ := in.Observe(bounded)
		done()
		if s.Streaming {
			return nil
		}
		if s.PID == 0 {
			return fmt.Errorf("%w: the copy ended", ErrNotRunning)
		}
		pause(ctx, 100*time.Millisecond)
	}
	return ctx.Err()
}

// launchAnew starts a whole copy, whatever half-done rewind the directory before it was marked with.
func (in *Instance) launchAnew(ctx context.Context) error {
	if err := os.Remove(filepath.Join(in.config.StateDir, rewindMark)); err != nil && !os.IsNotExist(err) {
		return err
	}
	return in.start(ctx)
}
