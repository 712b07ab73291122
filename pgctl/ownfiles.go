package pgctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ownFileEndings are those of files in a data directory that are the member's own and not its cluster's: configuration, keys,
// certificates, passwords, and how it was started. pg_rewind and pg_basebackup bring the source's, or drop them.
var ownFileEndings = []string{".conf", ".done", ".crt", ".key", ".pem", ".crl", ".p12", ".srl", "pgpass", "postmaster.opts"}

// ownFiles lists them, relative to the data directory: those at its top, and what its configuration includes.
func (in *Instance) ownFiles() ([]string, error) {
	entries, err := os.ReadDir(in.config.DataDir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		own := slices.ContainsFunc(ownFileEndings, func(ending string) bool { return strings.HasSuffix(e.Name(), ending) })
		if own && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	s, err := in.settings()
	if err != nil {
		return nil, err
	}
	for _, setting := range s {
		name, err := filepath.Rel(in.config.DataDir, setting.file)
		if filepath.IsAbs(setting.file) && err == nil && !strings.HasPrefix(name, "..") && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// keptFile is a file as it was.
type keptFile struct {
	Name   string      `json:"name"` // relative to the data directory
	Mode   fs.FileMode `json:"mode"`
	Target string      `json:"target,omitempty"` // it is a symbolic link to there
	Data   []byte      `json:"data,omitempty"`
}

// ownFileMost is the size up to which a file is kept: configuration is small.
const ownFileMost = 4 << 20

// keepOwnFiles reads the member's own files.
func (in *Instance) keepOwnFiles() ([]keptFile, error) {
	names, err := in.ownFiles()
	if err != nil {
		return nil, fmt.Errorf("keep configuration: %w", err)
	}
	var kept []keptFile
	for _, name := range names {
		path := filepath.Join(in.config.DataDir, name)
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("keep configuration: %w", err)
		}
		file := keptFile{Name: name, Mode: info.Mode().Perm()}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			file.Target, err = os.Readlink(path)
		case info.Size() > ownFileMost:
			err = fmt.Errorf("%s has %d bytes, too many for configuration: move it out of the data directory", path, info.Size())
		default:
			file.Data, err = os.ReadFile(path)
		}
		if err != nil {
			return nil, fmt.Errorf("keep configuration: %w", err)
		}
		kept = append(kept, file)
	}
	return kept, nil
}

// layOwnFiles writes them into a data directory.
func (in *Instance) layOwnFiles(dataDir string, kept []keptFile) error {
	return in.owner.act(func() error {
		for _, file := range kept {
			if err := file.lay(filepath.Join(dataDir, file.Name)); err != nil {
				return fmt.Errorf("restore configuration: %w", err)
			}
		}
		return nil
	})
}

func (f keptFile) lay(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if f.Target == "" {
		return replaceFile(path, f.Data, f.Mode)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(f.Target, path)
}
