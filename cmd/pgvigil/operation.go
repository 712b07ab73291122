package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// lookEvery is how often it is looked for the end of an operation.
const lookEvery = 50 * time.Millisecond

// outcome is what is printed of an operation. Its JSON is stable.
type outcome struct {
	Operation string     `json:"operation,omitempty"`
	OK        bool       `json:"ok"`
	Message   string     `json:"message"`
	From      string     `json:"from,omitempty"`
	To        string     `json:"to,omitempty"`
	Term      uint64     `json:"term,omitempty"`
	GapMS     float64    `json:"gap_ms,omitempty"` // from the shutdown to the first moment of the new primary, by their own clocks
	At        *time.Time `json:"at,omitempty"`     // for when it is scheduled
}

// newOperation begins what is asked for, with who asks and when.
func newOperation(kind watchdog.OperationKind) watchdog.Operation {
	return watchdog.Operation{ID: rand.Text()[:8], Kind: kind, By: asker(), Since: time.Now().Round(time.Millisecond)}
}

// asker is who we are, for those who read the history.
func asker() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	user := os.Getenv("SUDO_USER")
	if user == "" {
		user = os.Getenv("USER")
	}
	if user == "" {
		return "pgvigil on " + host
	}
	return user + " on " + host
}

// perform asks for the operation, waits so long for its end (0: not at all) and prints what came of it, by what judge finds in
// the events. It fails where nothing came of it.
func (o *operator) perform(ctx context.Context, op watchdog.Operation, wait time.Duration, judge func([]watchdog.Event) (outcome, bool)) error {
	if _, err := o.request(ctx, watchdog.Request{Operation: &op}); err != nil {
		return err
	}
	if wait == 0 {
		return o.tell(outcome{Operation: op.ID, OK: true, From: op.From, To: op.To, Message: "asked for; pgvigil history tells what comes of it"})
	}
	ended, err := o.await(ctx, op.ID, wait, judge)
	if err != nil {
		return err
	}
	if err := o.tell(ended); err != nil {
		return err
	}
	if !ended.OK {
		return fail(exitFailure, errors.New("it did not take place: mend what is said above, and ask again"))
	}
	return nil
}

// await waits until the operation has left the record and its outcome is among the events.
func (o *operator) await(ctx context.Context, id string, wait time.Duration, judge func([]watchdog.Event) (outcome, bool)) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		cluster, err := o.store.Read(ctx)
		if err == nil && cluster.Record != nil && (cluster.Record.Operation == nil || cluster.Record.Operation.ID != id) {
			if events, err := o.store.Events(ctx, 50); err == nil {
				if ended, is := judge(events); is {
					return ended, nil
				}
			}
		}
		select {
		case <-ctx.Done():
			return outcome{}, fail(exitFailure, fmt.Errorf("no outcome of operation %s within %s: it may still end either way; see pgvigil status and history", id, wait))
		case <-tick.C:
		}
	}
}

// tell prints an outcome: in JSON as one line, as ever.
func (o *operator) tell(result outcome) error {
	return o.form.stream(o.out, result, func() string { return result.Message + "\n" })
}
