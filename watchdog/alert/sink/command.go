package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// command runs a program with the alert as one line of JSON on its standard input, and its fields in the environment as
// PGVIGIL_ALERT_…; success is exit code 0.
type command struct{ argv []string }

func newCommand(c Config) (alert.Sink, error) { return &command{c.Command}, nil }

// Deliver runs it in a process group of its own, which is killed whole when ctx ends.
func (c *command) Deliver(ctx context.Context, a alert.Alert) error {
	body, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode alert: %w", err)
	}
	said := &tail{}
	run := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	run.Stdin, run.Stdout, run.Stderr = bytes.NewReader(append(body, '\n')), said, said
	run.Env, run.Dir = environment(os.Environ(), a), "/"
	run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	run.Cancel = func() error { return syscall.Kill(-run.Process.Pid, syscall.SIGKILL) }
	run.WaitDelay = time.Second // for a child of its own that keeps the pipes open
	if err := run.Run(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w, killed", ctx.Err())
		}
		return fmt.Errorf("run %s: %w: %s", c.argv[0], err, strings.TrimSpace(said.String()))
	}
	return nil
}

// environment is ours without our own settings, which may hold passwords, and with the alert.
func environment(ours []string, a alert.Alert) (env []string) {
	for _, pair := range ours {
		if !strings.HasPrefix(pair, "PGVIGIL_") && !strings.HasPrefix(pair, "NOTIFY_SOCKET=") {
			env = append(env, pair)
		}
	}
	for _, field := range [][2]string{
		{"ID", a.ID}, {"KEY", a.Key}, {"STATUS", string(a.Status)}, {"SEVERITY", string(a.Severity)}, {"CLUSTER", a.Cluster},
		{"TERM", strconv.FormatUint(uint64(a.Term), 10)}, {"KIND", string(a.Kind)}, {"REASON", string(a.Reason)},
		{"MEMBER", a.Member}, {"TIME", a.Time.UTC().Format(time.RFC3339Nano)}, {"TITLE", a.Title}, {"TEXT", a.Text},
	} {
		env = append(env, "PGVIGIL_ALERT_"+field[0]+"="+strings.ReplaceAll(field[1], "\x00", ""))
	}
	return env
}

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	const most = 500
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(0, len(t.kept)-most):]
	return len(p), nil
}

func (t *tail) String() string { return string(t.kept) }
