package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/watchdog"
)

// ErrNotRunning: no sidecar runs with that state directory.
var ErrNotRunning = errors.New("no sidecar runs here")

// takeLock makes sure that no other sidecar uses the state directory. The file says who holds it.
func takeLock(dir string) (*os.File, error) {
	lock, err := os.OpenFile(lockPath(dir), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock in state directory: %w", err)
	}
	if err := tryLock(lock); err != nil {
		lock.Close()
		return nil, &Refusal{Reason: watchdog.ReasonNameInUse, Message: fmt.Sprintf("another sidecar runs with the state directory %s: stop it first", dir)}
	}
	if err := errors.Join(lock.Truncate(0), writePID(lock)); err != nil {
		lock.Close()
		return nil, fmt.Errorf("write lock in state directory: %w", err)
	}
	return lock, nil
}

func lockPath(dir string) string { return filepath.Join(dir, "lock") }

func tryLock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

func writePID(f *os.File) error {
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// endTick is how often it is looked whether a sidecar that was asked to has ended.
const endTick = 20 * time.Millisecond

// Stop asks the sidecar that runs with the state directory to end, as SIGTERM does, and returns when it has: ErrNotRunning if
// none does. PostgreSQL and the guard are left as they are.
func Stop(ctx context.Context, stateDir string) error {
	lock, err := os.OpenFile(lockPath(stateDir), os.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotRunning
	}
	if err != nil {
		return fmt.Errorf("look for a sidecar: %w", err)
	}
	defer lock.Close()
	if tryLock(lock) == nil {
		return ErrNotRunning
	}
	if err := signalHolder(lock); err != nil {
		return fmt.Errorf("ask the sidecar to end: %w", err)
	}
	tick := time.NewTicker(endTick)
	defer tick.Stop()
	for tryLock(lock) != nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the sidecar was asked to end and has not: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// signalHolder sends SIGTERM to the one that the lock names. The process is held by a descriptor before it is looked once more
// whether the lock is held, so that no other that was given its number since is met.
func signalHolder(lock *os.File) error {
	text := make([]byte, 32)
	n, _ := lock.ReadAt(text, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil || pid <= 1 {
		return fmt.Errorf("its lock %s does not say who it is: send it SIGTERM", lock.Name())
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if tryLock(lock) == nil {
		return nil // it has ended by itself
	}
	return unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0)
}
