package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// known is what a state file says of one guard. While one takes over from another, the file names both, the newer last.
type known struct {
	PID        int    `json:"pid"`
	Start      uint64 `json:"start"` // in clock ticks since boot
	DataDir    string `json:"data_dir"`
	Postmaster int    `json:"postmaster"`

	Addresses []string `json:"addresses,omitempty"`
}

type state struct {
	Guards []known `json:"guards"`
}

func (o Options) stateFile() string   { return o.StateDir + "/guard.json" }
func (o Options) journalFile() string { return o.StateDir + "/guard.log" }

func loadState(o Options) (state, error) {
	var s state
	data, err := os.ReadFile(o.stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return state{}, fmt.Errorf("read %s: %w", o.stateFile(), err)
	}
	return s, nil
}

// saveState replaces the file. It is not synced: it does not matter after the machine has gone down.
func saveState(o Options, guards ...*child) error {
	var s state
	for _, c := range guards {
		if c != nil {
			k := known{PID: c.pid, Start: c.start, DataDir: c.dataDir, Postmaster: c.postmaster}
			for _, a := range c.addresses {
				k.Addresses = append(k.Addresses, a.String())
			}
			s.Guards = append(s.Guards, k)
		}
	}
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write %s: %w", o.stateFile(), err)
	}
	if err := os.WriteFile(o.stateFile()+".new", append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write guard's state: %w", err)
	}
	if err := os.Rename(o.stateFile()+".new", o.stateFile()); err != nil {
		return fmt.Errorf("write guard's state: %w", err)
	}
	return nil
}
