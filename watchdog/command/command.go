package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// pipesKept is how long children that were left behind may hold the program's output open.
	pipesKept = time.Second
	// hopeless is how long after its kill a program is waited for.
	hopeless = pipesKept + time.Second
	// saidMost is how much is kept of what a program says, in bytes.
	saidMost = 800
)

// Call is a program to run once.
type Call struct {
	Argv  []string // the program's path and its arguments
	Env   []string // as NAME=value, beside what of our own environment is handed on
	Stdin []byte
}

// Run returns once the program has ended, or shortly after ctx has, and the end of what it said on both outputs. Exit code 0
// is success.
func Run(ctx context.Context, c Call) (said string, err error) {
	output := &tail{}
	run := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	run.Stdin, run.Stdout, run.Stderr = bytes.NewReader(c.Stdin), output, output
	run.Env, run.Dir = append(inherited(), c.Env...), "/"
	run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	run.Cancel = func() error { return syscall.Kill(-run.Process.Pid, syscall.SIGKILL) }
	run.WaitDelay = pipesKept
	done := make(chan error, 1)
	go func() { done <- run.Run() }()
	select {
	case err = <-done:
	case <-ctx.Done():
		patience := time.NewTimer(hopeless)
		defer patience.Stop()
		select {
		case err = <-done:
		case <-patience.C:
			err = errors.New("does not end")
		}
	}
	if errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		err = nil // it has ended well, and left children behind that hold its output
	}
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w, killed", ctx.Err())
		}
		err = fmt.Errorf("run %s: %w", c.Argv[0], err)
	}
	return strings.TrimSpace(output.String()), err
}

// inherited is our environment without our own settings.
func inherited() (env []string) {
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "PGVIGIL_") && !strings.HasPrefix(pair, "NOTIFY_SOCKET=") {
			env = append(env, pair)
		}
	}
	return env
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(0, len(t.kept)-saidMost):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.kept), "?")
}
