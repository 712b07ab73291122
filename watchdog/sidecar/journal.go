package sidecar

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pgvigil/pgvigil/watchdog"
)

// journal is what the member keeps on its own disk: who it is, what it belongs to, and what it has promised.
type journal struct {
	mu   sync.Mutex
	path string
	lock *os.File
	kept kept
}

type kept struct {
	Incarnation string             `json:"incarnation"`
	Admission   watchdog.Admission `json:"admission"`
	Lease       int64              `json:"lease"`
	BallotToken string             `json:"ballot_token,omitempty"`
	TailLeft    watchdog.Term      `json:"tail_left,omitempty"` // the last term that we went on in without the whole tail
	Abstain     watchdog.Instant   `json:"abstain,omitempty"`   // until then we take no part in elections, by the clock of AbstainBoot
	AbstainBoot string             `json:"abstain_boot,omitempty"`
	Left        bool               `json:"left,omitempty"` // removed from the cluster by an operator
}

// openJournal reads the member's state or begins a new one, and makes sure that no other sidecar uses it.
func openJournal(dir string) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create state directory %s: %w", dir, err)
	}
	lock, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	j := &journal{path: filepath.Join(dir, "state.json"), lock: lock}
	data, err := os.ReadFile(j.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		j.kept.Incarnation = randomToken()
		err = j.save()
	case err == nil:
		if err = json.Unmarshal(data, &j.kept); err != nil || j.kept.Incarnation == "" {
			err = fmt.Errorf("state file %s cannot be read (%v): restore it, or move it away to join the cluster as a new member", j.path, err)
		}
	}
	if err == nil && j.kept.Left {
		err = removed(dir)
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	return j, nil
}

func (j *journal) close() { j.lock.Close() }

func (j *journal) read() kept {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.kept
}

// change makes a change durable before it returns.
func (j *journal) change(edit func(*kept)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	before := j.kept
	edit(&j.kept)
	if j.kept == before {
		return nil
	}
	if err := j.save(); err != nil {
		j.kept = before
		return err
	}
	return nil
}

func (j *journal) save() error { return Save(j.path, j.kept) }

// Save makes the value durable as a file of JSON: the one before is replaced whole, or stays.
func Save(path string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	beside := path + ".new"
	f, err := os.OpenFile(beside, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(beside, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write state %s: %w", path, err)
	}
	return nil
}

// bootID names this boot of the machine: an instant of another says nothing now.
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func randomToken() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails, by its documentation
	return hex.EncodeToString(b)
}
