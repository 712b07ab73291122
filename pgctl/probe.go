package pgctl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// probeName is the file that ProbeStorage writes. It stays, so that a probe costs no change of a directory; Unlatch removes
// it.
const probeName = "pgvigil.probe"

// probeFiles are the probe's files: one in the data directory and, where the WAL is another place, one there.
func (in *Instance) probeFiles() []string {
	return []string{filepath.Join(in.config.DataDir, probeName), filepath.Join(in.walDir(), probeName)}
}

// ProbeStorage writes and syncs a small file in the data and the WAL directory. It may hang as long as the disk does.
func (in *Instance) ProbeStorage() error {
	return in.owner.act(func() error {
		for _, path := range in.probeFiles() {
			if err := probe(path); err != nil {
				return fmt.Errorf("probe storage: %w", err)
			}
		}
		return nil
	})
}

func probe(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "pgvigil wrote this at %s to see whether storage works; it may be removed.\n", time.Now().UTC().Format(time.RFC3339Nano))
	return errors.Join(err, f.Sync(), f.Close())
}
