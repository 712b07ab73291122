package pgctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/pgctl/process"
	"github.com/pgvigil/pgvigil/watchdog"
)

const (
	// startTick is how often it is looked whether the postmaster runs.
	startTick = 5 * time.Millisecond
	// logMost is the size at which the server's log file is put aside at a start.
	logMost = 10 << 20
	// logTail is how much of the log an error may quote.
	logTail = 2048
)

// Start removes left-over triggers, latches, points primary_conninfo at upstream (detached: empties it) and starts the
// server. It returns when the postmaster runs, not when it is consistent.
//
// A detached server reads no archive either, since one could bring WAL of a primary that it has promised not to follow;
// unless it is a base backup that has yet to recover, which may need its archive for that.
func (in *Instance) Start(ctx context.Context, upstream watchdog.Upstream) error {
	if err := in.rests(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if err := in.point(upstream); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return in.start(ctx)
}

// rests refuses unless no process of the server is left.
func (in *Instance) rests() error {
	if pid, ok := process.PIDFile(in.Directory()); ok {
		return fmt.Errorf("%w: process %d", ErrRunning, pid)
	}
	if left := process.Find(in.Directory()); len(left) > 0 {
		return fmt.Errorf("%w: process %d of an earlier postmaster is left; it is to be fenced first", ErrRunning, left[0].PID)
	}
	return nil
}

// point writes where the next start is to stream from.
func (in *Instance) point(upstream watchdog.Upstream) error {
	if err := in.Latch(context.Background()); err != nil {
		return err
	}
	if upstream.Address == "" {
		_, err := in.detach(!exists(filepath.Join(in.config.DataDir, "backup_label")))
		return err
	}
	conninfo, err := in.conninfoFor(upstream)
	if err != nil {
		return err
	}
	_, err = in.attach(conninfo)
	return err
}

// start starts the server as a standby of whatever its files say.
func (in *Instance) start(ctx context.Context) error {
	if err := in.mayStart(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if err := in.Latch(ctx); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if err := in.launch(ctx); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	in.files.forget()
	return nil
}

// mayStart takes out of the way what would promote the server or keep it from starting, and refuses where that takes a
// person.
func (in *Instance) mayStart() error {
	if err := in.rests(); err != nil {
		return err
	}
	if err := in.startable(); err != nil {
		return err
	}
	s, err := in.settings()
	if err != nil {
		return err
	}
	if err := in.permits(s); err != nil {
		return err
	}
	if err := in.removeTriggers(s); err != nil {
		return err
	}
	if !in.version.recoveryConf && s.get("recovery_target_timeline") != "latest" && s.get("recovery_target_timeline") != "" {
		if err := in.setAuto(map[string]string{"recovery_target_timeline": "latest"}); err != nil {
			return err
		}
	}
	return in.removeStaleLocks()
}

// recoveryTargets end a recovery before its time.
var recoveryTargets = []string{
	"recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid",
}

// permits refuses files and settings with which the server would not start, or not stay a standby (F61).
func (in *Instance) permits(s settings) error {
	get := s.get
	file := func(name string) string { return s[name].file }
	if in.version.recoveryConf {
		f, _ := readConf(in.latchFile())
		get = func(name string) string { value, _ := f.get(name); return value }
		file = func(string) string { return in.latchFile() }
	} else if path := filepath.Join(in.config.DataDir, recoveryConf); exists(path) {
		return fmt.Errorf("%w: PostgreSQL %s does not start beside %s: move its settings to postgresql.conf and remove it",
			ErrForbiddenSetting, in.version.name, path)
	}
	if bar := in.version.triggerBars; bar != "" {
		if _, set := s[bar]; set {
			return fmt.Errorf("%w: PostgreSQL %s does not start with %s, which is set in %s: remove it", ErrForbiddenSetting,
				in.version.name, bar, s[bar].file)
		}
	}
	for _, name := range recoveryTargets {
		if get(name) != "" {
			return fmt.Errorf("%w: %s, set in %s, would end recovery: remove it", ErrForbiddenSetting, name, file(name))
		}
	}
	return nil
}

// removeTriggers removes every file that would promote the server as soon as it starts (F61).
func (in *Instance) removeTriggers(s settings) error {
	paths, err := in.triggers(s)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := in.removeFile(path); err != nil {
			return fmt.Errorf("%w: remove %s by hand: %w", ErrUnwritableTrigger, path, err)
		}
	}
	return nil
}

// triggers are the paths at which a file would promote the server as soon as it starts.
func (in *Instance) triggers(s settings) ([]string, error) {
	names := []string{"promote", "fallback_promote", "recovery.signal"}
	trigger, err := in.triggerFile(s)
	if err != nil {
		return nil, err
	}
	if trigger != "" {
		names = append(names, trigger)
	}
	for i, name := range names {
		names[i] = beside(filepath.Join(in.config.DataDir, "x"), name)
	}
	return names, nil
}

// triggerFile returns the trigger file that the server is configured with, empty if none.
func (in *Instance) triggerFile(s settings) (string, error) {
	if in.version.triggerSetting == "" {
		return "", nil
	}
	if in.version.recoveryConf {
		return in.standbySetting(in.version.triggerSetting)
	}
	return s.get(in.version.triggerSetting), nil
}

// removeStaleLocks removes the lock files of a server that is gone. A zombie's pid answers to a signal, so PostgreSQL would
// take them for a live server's (F57); that no process of the directory is left was seen just before.
func (in *Instance) removeStaleLocks() error {
	if !process.Gone(in.Directory()) {
		return fmt.Errorf("%w: it has been started by another just now", ErrRunning)
	}
	if err := in.removeFile(filepath.Join(in.config.DataDir, "postmaster.pid")); err != nil {
		return fmt.Errorf("remove stale lock file: %w", err)
	}
	p := in.where()
	for _, dir := range p.sockets {
		path := filepath.Join(dir, fmt.Sprintf(".s.PGSQL.%d.lock", p.port))
		data, err := os.ReadFile(path)
		lines := strings.Split(string(data), "\n")
		if err != nil || len(lines) < 2 || !in.sameDirectory(lines[1]) {
			continue
		}
		if err := in.removeFile(path); err != nil {
			return fmt.Errorf("remove stale lock file: %w", err)
		}
	}
	return nil
}

func (in *Instance) sameDirectory(path string) bool {
	real, err := filepath.EvalSymlinks(path)
	return err == nil && real == in.config.DataDir
}

// launch runs pg_ctl, or the user's own command, until the postmaster has taken its data directory.
//
// pg_ctl waits for longer, which is how it can tell that the postmaster has ended instead; it is left behind, and the server
// with it: that runs in a session of its own and belongs to init.
func (in *Instance) launch(ctx context.Context) error {
	log, err := in.openLog()
	if err != nil {
		return err
	}
	defer log.Close()
	from, _ := log.Seek(0, io.SeekEnd)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	if err = in.runStart(running, stop, log, done); err == nil {
		err = in.awaitStart(ctx, done)
	}
	if in.config.StartCommand == "" || err != nil {
		stop() // ends pg_ctl's wait; a user's command is left to finish
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, lastOf(log, from))
	}
	return nil
}

