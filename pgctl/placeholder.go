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
// Below the timeline that was made, placeholders stay on the primary, and its history is filled up with them: a standby looks
// for the newest timeline number by number, and asks its primary for the history of each number between its own timeline and
// the primary's; a primary that lacks one of them is never followed. What such a file says does not matter: the newest
// history names all true ancestors.
//
// Above every true history a placeholder must not stay. A server that starts with one says that this timeline is no child of
// its own, and ends; a receiver does not fetch the true history that is to lie there. So before every start and repointing
// those are cleared.
//
// They tell by their content what they are, and so need no journal: one left over by a crash, be it cut to no bytes, or one
// that a standby has fetched, is known for what it is by whoever finds it.
const placeholderText = "# pgvigil placeholder: this number was skipped, and is no timeline of this server's history\n"

// isPlaceholder says whether that is the content of a placeholder. PostgreSQL writes no empty history.
func isPlaceholder(data []byte) bool {
	return len(data) == 0 || bytes.HasPrefix(data, []byte("# pgvigil placeholder"))
}

func placeholderAt(path string) bool {
	data, err := os.ReadFile(path)
	return err == nil && isPlaceholder(data)
}

// layPlaceholders lays a placeholder for every number past own and below timeline that has no history file.
func (in *Instance) layPlaceholders(own, timeline watchdog.Timeline) error {
	dir := in.walDir()
	laid := false
	err := in.owner.act(func() error {
		for t := own + 1; t < timeline; t++ {
			new, err := layPlaceholder(filepath.Join(dir, historyName(t)))
			if err != nil {
				return err
			}
			laid = laid || new
		}
		if !laid {
			return nil
		}
		return syncDir(dir)
	})
	if err != nil {
		return fmt.Errorf("lay timeline placeholders: %w", err)
	}
	return nil
}

func layPlaceholder(path string) (laid bool, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = f.WriteString(placeholderText)
	return true, errors.Join(err, f.Close())
}

// clearPlaceholders removes the placeholders from the number given on that no true history is above.
func (in *Instance) clearPlaceholders(from watchdog.Timeline) error {
	dir := in.walDir()
	names, err := readNames(dir)
	if err != nil {
		return fmt.Errorf("look for timeline placeholders: %w", err)
	}
	var placeholders []watchdog.Timeline
	for _, name := range names {
		timeline, ok := parseHistoryName(name)
		switch {
		case !ok:
		case placeholderAt(filepath.Join(dir, name)):
			placeholders = append(placeholders, timeline)
		default:
			from = max(from, timeline)
		}
	}
	for _, timeline := range placeholders {
		if timeline < from {
			continue
		}
		if err := in.removeFile(filepath.Join(dir, historyName(timeline))); err != nil {
			return fmt.Errorf("remove timeline placeholder: %w", err)
		}
	}
	return nil
}
