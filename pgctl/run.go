package pgctl

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// killWait is how long a program's output may still be waited for after it was killed: something that it started may hold
// the pipe.
const killWait = 500 * time.Millisecond

// ignoreHangup starts a program that ignores SIGHUP (F66): a reload that is sent to the wrong process must not end a base
// backup. PostgreSQL's server sets its own handler.
const ignoreHangup = `trap "" HUP; exec "$0" "$@"`

// strangers are variables that would make PostgreSQL's programs talk to another server than the one they are given.
var strangers = []string{
	"PGDATA", "PGPORT", "PGHOST", "PGHOSTADDR", "PGDATABASE", "PGUSER", "PGOPTIONS", "PGAPPNAME", "PGTARGETSESSIONATTRS",
}

// binary returns the path of one of PostgreSQL's programs.
func (in *Instance) binary(name string) (string, error) {
	path := filepath.Join(in.config.BinDir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: no %s in %s: install PostgreSQL %s's packages or set bin_dir", ErrNoBinaries, name,
			in.config.BinDir, in.version.name)
	}
	return path, nil
}

// command prepares one of PostgreSQL's programs to run as the data directory's owner, in a process group of its own, with
// SIGHUP ignored and messages in English. When ctx ends, the whole group is killed.
func (in *Instance) command(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	path, err := in.binary(name)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", ignoreHangup, path}, args...)...)
	cmd.Env = append(in.environment(), "LC_ALL=C")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: in.owner.credential()}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killWait
	return cmd, nil
}

// environment is ours, with what belongs to another user or server taken out.
func (in *Instance) environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(strangers, name)
	})
	if in.owner.other() {
		env = append(env, "HOME="+in.owner.home, "USER="+in.owner.name, "LOGNAME="+in.owner.name)
	}
	return env
}

// run runs one of PostgreSQL's programs to its end and returns its standard output. A failure's error has the last line of
// what it said.
func (in *Instance) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd, err := in.command(ctx, name, args...)
	if err != nil {
		return "", err
	}
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return out.String(), programError(name, err, complaints.String()+out.String())
	}
	return out.String(), nil
}

// runShell runs a command of the user's as the user that we are, its output going to a file: a server that it starts keeps
// that open.
func (in *Instance) runShell(ctx context.Context, command string, out *os.File) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Env = append(os.Environ(), "PGDATA="+in.config.DataDir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killWait
	cmd.Stdout, cmd.Stderr = out, out
	return cmd.Run()
}

func programError(name string, err error, said string) error {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if last := strings.TrimSpace(strings.Join(lines[max(0, len(lines)-3):], "; ")); last != "" {
		return fmt.Errorf("%s: %w: %s", name, err, last)
	}
	return fmt.Errorf("%s: %w", name, err)
}
