package pgctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/pgctl/process"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

const (
	// cloneJournal in the state directory says that what lies beside the data directory is ours.
	cloneJournal = "clone.json"
	// cloneMark is a file in a copy. In the data directory it says that the copy was swapped in and was not seen to stream yet:
	// what lies beside then is the old directory.
	cloneMark = "pgvigil.clone"
	// cloneStalls is how long a copy may start and recover without progress before the old directory is put back.
	cloneStalls = 2 * time.Minute
)

// Clone copies upstream beside the data directory, swaps the two in one step, and starts the copy. Once that streams, the old
// directory is kept as <data_dir>.old-<time>: it may hold the only copy of something, and is a person's to delete. If it does
// not come to stream, the two are swapped back.
//
// It may be called again after a crash at any step: a copy that was not swapped in is made anew, one that was goes on.
// sidecar.ErrNotPossible where the directory cannot be swapped by a rename, or a copy would not be whole.
func (in *Instance) Clone(ctx context.Context, upstream watchdog.Upstream, step func(name string)) error {
	if step == nil {
		step = func(string) {}
	}
	c := &cloning{Instance: in, upstream: upstream, step: step, beside: in.config.DataDir + ".clone"}
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("clone from %s: %w", upstream.Name, err)
	}
	return nil
}

// cloning is one clone.
type cloning struct {
	*Instance
	upstream watchdog.Upstream
	step     func(name string)
	beside   string
	source   source
}

func (c *cloning) run(ctx context.Context) error {
	if err := c.rests(); err != nil {
		return err
	}
	if !c.swappedIn() {
		c.step("clone-check")
		if err := c.possible(ctx); err != nil {
			return err
		}
		c.step("clone-copy")
		if err := c.copyUpstream(ctx); err != nil {
			return err
		}
		c.step("clone-swap")
		if err := c.swap(); err != nil {
			return err
		}
	}
	c.step("clone-start")
	if err := c.startCopy(ctx); err != nil {
		return errors.Join(err, c.putBack())
	}
	c.step("clone-keep")
	return c.settleClone()
}

// swappedIn says whether a copy lies at the data directory's path that was not seen to stream yet.
func (in *Instance) swappedIn() bool { return exists(filepath.Join(in.config.DataDir, cloneMark)) }

// possible refuses where a swap is not one rename, or a copy would not be whole.
func (c *cloning) possible(ctx context.Context) error {
	if _, err := c.binary("pg_basebackup"); err != nil {
		return fmt.Errorf("%w: %w", err, sidecar.ErrNotPossible)
	}
	if spaces, err := os.ReadDir(filepath.Join(c.config.DataDir, "pg_tblspc")); err == nil && len(spaces) > 0 {
		return errTablespaces(len(spaces))
	}
	if exists(c.beside) && !c.journalled() {
		return fmt.Errorf("%s is there, and not of our making: move it away: %w", c.beside, sidecar.ErrNotPossible)
	}
	if err := c.movable(); err != nil {
		return err
	}
	var err error
	if c.source, err = c.backupSource(c.upstream); err != nil {
		return err
	}
	return c.askSource(ctx)
}

func errTablespaces(n int) error {
	return fmt.Errorf("there are %d tablespaces, and a copy beside would have nowhere of its own for them: copy the server by hand: %w", n, sidecar.ErrNotPossible)
}

// mounted says whether the data directory is a mount point.
func (in *Instance) mounted() (bool, error) {
	var own, above unix.Stat_t
	err := errors.Join(unix.Stat(in.config.DataDir, &own), unix.Stat(filepath.Dir(in.config.DataDir), &above))
	return own.Dev != above.Dev, err
}

// movable refuses where the data directory cannot be renamed by its owner.
func (c *cloning) movable() error {
	parent := filepath.Dir(c.config.DataDir)
	if mounted, err := c.mounted(); err != nil || mounted {
		if mounted {
			err = fmt.Errorf("%s is a mount point and cannot be swapped: copy the server by hand: %w", c.config.DataDir, sidecar.ErrNotPossible)
		}
		return err
	}
	err := c.owner.act(func() error { return unix.Faccessat(unix.AT_FDCWD, parent, unix.W_OK|unix.X_OK, unix.AT_EACCESS) })
	if err != nil {
		return fmt.Errorf("the server's owner may not write to %s, where the copy would lie: %w: %w", parent, err, sidecar.ErrNotPossible)
	}
	return nil
}

