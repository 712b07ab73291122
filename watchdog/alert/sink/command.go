package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog/alert"
	program "github.com/pgvigil/pgvigil/watchdog/command"
)

// command runs a program with the alert as one line of JSON on its standard input, and its fields in the environment as
// PGVIGIL_ALERT_…; success is exit code 0.
type command struct{ argv []string }

func newCommand(c Config) (alert.Sink, error) { return &command{c.Command}, nil }

// Deliver runs it, and has it killed with its children when ctx ends.
func (c *command) Deliver(ctx context.Context, a alert.Alert) error {
	body, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode alert: %w", err)
	}
	said, err := program.Run(ctx, program.Call{Argv: c.argv, Env: environment(a), Stdin: append(body, '\n')})
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() == refusal:
		return fmt.Errorf("%w: %w: %s", alert.ErrRefused, err, said)
	}
	return fmt.Errorf("%w: %s", err, said)
}

// refusal is the exit code of a command that will never take this alert: EX_DATAERR of sysexits.
const refusal = 65

// environment is the alert, field by field.
func environment(a alert.Alert) (env []string) {
	for _, field := range [][2]string{
		{"ID", a.ID}, {"KEY", a.Key}, {"STATUS", string(a.Status)}, {"SEVERITY", string(a.Severity)}, {"CLUSTER", a.Cluster},
		{"TERM", strconv.FormatUint(uint64(a.Term), 10)}, {"KIND", string(a.Kind)}, {"REASON", string(a.Reason)},
		{"MEMBER", a.Member}, {"TIME", a.Time.UTC().Format(time.RFC3339Nano)}, {"TITLE", a.Title}, {"TEXT", a.Text},
	} {
		env = append(env, "PGVIGIL_ALERT_"+field[0]+"="+strings.ReplaceAll(field[1], "\x00", ""))
	}
	return env
}
