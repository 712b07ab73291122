package pgctl

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// includeDepth is how deep PostgreSQL lets configuration files include one another.
const includeDepth = 10

// autoConf is the file that ALTER SYSTEM writes, and that wins over every other (9.4 and up).
const autoConf = "postgresql.auto.conf"

// settings are values by name, as the files say: what a server would have that started now.
type settings map[string]setting

// setting is a value and the file that it was set in.
type setting struct {
	value string
	file  string
}

func (s settings) get(name string) string { return s[name].value }

// readSettings reads a configuration as the server does at its start: the main file with all that it includes, then
// postgresql.auto.conf, then what stands on the command line. A file that cannot be read is an error, one that is optional
// and missing is not.
func readSettings(main, dataDir string, commandLine map[string]string) (settings, error) {
	s := settings{}
	if err := s.readFile(main, 0); err != nil {
		return nil, err
	}
	err := s.readFile(filepath.Join(dataDir, autoConf), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for name, value := range commandLine {
		s[name] = setting{value: value, file: "the command line"}
	}
	return s, nil
}

func (s settings) readFile(path string, depth int) error {
	if depth > includeDepth {
		return fmt.Errorf("read settings: %s is included too deep: %w", path, ErrUnreadable)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read settings: %w: %w", ErrUnreadable, err)
	}
	for _, line := range parseConf(string(data)).lines {
		if kind, target := line.directive(); kind != "" {
			if err := s.include(kind, beside(path, target), depth+1); err != nil {
				return err
			}
		} else if line.name != "" {
			s[line.name] = setting{value: line.value, file: path}
		}
	}
	return nil
}

func (s settings) include(kind, path string, depth int) error {
	if kind != "include_dir" {
		err := s.readFile(path, depth)
		if kind == "include_if_exists" && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	entries, err := os.ReadDir(path) // sorted, as PostgreSQL has them
	if err != nil {
		return fmt.Errorf("read settings: %w: %w", ErrUnreadable, err)
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), ".conf") {
			continue
		}
		if err := s.readFile(filepath.Join(path, e.Name()), depth); err != nil {
			return err
		}
	}
	return nil
}

// beside is a path that a file names, relative to that file's directory.
func beside(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

// settings reads what the server would have that started now.
func (in *Instance) settings() (settings, error) {
	in.locate()
	p := in.where()
	return readSettings(p.configFile, in.config.DataDir, p.commandLine)
}

// editAuto changes postgresql.auto.conf. The server's own ALTER SYSTEM at the same instant may be lost: its lock is not
// ours to take.
func (in *Instance) editAuto(edit func(f *confFile)) error {
	return in.editConf(filepath.Join(in.config.DataDir, autoConf), edit)
}

// editConf rewrites a configuration file unless nothing changes.
func (in *Instance) editConf(path string, edit func(f *confFile)) error {
	in.edits.Lock()
	defer in.edits.Unlock()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("edit settings: %w", err)
	}
	f := parseConf(string(data))
	edit(&f)
	if after := f.String(); after != string(data) {
		return in.writeFile(path, []byte(after), 0o600)
	}
	return nil
}

// setAuto sets values in postgresql.auto.conf.
func (in *Instance) setAuto(values map[string]string) error {
	return in.editAuto(func(f *confFile) {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			f.set(name, values[name])
		}
	})
}
