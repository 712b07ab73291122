package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/watchdog"
)

func switchoverCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:  "switchover",
		Usage: "hand the primary over to a standby, as planned: nothing is lost, and the old primary follows",
		Description: "The primary's own sidecar carries it out: it looks for what speaks against it, checkpoints, shuts its server down and\n" +
			"names the heir. If that fails the old primary goes on or is put back. Without --yes it is shown first what would happen.\n" +
			"With --at the primary's sidecar begins it when its wall clock says so. If the term ends before, it is dropped.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "the `MEMBER` that is to take over (default: the best)"},
			&cli.StringFlag{Name: "from", Usage: "only if this `MEMBER` is the primary still"},
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would happen, and do nothing"},
			&cli.StringFlag{Name: "at", Usage: "begin it at this `TIME`: 2026-05-01T03:00:00+02:00, 03:00 or +30m"},
			&cli.BoolFlag{Name: "cancel", Usage: "withdraw the switchover that is scheduled"},
			yesFlag(),
			&cli.StringSliceFlag{Name: "ignore", Usage: "go on in spite of an `OBSTACLE`: archive, logical, transactions, prepared, no_failover"},
			&cli.DurationFlag{Name: "shutdown-timeout", Value: 10 * time.Second, Usage: "put the old primary back if its shutdown takes longer"},
			waitFlag(),
		},
	}, switchOver)
}

func switchOver(c *cli.Context, o *operator) error {
	if bound := c.Duration("shutdown-timeout"); bound <= 0 {
		return fail(exitUsage, fmt.Errorf("--shutdown-timeout is %s: give more than 0", bound))
	}
	if c.Bool("cancel") {
		return o.cancel(c)
	}
	op := newOperation(watchdog.OperationSwitchover)
	op.From, op.To, op.DryRun = c.String("from"), c.String("to"), c.Bool("dry-run")
	op.Bound, op.Ignore = watchdog.Duration(c.Duration("shutdown-timeout")), c.StringSlice("ignore")
	if at := c.String("at"); at != "" {
		var err error
		if op.At, err = parseAt(at, time.Now()); err == nil && op.DryRun {
			err = errors.New("--dry-run says what would happen now: leave --at out")
		}
		if err != nil {
			return fail(exitUsage, err)
		}
	}
	cluster, err := o.readRecord(c.Context)
	if err != nil {
		return err
	}
	if op.From == "" {
		op.From = cluster.Record.Primary // another's command may be carried out before ours is in
	}
	if !c.Bool("yes") && !op.DryRun {
		if err := o.ask(c.Context, op); err != nil {
			return err
		}
	}
	if !op.At.IsZero() {
		return o.schedule(c.Context, op)
	}
	return o.perform(c.Context, op, c.Duration("wait"), func(events []watchdog.Event) (outcome, bool) {
		return judgeHandOver(op.ID, op.From, events)
	})
}

// judgeHandOver finds out from the events how the operation ended: with the heir writable. from is empty for a failover.
func judgeHandOver(id, from string, events []watchdog.Event) (o outcome, ended bool) {
	o = outcome{Operation: id, From: from}
	var term watchdog.Term
	for _, e := range events {
		switch {
		case e.Facts["operation"] == id && e.Kind == watchdog.EventOperation && e.Reason != watchdog.ReasonAsked && e.Reason != watchdog.ReasonDue:
			o.OK, o.Message = e.Reason == watchdog.ReasonDryRun, e.Message
			return o, true
		case e.Facts["operation"] == id && (e.Kind == watchdog.EventHandOver || e.Kind == watchdog.EventSurrender || e.Kind == watchdog.EventNamed):
			term = e.Term
			o.GapMS = downMS(e)
		case term != 0 && e.Term >= term && e.Kind == watchdog.EventPromoted:
			o.To, o.Term, o.GapMS = e.Member, uint64(e.Term), o.GapMS+e.TimingsMS["named_to_writable"]
			o.OK = e.Member != from
			if from == "" {
				o.Message = e.Member + " is primary"
				return o, true
			}
			o.Message = fmt.Sprintf("%s handed over to %s, about %.0f ms without writes", from, e.Member, o.GapMS)
			if !o.OK {
				o.Message = fmt.Sprintf("%s was put back after its shutdown, about %.0f ms without writes", from, o.GapMS)
			}
			return o, true
		}
	}
	return o, false
}
