package main

import (
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
			"names the heir. If that fails the old primary goes on or is put back.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "the `MEMBER` that is to take over (default: the best)"},
			&cli.StringFlag{Name: "from", Usage: "only if this `MEMBER` is the primary still"},
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would happen, and do nothing"},
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
	op := newOperation(watchdog.OperationSwitchover)
	op.From, op.To, op.DryRun = c.String("from"), c.String("to"), c.Bool("dry-run")
	op.Bound, op.Ignore = watchdog.Duration(c.Duration("shutdown-timeout")), c.StringSlice("ignore")
	cluster, err := o.readRecord(c.Context)
	if err != nil {
		return err
	}
	primary := cluster.Record.Primary
	if op.From == "" {
		op.From = primary // another's command may be carried out before ours is in
	}
	to := op.To
	if to == "" {
		to = "the best standby"
	}
	question := fmt.Sprintf("Hand %s over from %s to %s? Sessions are ended, and open transactions lost.", o.cfg.Cluster, orNobody(primary), to)
	if err := o.confirm(question, c.Bool("yes") || op.DryRun); err != nil {
		return err
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
		case e.Facts["operation"] == id && e.Kind == watchdog.EventOperation && e.Reason != watchdog.ReasonAsked:
			o.OK, o.Message = e.Reason == watchdog.ReasonDryRun, e.Message
			return o, true
		case e.Facts["operation"] == id && (e.Kind == watchdog.EventHandOver || e.Kind == watchdog.EventSurrender || e.Kind == watchdog.EventNamed):
			term = e.Term
			o.GapMS = e.TimingsMS["stop"] + e.TimingsMS["fence"] + e.TimingsMS["find_end"]
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
