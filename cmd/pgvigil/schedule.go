package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/watchdog"
)

// farthest is how far ahead a switchover may be scheduled: a slip of the year is caught.
const farthest = 366 * 24 * time.Hour

// parseAt reads when something is to begin: a time with its zone, an hour and minute that come next on this machine's clock, or
// a while from now.
func parseAt(text string, now time.Time) (at time.Time, err error) {
	if while, ahead := strings.CutPrefix(text, "+"); ahead {
		d, err := time.ParseDuration(while)
		if err != nil || d <= 0 {
			return at, fmt.Errorf("--at is %q: give a while with a unit, such as +30m or +2h", text)
		}
		at = now.Add(d)
	} else if hour, err := time.ParseInLocation("15:04", text, now.Location()); err == nil {
		at = time.Date(now.Year(), now.Month(), now.Day(), hour.Hour(), hour.Minute(), 0, 0, now.Location())
		if !at.After(now) {
			at = time.Date(now.Year(), now.Month(), now.Day()+1, hour.Hour(), hour.Minute(), 0, 0, now.Location())
		}
	} else if at, err = time.Parse(time.RFC3339, text); err != nil {
		return at, fmt.Errorf("--at is %q: give 2026-05-01T03:00:00+02:00, 03:00 or +30m", text)
	}
	at = at.Round(time.Second)
	switch {
	case !at.After(now):
		return at, fmt.Errorf("--at %s is over: it is %s", text, now.Format(time.RFC3339))
	case at.Sub(now) > farthest:
		return at, fmt.Errorf("--at %s is more than a year ahead", text)
	}
	return at, nil
}

// schedule puts the switchover into the record for later.
func (o *operator) schedule(ctx context.Context, op watchdog.Operation) error {
	if _, err := o.request(ctx, watchdog.Request{Operation: &op}); err != nil {
		return err
	}
	return o.tell(outcome{
		Operation: op.ID, OK: true, From: op.From, To: op.To, At: &op.At,
		Message: fmt.Sprintf("scheduled for %s, in %s, as operation %s; pgvigil switchover --cancel withdraws it",
			op.At.Format(time.RFC3339), ago(time.Until(op.At)), op.ID),
	})
}

// cancel withdraws what is scheduled.
func (o *operator) cancel(c *cli.Context) error {
	for _, flag := range []string{"to", "from", "at", "dry-run", "ignore", "shutdown-timeout", "wait"} {
		if c.IsSet(flag) {
			return fail(exitUsage, fmt.Errorf("--cancel withdraws the switchover that is scheduled, and does nothing else: leave --%s out", flag))
		}
	}
	cluster, err := o.readRecord(c.Context)
	if err != nil {
		return err
	}
	scheduled := cluster.Record.Scheduled
	if scheduled == nil {
		return fail(exitRefused, errors.New("no switchover is scheduled"))
	}
	if _, err := o.request(c.Context, watchdog.Request{Withdraw: scheduled.ID}); err != nil {
		return err
	}
	return o.tell(outcome{Operation: scheduled.ID, OK: true, From: scheduled.From, To: scheduled.To, Message: "withdrawn: " + scheduled.String()})
}

// scheduledText is how status tells of a scheduled operation.
func scheduledText(o watchdog.Operation, term watchdog.Term, now time.Time) string {
	if o.Term != term {
		return fmt.Sprintf("%s: it will be dropped, term %d is over", o, o.Term)
	}
	return fmt.Sprintf("%s, in %s", o, ago(o.At.Sub(now)))
}
