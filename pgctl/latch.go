package pgctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	standbySignal = "standby.signal"
	recoveryConf  = "recovery.conf"
	recoveryDone  = "recovery.done" // what a promotion renames recovery.conf to
)

// latchFile is the file that makes whoever starts the server start a standby.
func (in *Instance) latchFile() string {
	if in.version.recoveryConf {
		return filepath.Join(in.config.DataDir, recoveryConf)
	}
	return filepath.Join(in.config.DataDir, standbySignal)
}

// Latch lays standby.signal (before 12 recovery.conf) in the data directory. It is no change to a running server.
func (in *Instance) Latch(context.Context) error {
	if in.version.recoveryConf {
		return in.layRecoveryConf()
	}
	path := in.latchFile()
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	if err := in.writeFile(path, nil, 0o600); err != nil {
		return fmt.Errorf("latch: %w", err)
	}
	return nil
}

// layRecoveryConf makes sure of a recovery.conf that makes a standby that follows the newest timeline: the one that is
// there, else the one that the last promotion put aside, else a new one.
func (in *Instance) layRecoveryConf() error {
	path, mode := in.latchFile(), fs.FileMode(0o600)
	data, err := os.ReadFile(path)
	done := errors.Is(err, fs.ErrNotExist)
	if done {
		data, mode, err = readDone(filepath.Join(in.config.DataDir, recoveryDone), mode)
	}
	if err != nil {
		return fmt.Errorf("latch: %w", err)
	}
	f := parseConf(string(data))
	if done {
		for _, name := range recoveryTargets {
			f.unset(name) // of a recovery that is over: it would end the next one, and open the server
		}
	}
	if _, set := f.get("primary_conninfo"); !set {
		if saved := in.savedConninfo(); saved != "" {
			f.set("primary_conninfo", saved)
		}
	}
	makeStandby(&f)
	if after := f.String(); after != string(data) || !exists(path) {
		if err := in.writeFile(path, []byte(after), mode); err != nil {
			return fmt.Errorf("latch: %w", err)
		}
	}
	return nil
}

// readDone returns what recovery.done holds and its mode; nothing, and the mode given, where there is none.
func readDone(path string, mode fs.FileMode) ([]byte, fs.FileMode, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, mode, nil
	}
	if err != nil {
		return nil, mode, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, mode, err
	}
	return data, info.Mode().Perm(), nil
}

// makeStandby sets what recovery.conf needs, unless it has it in other words.
func makeStandby(f *confFile) {
	if mode, _ := f.get("standby_mode"); !isOn(mode) {
		f.set("standby_mode", "on")
	}
	if timeline, _ := f.get("recovery_target_timeline"); timeline != "latest" {
		f.set("recovery_target_timeline", "latest")
	}
}

func isOn(value string) bool {
	switch value {
	case "on", "true", "yes", "1":
		return true
	}
	return false
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Unlatch takes the latch and what else pgvigil has left in the data directory away again. Before 12, recovery.conf is kept
// under the name that a promotion gives it.
func (in *Instance) Unlatch(context.Context) error {
	for _, path := range in.probeFiles() {
		if err := in.removeFile(path); err != nil {
			return fmt.Errorf("unlatch: %w", err)
		}
	}
	path := in.latchFile()
	if !in.version.recoveryConf {
		if err := in.removeFile(path); err != nil {
			return fmt.Errorf("unlatch: %w", err)
		}
		return nil
	}
	if !exists(path) {
		return nil
	}
	err := in.owner.act(func() error {
		return errors.Join(os.Rename(path, filepath.Join(in.config.DataDir, recoveryDone)), syncDir(in.config.DataDir))
	})
	if err != nil {
		return fmt.Errorf("unlatch: %w", err)
	}
	return nil
}
