package pgctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgvigil/pgvigil/watchdog"
)

// The state directory's files.
const (
	savedConninfoFile = "conninfo"        // the last primary_conninfo that was not empty
	savedRestoreFile  = "restore_command" // what hanging up has taken out
)

// savedRestore is a restore_command that hanging up has taken out.
type savedRestore struct {
	Value string `json:"value"`
	Ours  bool   `json:"ours"` // it stood in the file that we write; else in one that ours wins over
}

// standbyFile is the file that pgvigil writes a standby's settings to.
func (in *Instance) standbyFile() string {
	if in.version.recoveryConf {
		return in.latchFile()
	}
	return filepath.Join(in.config.DataDir, autoConf)
}

// standbySetting returns what a standby's setting would be at the next start or reload.
func (in *Instance) standbySetting(name string) (string, error) {
	if !in.version.recoveryConf {
		s, err := in.settings()
		return s.get(name), err
	}
	f, err := readConf(in.latchFile())
	if errors.Is(err, fs.ErrNotExist) {
		f, err = readConf(filepath.Join(in.config.DataDir, recoveryDone))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	value, _ := f.get(name)
	return value, nil
}

func readConf(path string) (confFile, error) {
	data, err := os.ReadFile(path)
	return parseConf(string(data)), err
}

// conninfoFor returns the primary_conninfo that leads to upstream: the user's own value with another target.
func (in *Instance) conninfoFor(upstream watchdog.Upstream) (string, error) {
	text, err := in.usersConninfo()
	if err != nil {
		return "", err
	}
	c, err := parseConninfo(text)
	if err != nil {
		return "", fmt.Errorf("primary_conninfo: %w; mend it in %s", err, in.standbyFile())
	}
	words, err := parseConninfo(in.config.Replication)
	if err != nil {
		return "", fmt.Errorf("the configured replication words: %w", err)
	}
	if c, err = c.pointed(upstream.Address, stamped(in.config.Name, upstream.Term), words); err != nil {
		return "", err
	}
	return c.String(), nil
}

// usersConninfo returns the primary_conninfo as it last was when it was not empty, and keeps it.
func (in *Instance) usersConninfo() (string, error) {
	value, err := in.standbySetting("primary_conninfo")
	if err != nil {
		return "", err
	}
	if value == "" {
		return in.savedConninfo(), nil
	}
	if value != in.savedConninfo() {
		err = in.saveState(savedConninfoFile, []byte(value))
	}
	return value, err
}

func (in *Instance) savedConninfo() string {
	data, _ := in.loadState(savedConninfoFile)
	return string(data)
}

// saveState keeps a file in the state directory. It may hold a password: nobody but us may read it.
func (in *Instance) saveState(name string, data []byte) error {
	if in.config.StateDir == "" {
		return nil
	}
	return replaceFile(filepath.Join(in.config.StateDir, name), data, 0o600)
}

func (in *Instance) loadState(name string) ([]byte, error) {
	if in.config.StateDir == "" {
		return nil, fs.ErrNotExist
	}
	return os.ReadFile(filepath.Join(in.config.StateDir, name))
}

// detach writes to the files that the standby has no upstream and, with archive, that it reads no archive. The values that
// are taken out are kept first. It says whether anything changed.
func (in *Instance) detach(archive bool) (changed bool, err error) {
	if _, err := in.usersConninfo(); err != nil {
		return false, err
	}
	restore := ""
	if archive {
		if restore, err = in.standbySetting("restore_command"); err != nil {
			return false, err
		}
	}
	if restore != "" {
		if err := in.saveRestore(restore); err != nil {
			return false, err
		}
	}
	return in.editStandby(func(f *confFile) {
		in.blank(f, "primary_conninfo")
		if restore != "" {
			in.blank(f, "restore_command")
		}
	})
}

// blank empties a setting. In recovery.conf, where nothing else sets it, its line goes.
func (in *Instance) blank(f *confFile, name string) {
	if in.version.recoveryConf {
		f.unset(name)
	} else {
		f.set(name, "")
	}
}

func (in *Instance) saveRestore(value string) error {
	f, err := readConf(in.standbyFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep restore_command: %w", err)
	}
	_, ours := f.get("restore_command")
	data, err := json.Marshal(savedRestore{Value: value, Ours: ours})
	if err != nil {
		return fmt.Errorf("keep restore_command: %w", err)
	}
	return in.saveState(savedRestoreFile, data)
}

// attach writes to the files that the standby follows conninfo, and reads its archive again. It says whether anything
// changed.
func (in *Instance) attach(conninfo string) (changed bool, err error) {
	saved, err := in.savedRestore()
	if err != nil {
		return false, err
	}
	changed, err = in.editStandby(func(f *confFile) {
		f.set("primary_conninfo", conninfo)
		value, set := f.get("restore_command")
		switch {
		case set && value != "": // not ours to change
		case saved.Ours:
			f.set("restore_command", saved.Value)
		default: // where it was set, it is still
			f.unset("restore_command")
		}
	})
	if err == nil && saved != (savedRestore{}) {
		err = removeDurably(filepath.Join(in.config.StateDir, savedRestoreFile))
	}
	return changed, err
}

func (in *Instance) savedRestore() (savedRestore, error) {
	data, err := in.loadState(savedRestoreFile)
	if err != nil {
		return savedRestore{}, nil
	}
	var saved savedRestore
	if err := json.Unmarshal(data, &saved); err != nil {
		return saved, fmt.Errorf("read %s: %w; remove it once restore_command is right", filepath.Join(in.config.StateDir, savedRestoreFile), err)
	}
	return saved, nil
}

// editStandby changes the file that holds a standby's settings, and says whether it changed.
func (in *Instance) editStandby(edit func(f *confFile)) (changed bool, err error) {
	err = in.editConf(in.standbyFile(), func(f *confFile) {
		before := f.String()
		edit(f)
		if in.version.recoveryConf {
			makeStandby(f)
		}
		changed = f.String() != before
	})
	return changed, err
}