// askSource refuses what of the upstream cannot be copied here. A role that may only replicate cannot be asked with, and
// pg_basebackup then finds out itself.
func (c *cloning) askSource(ctx context.Context) error {
	conn, err := c.source.connect(ctx)
	if err != nil {
		c.log.Debug("the upstream cannot be asked before a clone", "error", err)
		return nil
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var spaces int
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')").Scan(&spaces); err != nil {
		return fmt.Errorf("ask the upstream for its tablespaces: %w", err)
	}
	if spaces > 0 {
		return errTablespaces(spaces)
	}
	var size int64
	if err := conn.QueryRow(ctx, "SELECT sum(pg_database_size(oid))::bigint FROM pg_database").Scan(&size); err != nil {
		c.log.Debug("the upstream's size is not known", "error", err)
		return nil
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(c.config.DataDir), &disk); err != nil {
		return err
	}
	if free := int64(disk.Bavail) * disk.Bsize; free < size {
		return fmt.Errorf("the upstream has %d bytes, and only %d are free here beside the old directory, which is kept: %w", size, free, sidecar.ErrNotPossible)
	}
	return nil
}

// cloneNote is the journal's content.
type cloneNote struct {
	Beside string    `json:"beside"`
	Since  time.Time `json:"since"`
}

func (c *cloning) journalled() bool {
	data, err := c.loadState(cloneJournal)
	var note cloneNote
	return err == nil && json.Unmarshal(data, &note) == nil && note.Beside == c.beside
}

// copyUpstream takes a base backup and makes it ours: configuration, command line, latch and mark.
func (c *cloning) copyUpstream(ctx context.Context) error {
	if c.config.StateDir == "" {
		return errors.New("there is no state directory for the clone's journal")
	}
	kept, err := c.filesForCopy()
	if err != nil {
		return err
	}
	note, err := json.Marshal(cloneNote{Beside: c.beside, Since: time.Now().UTC()})
	if err == nil {
		err = c.saveState(cloneJournal, note)
	}
	if err == nil {
		err = c.removeCopy()
	}
	if err != nil {
		return err
	}
	if err := c.backUp(ctx); err != nil {
		return err
	}
	if err := c.layOwnFiles(c.beside, kept); err != nil {
		return err
	}
	// The latch first: a base backup that anybody starts without it comes up as a primary.
	if err := c.twin(c.beside).Latch(ctx); err != nil {
		return err
	}
	return c.writeFile(filepath.Join(c.beside, cloneMark), note, 0o600)
}

// filesForCopy are the member's own files: those that a rewind cut short has kept, since the directory's may be the other
// server's by now.
func (c *cloning) filesForCopy() ([]keptFile, error) {
	kept, err := c.keepOwnFiles()
	if p, pending := c.pendingRewind(); pending && len(p.Files) > 0 {
		kept, err = p.Files, nil
	}
	return kept, err
}

// removeCopy removes a copy that lies beside, with the WAL directory that it may have elsewhere. It is never the old
// directory: that lies beside only while the mark is in the data directory.
func (c *cloning) removeCopy() error {
	if c.swappedIn() {
		return fmt.Errorf("%s is the old data directory", c.beside)
	}
	return c.owner.act(func() error {
		wal, err := os.Readlink(filepath.Join(c.beside, c.version.walDir))
		if err == nil && strings.Contains(wal, besideWAL) {
			err = os.RemoveAll(wal)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("remove an earlier copy's WAL: %w", err)
		}
		if err := os.RemoveAll(c.beside); err != nil {
			return fmt.Errorf("remove an earlier copy: %w", err)
		}
		return nil
	})
}

// besideWAL is in the name of a copy's WAL directory, where that lies outside the data directory.
const besideWAL = ".pgvigil-"