// awaitStart waits until the postmaster runs, or the program that starts it has failed.
func (in *Instance) awaitStart(ctx context.Context, done <-chan error) error {
	ended := false
	err := poll(ctx, startTick, func() (bool, error) {
		if _, ok := process.PIDFile(in.Directory()); ok {
			return true, nil
		}
		if ended {
			return false, ErrStartFailed
		}
		select {
		case err := <-done:
			// The user's command may return before the postmaster is there; pg_ctl has waited.
			ended = err != nil || in.config.StartCommand == ""
		default:
		}
		return false, nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w in time: %w", ErrStartFailed, ctx.Err())
	}
	return err
}

// runStart starts the program that starts the server, and sends its end.
func (in *Instance) runStart(ctx context.Context, stop func(), log *os.File, done chan<- error) error {
	if in.config.StartCommand != "" {
		go func() {
			defer stop()
			done <- in.runShell(ctx, in.config.StartCommand, log)
		}()
		return nil
	}
	cmd, err := in.startCommand(ctx)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run pg_ctl: %w", err)
	}
	go func() { done <- cmd.Wait() }()
	return nil
}

// startCommand is pg_ctl with the options of the server's last start. The server keeps our language: that of its messages is
// its owner's.
func (in *Instance) startCommand(ctx context.Context) (*exec.Cmd, error) {
	args := []string{"start", "-D", in.config.DataDir, "-w", "-t", "86400"}
	if options := in.where().startOptions(in.config.DataDir); len(options) > 0 {
		quoted := make([]string, len(options))
		for i, o := range options {
			quoted[i] = shellQuote(o)
		}
		args = append(args, "-o", strings.Join(quoted, " "))
	}
	cmd, err := in.command(ctx, "pg_ctl", args...)
	if err == nil {
		cmd.Env = in.environment()
	}
	return cmd, err
}

func shellQuote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// openLog opens the file that the server writes to until its own logging begins, or for as long as it has none.
func (in *Instance) openLog() (*os.File, error) {
	if in.config.StateDir == "" {
		return os.OpenFile(os.DevNull, os.O_RDWR, 0)
	}
	path := filepath.Join(in.config.StateDir, "postgres.log")
	if info, err := os.Stat(path); err == nil && info.Size() > logMost {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("put the server's log aside: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the server's log: %w", err)
	}
	return f, nil
}

// lastOf returns the last lines that were written to the log since.
func lastOf(log *os.File, from int64) string {
	info, err := log.Stat()
	if err != nil {
		return err.Error()
	}
	from = max(from, info.Size()-logTail)
	data, err := io.ReadAll(io.NewSectionReader(log, from, logTail))
	if err != nil && !errors.Is(err, io.EOF) {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return fmt.Sprintf("%s (in %s)", strings.Join(lines[max(0, len(lines)-5):], "; "), log.Name())
}

// reap takes a dead server process off the process table, if it is our child, as it is when we are PID 1 or a subreaper: a
// zombie's pid keeps lock files looking live (F57). The programs that we run ourselves are never among them.
func reap(pids ...int) {
	for _, pid := range pids {
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}
