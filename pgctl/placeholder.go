package pgctl

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgvigil/pgvigil/watchdog"
)

// A promotion takes the first timeline number after its own for which no history file exists. Placeholders, history files
// without an ancestor, make it skip numbers, so that it takes exactly the one that the ledger says (F24).
//
// They tell what they are themselves, and so need no journal: one left over by a crash, be it cut to no bytes, is known for
// what it is by whoever finds it. They must not stay: a server that starts with one on its way says that this timeline is
// no child of its own, and ends; a receiver does not fetch the true history that is to lie there.
const placeholderText = "# pgvigil placeholder: the timeline's number is taken elsewhere; this file may be removed\n"

// isPlaceholder says whether that is the content of a placeholder. PostgreSQL writes no empty history.
func isPlaceholder(data []byte) bool {
	return len(data) == 0 || bytes.HasPrefix(data, []byte("# pgvigil placeholder"))
}

func placeholderAt(path string) bool {
	data, err := os.ReadFile(path)
	return err == nil && isPlaceholder(data)
}

// layPlaceholders makes the next promotion take exactly that timeline: every number between the server's own and it is taken
// by a history file, and none from it on is by a placeholder.
func (in *Instance) layPlaceholders(own, timeline watchdog.Timeline) error {
	dir := in.walDir()
	if exists(filepath.Join(dir, historyName(timeline))) && !placeholderAt(filepath.Join(dir, historyName(timeline))) {
		return fmt.Errorf("timeline %d exists here already: %w", timeline, fs.ErrExist)
	}
	if err := in.clearPlaceholders(timeline); err != nil {
		return err
	}
	err := in.owner.act(func() error {
		for t := own + 1; t < timeline; t++ {
			if err := layPlaceholder(filepath.Join(dir, historyName(t))); err != nil {
				return err
			}
		}
		return syncDir(dir)
	})
	if err != nil {
		return fmt.Errorf("lay timeline placeholders: %w", err)
	}
	return nil
}

func layPlaceholder(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(placeholderText)
	return errors.Join(err, f.Close())
}

// clearPlaceholders removes the placeholders of timelines from the one given on. It is to be called with 0 before every start
// of the server.
func (in *Instance) clearPlaceholders(from watchdog.Timeline) error {
	dir := in.walDir()
	names, err := readNames(dir)
	if err != nil {
		return fmt.Errorf("look for timeline placeholders: %w", err)
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		timeline, ok := parseHistoryName(name)
		if !ok || timeline < from || !placeholderAt(path) {
			continue
		}
		if err := in.removeFile(path); err != nil {
			return fmt.Errorf("remove timeline placeholder: %w", err)
		}
	}
	return nil
}