// backUp runs pg_basebackup.
func (c *cloning) backUp(ctx context.Context) error {
	args := []string{"-D", c.beside, "-d", c.source.conninfo, "-X", "stream", "-c", "fast", "-w"}
	if c.version.backupManifest {
		args = append(args, "--no-manifest")
	}
	if wal := filepath.Join(c.config.DataDir, c.version.walDir); c.walDir() != wal {
		args = append(args, "--"+strings.TrimPrefix(c.version.walDir, "pg_")+"dir="+c.walDir()+besideWAL+time.Now().UTC().Format("20060102T150405"))
	}
	cmd, err := c.command(ctx, "pg_basebackup", args...)
	if err != nil {
		return err
	}
	cmd.Env = append(cmd.Env, c.source.environment()...)
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return programError("pg_basebackup", err, string(out))
	}
	return nil
}

// twin is the same server at another path, for what only touches its files.
func (in *Instance) twin(dataDir string) *Instance {
	t := &Instance{config: in.config, version: in.version, owner: in.owner, log: in.log}
	t.config.DataDir = dataDir
	return t
}

// swap exchanges the two directories' names in one step: at no instant is there none.
func (c *cloning) swap() error {
	err := c.owner.act(func() error {
		return unix.Renameat2(unix.AT_FDCWD, c.beside, unix.AT_FDCWD, c.config.DataDir, unix.RENAME_EXCHANGE)
	})
	if err != nil {
		return fmt.Errorf("exchange %s and %s: %w: %w", c.beside, c.config.DataDir, err, sidecar.ErrNotPossible)
	}
	if err := syncDir(filepath.Dir(c.config.DataDir)); err != nil {
		return err
	}
	return c.replaced()
}

// putBack gives the old directory its place back. The copy lies beside then, and the next attempt removes it.
func (c *cloning) putBack() error {
	if !exists(c.beside) {
		return nil // kept already: the copy is what there is
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := c.Fence(ctx, true); err != nil {
		return err
	}
	if err := c.swap(); err != nil {
		return err
	}
	c.log.Warn("the copy did not come to stream, and the old data directory is back", "data_dir", c.config.DataDir)
	return nil
}

// startCopy starts the copy and waits until it streams, for as long as it gets on.
func (c *cloning) startCopy(ctx context.Context) error {
	if err := c.Start(ctx, c.upstream); err != nil {
		return err
	}
	var before string
	since := time.Now()
	return poll(ctx, 50*time.Millisecond, func() (bool, error) {
		bounded, done := context.WithTimeout(ctx, time.Second)
		defer done()
		s, _ := c.Observe(bounded)
		streams, progress := c.progress(s)
		switch {
		case streams:
			return true, nil
		case s.PID == 0:
			return false, fmt.Errorf("%w: the copy ended, its log says why", ErrNotRunning)
		case progress != before:
			before, since = progress, time.Now()
		case time.Since(since) > cloneStalls:
			return false, fmt.Errorf("the copy neither streams nor gets on (%s): %s", progress, s.Problem)
		}
		return false, nil
	})
}

// progress says whether the server streams and, in words that change as it gets on, how far it has come.
func (in *Instance) progress(s watchdog.Server) (streams bool, words string) {
	words = fmt.Sprintf("%s, received %s, replayed %s", s.Role, s.Received, s.Replayed)
	if pid, ok := process.Startup(in.Directory()); ok {
		words += ", " + process.Title(pid)
	}
	if pid, ok := process.Receiver(in.Directory()); ok {
		title := process.Title(pid)
		return s.Streaming || strings.Contains(title, " streaming "), words + ", " + title
	}
	return s.Streaming, words
}

// settleClone makes a copy that was swapped in the server for good: the old directory is put by under a name of its own, and
// with it what was pending there.
func (in *Instance) settleClone() error {
	beside := in.config.DataDir + ".clone"
	if exists(beside) {
		old := in.config.DataDir + ".old-" + time.Now().UTC().Format("20060102T150405.000")
		if err := in.owner.act(func() error { return os.Rename(beside, old) }); err != nil {
			return fmt.Errorf("put the old data directory by: %w", err)
		}
		if err := syncDir(filepath.Dir(old)); err != nil {
			return err
		}
		in.log.Warn("cloned; the old data directory is kept: delete it when nothing in it is missed", "old", old)
	}
	if err := in.rewindEnded(); err != nil {
		return err
	}
	if err := in.removeFile(filepath.Join(in.config.DataDir, cloneMark)); err != nil {
		return err
	}
	return removeDurably(filepath.Join(in.config.StateDir, cloneJournal))
}
