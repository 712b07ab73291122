package leftover

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// keyLine is the line of postmaster.pid that names the segment, from 0: LOCK_FILE_LINE_SHMEM_KEY in PostgreSQL's pidfile.h.
const keyLine = 6

// FreeSegments frees the segments of the dead servers whose data directories lie in base.
func FreeSegments(base string) error {
	files, err := filepath.Glob(filepath.Join(base, "*", "postmaster.pid"))
	if err != nil {
		return fmt.Errorf("find data directories in %s: %w", base, err)
	}
	var failed []error
	for _, file := range files {
		failed = append(failed, free(file))
	}
	return errors.Join(failed...)
}

func free(pidFile string) error {
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return fmt.Errorf("find a dead server's shared memory: %w", err)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) <= keyLine || strings.TrimSpace(lines[keyLine]) == "" {
		return nil // killed before it had any
	}
	var key uint32
	var id int
	if _, err := fmt.Sscan(lines[keyLine], &key, &id); err != nil {
		return fmt.Errorf("read line %d of %s: %w", keyLine+1, pidFile, err)
	}
	var segment unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(id, unix.IPC_STAT, &segment); err != nil {
		return nil // freed already: an immediate shutdown does it
	}
	if uint32(segment.Perm.Key) != key || segment.Nattch != 0 {
		return nil // another's by now, or in use
	}
	if _, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil); err != nil {
		return fmt.Errorf("free shared memory %d of %s: %w", id, pidFile, err)
	}
	return nil
}
