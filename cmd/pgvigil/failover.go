package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/watchdog"
)

func failoverCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:  "failover",
		Usage: "decide an election that rightly waits, and accept what is lost",
		Description: "A primary that dies is noticed by itself, and planned work is a switchover. This is for an election that waits because\n" +
			"its outcome could lose acknowledged commits: it says what would be lost, and with --accept-data-loss has the one that\n" +
			"is named win.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "the `MEMBER` that is to win (default: the one with the most WAL)"},
			&cli.BoolFlag{Name: "accept-data-loss", Usage: "do it"},
			&cli.StringSliceFlag{Name: "ignore", Usage: "have it win in spite of its `TAG`: no_failover"},
			waitFlag(),
		},
	}, failOver)
}

// failOver says what it would cost, and does it if that is accepted.
func failOver(c *cli.Context, o *operator) error {
	cluster, err := o.read(c.Context)
	if err != nil {
		return err
	}
	op := newOperation(watchdog.OperationFailover)
	op.To, op.Ignore = c.String("to"), c.StringSlice("ignore")
	if cluster.Record != nil && cluster.Record.Phase == watchdog.PhaseElecting {
		choice := countNow(cluster, time.Now())
		if choice.Winner != "" {
			return o.tell(outcome{OK: true, To: choice.Winner, Message: fmt.Sprintf("nothing to decide: the election has a winner by itself, %s", choice.Winner)})
		}
		if op.To == "" {
			op.To = bestToDecideFor(choice.Ranked)
		}
		if !c.Bool("accept-data-loss") && op.To != "" {
			return fail(exitRefused, errors.New(costs(cluster, choice, op.To)+"; give --accept-data-loss to accept it"))
		}
	}
	return o.perform(c.Context, op, c.Duration("wait"), func(events []watchdog.Event) (outcome, bool) {
		return judgeHandOver(op.ID, "", events)
	})
}

// bestToDecideFor is the one with the most WAL whose tag does not speak against it, if there is one.
func bestToDecideFor(ranked []watchdog.Candidate) string {
	for _, c := range ranked {
		if !slices.Contains(c.Vetoes, watchdog.VetoNoFailover) {
			return c.Name
		}
	}
	return ""
}

// countNow judges the ballots as the leader does.
func countNow(c watchdog.Cluster, now time.Time) watchdog.Choice {
	v := watchdog.View{Cluster: &c, Policy: policyOf(c), Now: watchdog.Instant(1 + max(0, now.Sub(c.Record.Since)))}
	return watchdog.Count(v, watchdog.Memory{Since: 1})
}

// costs says what is lost if that member wins now.
func costs(c watchdog.Cluster, choice watchdog.Choice, to string) string {
	var parts []string
	var chosen watchdog.Candidate
	for _, candidate := range choice.Ranked {
		if candidate.Name == to {
			chosen = candidate
		}
	}
	if chosen.Name == "" {
		return to + " has given no ballot"
	}
	if t := c.PrimaryTerm; t != nil {
		parts = append(parts, fmt.Sprintf("%s behind what the last primary, %s, had last said", lacks(c.Ballots[to].Ballot, t.Flushed, t.NextXID), t.Holder))
	}
	if best := choice.Ranked[0]; best.Name != to {
		if _, alive := c.Members[best.Name]; !alive || best.Owner != chosen.Owner {
			parts = append(parts, fmt.Sprintf("%s behind %s, from which it could not be fetched",
				lacks(c.Ballots[to].Ballot, best.End, c.Ballots[best.Name].NextXID), best.Name))
		}
	}
	text := fmt.Sprintf("%s would win at %s on timeline %d: %s", to, chosen.End, chosen.Timeline, strings.Join(parts, "; "))
	if c.Record.Durability.Mode == watchdog.ModeQuorum {
		text += ". In quorum, acknowledged commits may be among it: " + choice.Lacks
	}
	return text
}

// lacks is how much WAL a ballot's member does not have of a log that ends at end, and at most how many transactions: those that
// were given an id since the member's next one, be they committed or not.
func lacks(b watchdog.Ballot, end watchdog.LSN, nextXID uint64) string {
	text := size(b.End.Behind(end))
	if b.NextXID == 0 || nextXID == 0 {
		return text
	}
	switch n := nextXID - min(b.NextXID, nextXID); n {
	case 0:
		return text + ", with no transaction in it,"
	case 1:
		return text + ", at most 1 transaction,"
	default:
		return fmt.Sprintf("%s, at most %d transactions,", text, n)
	}
}
