package pgctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/pgvigil/pgvigil/pgctl/process"
)

// Config is what is known of a server in advance. DataDir is needed; the rest is found out where it is empty.
type Config struct {
	Name        string // of the member: the application_name under which its standby streams
	DataDir     string
	BinDir      string // of PostgreSQL's programs
	StateDir    string // for what must survive a restart of the sidecar
	Address     string // host:port at which others reach the server
	Replication string // conninfo words that a standby connects with, where its own conninfo lacks them
	Rewind      string // conninfo words for pg_rewind's session on the new primary, where Replication's will not do
	Connect     string // conninfo for pgvigil's own sessions; empty: the unix socket, as the data directory's owner
	// StartCommand and StopCommand replace pg_ctl where something else is to start and stop the server, such as systemctl.
	// They are given to /bin/sh as the user that we are, and are to return once the server is started or stopped.
	StartCommand string
	StopCommand  string
	Log          *slog.Logger
}

// Instance is one PostgreSQL server on this machine: its data directory, processes and sessions.
type Instance struct {
	config  Config
	version version
	owner   owner
	log     *slog.Logger

	lookup sync.Mutex // guards what a look at the files renews
	dir    process.Directory
	place  place

	master   master     // the postmaster that runs
	sessions sessions   // the kept connection
	files    files      // what a bounded look at the files last showed
	watch    watch      // Observe's own memory
	edits    sync.Mutex // one edit of the server's configuration at a time

	syncFlagged atomic.Int64 // the checkpointer that is known to have commits wait
}

// Open finds out about the server of a data directory. The server need not run.
func Open(ctx context.Context, config Config) (*Instance, error) {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	in := &Instance{config: config, log: config.Log}
	in.sessions.broken = make(chan struct{}, 1)
	if err := in.openDirectory(); err != nil {
		return nil, err
	}
	if err := in.findBinaries(ctx); err != nil {
		return nil, err
	}
	if err := in.openState(); err != nil {
		return nil, err
	}
	in.locate()
	if config.Connect != "" {
		if _, err := parseConninfo(config.Connect); err != nil {
			return nil, fmt.Errorf("the configured connection string for pgvigil's sessions: %w", err)
		}
	}
	if config.Replication != "" {
		if _, err := parseConninfo(config.Replication); err != nil {
			return nil, fmt.Errorf("the configured replication words: %w", err)
		}
	}
	return in, nil
}

// openDirectory checks the data directory itself.
func (in *Instance) openDirectory() error {
	path := in.config.DataDir
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w at %q: create it with initdb or pgvigil join, or mend the path in pgvigil's configuration", ErrNoDataDir, path)
	case err != nil:
		return fmt.Errorf("%s: %w: %w; run pgvigil as root or as the server's owner", path, ErrUnreadable, err)
	case !info.IsDir():
		return fmt.Errorf("%s: %w: it is a file; mend the path in pgvigil's configuration", path, ErrNotDataDir)
	}
	dir, err := process.Resolve(path)
	if err != nil {
		return fmt.Errorf("%s: %w: %w; run pgvigil as root or as the server's owner", path, ErrUnreadable, err)
	}
	in.config.DataDir, in.dir = dir.Path(), dir
	if in.owner, err = ownerOf(info); err != nil {
		return err
	}
	if err := in.owner.mayAct(path); err != nil {
		return err
	}
	return in.readVersion()
}

func (in *Instance) readVersion() error {
	data, err := os.ReadFile(filepath.Join(in.config.DataDir, "PG_VERSION"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w: it has no PG_VERSION; name the directory that the server runs on, which SHOW data_directory tells",
			in.config.DataDir, ErrNotDataDir)
	case err != nil:
		return fmt.Errorf("%s: %w: %w; run pgvigil as root or as the server's owner", in.config.DataDir, ErrUnreadable, err)
	}
	if in.version, err = versionOf(string(data)); err != nil {
		return fmt.Errorf("%s: %w; use a newer pgvigil", in.config.DataDir, err)
	}
	return nil
}

// openState makes sure of the state directory.
func (in *Instance) openState() error {
	if in.config.StateDir == "" {
		return nil
	}
	if err := os.MkdirAll(in.config.StateDir, 0o700); err != nil {
		return fmt.Errorf("create the state directory: %w", err)
	}
	return nil
}

// Version is the server's major version, as in PG_VERSION.
func (in *Instance) Version() string { return in.version.name }

// DataDir is the data directory's path, without symbolic links.
func (in *Instance) DataDir() string { return in.config.DataDir }

// Directory is what package process finds the server's processes by.
func (in *Instance) Directory() process.Directory {
	in.lookup.Lock()
	defer in.lookup.Unlock()
	return in.dir
}

// replaced is to be called when another directory lies at the data directory's path.
func (in *Instance) replaced() error {
	dir, err := process.Resolve(in.config.DataDir)
	if err != nil {
		return err
	}
	in.lookup.Lock()
	in.dir = dir
	in.lookup.Unlock()
	in.files.forget()
	in.locate()
	return nil
}

// walDir is the directory of the server's WAL, without symbolic links.
func (in *Instance) walDir() string {
	path := filepath.Join(in.config.DataDir, in.version.walDir)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// Close lets the server go. It runs on.
func (in *Instance) Close() error {
	in.sessions.close()
	in.master.close()
	return nil
}

// Exited returns a channel that is closed when the running postmaster exits, and its pid; nil and 0 when none runs.
func (in *Instance) Exited() (<-chan struct{}, int) {
	h := in.master.handle(in.Directory())
	if h == nil {
		return nil, 0
	}
	return h.Exited(), h.PID()
}

// Broken returns a channel that receives when the kept connection was cut by the server.
func (in *Instance) Broken() <-chan struct{} { return in.sessions.broken }
