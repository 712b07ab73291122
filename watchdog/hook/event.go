package hook

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/command"
)

// Event is what a command is told, as JSON on its standard input and as PGVIGIL_… in its environment.
type Event struct {
	Event      Kind              `json:"event"`
	Cluster    string            `json:"cluster"`
	Member     string            `json:"member"`
	Role       watchdog.Role     `json:"role"`     // of this member's server, as it is now
	Term       watchdog.Term     `json:"term"`     // on_demote: the one that it served under
	Timeline   watchdog.Timeline `json:"timeline"` // of this member's server, as far as it is known
	LSN        watchdog.LSN      `json:"lsn"`      // the end of its WAL, likewise
	OldPrimary string            `json:"old_primary"`
	NewPrimary string            `json:"new_primary"` // on_demote: empty while nobody is named
	Reason     watchdog.Reason   `json:"reason"`      // why the term began, or is over
	Time       time.Time         `json:"time"`
	Test       bool              `json:"test,omitempty"` // nothing has happened: an operator tries the command
}

// Environment is the event as its command finds it beside what of our own environment is handed on.
func (e Event) Environment() (env []string) {
	for _, field := range [][2]string{
		{"EVENT", string(e.Event)}, {"CLUSTER", e.Cluster}, {"MEMBER", e.Member}, {"ROLE", string(e.Role)},
		{"TERM", strconv.FormatUint(uint64(e.Term), 10)}, {"TIMELINE", strconv.FormatUint(uint64(e.Timeline), 10)}, {"LSN", e.LSN.String()},
		{"OLD_PRIMARY", e.OldPrimary}, {"NEW_PRIMARY", e.NewPrimary}, {"REASON", string(e.Reason)},
		{"TIME", e.Time.UTC().Format(time.RFC3339Nano)}, {"TEST", strconv.FormatBool(e.Test)},
	} {
		env = append(env, "PGVIGIL_"+field[0]+"="+strings.ReplaceAll(field[1], "\x00", ""))
	}
	return env
}

// Execute runs one command of the event, within its timeout and ctx, and returns the end of what it said.
func Execute(ctx context.Context, c Command, e Event) (said string, err error) {
	line, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("encode event: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, c.Limit(e.Event))
	defer cancel()
	return command.Run(bounded, command.Call{Argv: c.Command, Env: e.Environment(), Stdin: append(line, '\n')})
}
