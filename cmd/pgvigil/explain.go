package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/watchdog"
)

func explainCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:      "explain",
		Usage:     "say what the cluster waits for, who would win now and what would be lost; or read a term's decision back",
		ArgsUsage: "[TERM]",
	}, explain)
}

func explain(c *cli.Context, o *operator) error {
	switch c.NArg() {
	case 0:
		cluster, err := o.readRecord(c.Context)
		if err != nil {
			return err
		}
		lives := askAll(c.Context, newAsker(), o.cfg.Cluster, cluster)
		_, err = io.WriteString(o.out, explainNow(buildReport(o.cfg.Cluster, cluster, lives), cluster, time.Now()))
		return err
	case 1:
		term, err := strconv.ParseUint(c.Args().First(), 10, 64)
		if err != nil {
			return fail(exitUsage, fmt.Errorf("%q is no term: give a number", c.Args().First()))
		}
		events, err := o.events(c.Context, allEvents)
		if err != nil {
			return err
		}
		return explainTerm(o.out, watchdog.Term(term), events)
	default:
		return fail(exitUsage, errors.New("give one term to read back, or none to ask what would come now"))
	}
}

// explainTerm tells one term's events, with what was weighed.
func explainTerm(w io.Writer, term watchdog.Term, events []watchdog.Event) error {
	of := slices.DeleteFunc(slices.Clone(events), func(e watchdog.Event) bool { return e.Term != term })
	if len(of) == 0 {
		return fail(exitNotFound, fmt.Errorf("nothing is known of term %d: pgvigil history lists what is", term))
	}
	_, err := io.WriteString(w, renderHistory(of, time.Local))
	return err
}

// explainNow says what is waited for, or what would come if the primary died now.
func explainNow(r report, c watchdog.Cluster, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "term %d, %s: %s\n", r.Term, r.Phase, r.Summary)
	if o := c.Record.Operation; o != nil {
		fmt.Fprintf(&b, "under way: a %s, asked for by %s\n", o.Kind, o.By)
	}
	switch r.Phase {
	case watchdog.PhaseElecting:
		choice := countNow(c, now)
		if choice.Winner != "" {
			fmt.Fprintf(&b, "%s wins as soon as the leader has read the ballots\n", choice.Winner)
		} else {
			fmt.Fprintf(&b, "the election waits: %s\n", strings.TrimSuffix(string(choice.Why)+": "+choice.Lacks, ": "))
		}
		for _, candidate := range choice.Ranked {
			fmt.Fprintf(&b, "  %s\n", candidateText(candidate))
		}
	case watchdog.PhaseNormal:
		explainNext(&b, r, c)
	}
	return b.String()
}

// explainNext says who would take over, and what it would cost and take.
func explainNext(b *strings.Builder, r report, c watchdog.Cluster) {
	policy := watchdog.DefaultPolicy()
	if c.Policy != nil {
		policy = *c.Policy
	}
	var end watchdog.LSN
	var standbys []memberRow
	for _, row := range r.Members {
		if row.Name == r.Primary {
			end = row.Received
		} else if row.State != "witness" {
			standbys = append(standbys, row)
		}
	}
	slices.SortStableFunc(standbys, func(x, y memberRow) int {
		if barred := len(whyNot(x)) - len(whyNot(y)); barred != 0 {
			return barred
		}
		return int(int64(y.Received) - int64(x.Received))
	})
	if len(standbys) == 0 || len(whyNot(standbys[0])) > 0 {
		fmt.Fprintf(b, "if %s died now, nobody could take over\n", r.Primary)
	} else {
		best := standbys[0]
		fmt.Fprintf(b, "if the server of %s died now, %s would take over, in about 0.3 s, with nothing lost: it fetches what it lacks\n", r.Primary, best.Name)
		if quorum := c.Record.Durability; quorum.Mode == watchdog.ModeQuorum {
			fmt.Fprintf(b, "if its host were lost, %s would, in about %.1f s, with nothing lost, once %d of %s have hung up\n",
				best.Name, policy.Detection.D().Seconds()+0.5, quorum.Quorum(), strings.Join(quorum.Voters, ", "))
		} else {
			fmt.Fprintf(b, "if its host were lost, %s would, in about %.1f s, and %s of WAL would be lost\n",
				best.Name, policy.TTL.D().Seconds()+1.5, size(max(best.Received, best.Replayed).Behind(end)))
		}
	}
	for i, row := range standbys {
		switch why := whyNot(row); {
		case len(why) > 0:
			fmt.Fprintf(b, "  %s could not: %s\n", row.Name, strings.Join(why, ", "))
		case i > 0:
			fmt.Fprintf(b, "  %s would not: %s has as much WAL or more, or comes first by priority or name\n", row.Name, standbys[0].Name)
		}
	}
}

// whyNot is what bars a member from taking over just now.
func whyNot(row memberRow) (why []string) {
	for _, veto := range row.Vetoes {
		why = append(why, string(veto))
	}
	switch {
	case !row.Live:
		why = append(why, string(watchdog.VetoAPIUnreachable))
	case row.Role != watchdog.RoleStandby:
		why = append(why, string(watchdog.VetoNotRunning))
	}
	if !row.Confirmed {
		why = append(why, string(watchdog.VetoNotConfirmed))
	}
	return why
}
