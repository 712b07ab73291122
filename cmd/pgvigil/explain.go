package main

import (
	"errors"
	"fmt"
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
	if c.NArg() > 1 {
		return fail(exitUsage, errors.New("give one term to read back, or none to ask what would come now"))
	}
	if c.NArg() == 1 {
		return explainTerm(c, o)
	}
	cluster, err := o.readRecord(c.Context)
	if err != nil {
		return err
	}
	events, err := o.events(c.Context, allEvents)
	if err != nil {
		return err
	}
	e := explainNow(cluster, o.lives(c.Context, cluster), events, time.Now())
	return o.form.show(o.out, e, e.text)
}

// explainTerm tells one term's events, with what was weighed.
func explainTerm(c *cli.Context, o *operator) error {
	term, err := strconv.ParseUint(c.Args().First(), 10, 64)
	if err != nil {
		return fail(exitUsage, fmt.Errorf("%q is no term: give a number", c.Args().First()))
	}
	events, err := o.events(c.Context, allEvents)
	if err != nil {
		return err
	}
	events = slices.DeleteFunc(events, func(e watchdog.Event) bool { return e.Term != watchdog.Term(term) })
	if len(events) == 0 {
		return fail(exitNotFound, fmt.Errorf("nothing is known of term %d: pgvigil history lists what is", term))
	}
	return historyFeed(o).print(events)
}

// explanation is what explain says of now. Its JSON is stable.
type explanation struct {
	Cluster   string              `json:"cluster"`
	Term      watchdog.Term       `json:"term"`
	Phase     watchdog.Phase      `json:"phase"`
	Primary   string              `json:"primary,omitempty"`
	Summary   string              `json:"summary"`   // as status has it
	WaitsFor  string              `json:"waits_for"` // empty: for nothing
	Operation *watchdog.Operation `json:"operation,omitempty"`
	Paused    *watchdog.Pause     `json:"paused"` // not null: the prospects come true once it is resumed
	Prospects []prospect          `json:"prospects"`
}

// explainNow says what is waited for, and what comes next: of the open election, or if the primary were lost.
func explainNow(c watchdog.Cluster, lives map[string]live, events []watchdog.Event, now time.Time) explanation {
	record := *c.Record
	r := buildReport(record.Cluster, c, lives)
	e := explanation{
		Cluster: r.Cluster, Term: r.Term, Phase: r.Phase, Primary: r.Primary, Summary: r.Summary, Operation: record.Operation,
		Paused: record.Paused, Prospects: []prospect{},
	}
	switch primary, _ := rowOf(r, r.Primary); {
	case r.Phase == watchdog.PhaseElecting:
		p := openProspect(r, c, now)
		e.Prospects, e.WaitsFor = []prospect{p}, p.Waits
	case r.Phase == watchdog.PhasePromoting:
		e.WaitsFor = fmt.Sprintf("%s, which was named for term %d, to accept writes", r.Primary, r.Term)
	default:
		if primary.decision.Reason == watchdog.ReasonBlocked || primary.decision.Reason == watchdog.ReasonSettling {
			e.WaitsFor = primary.decision.Detail
		}
		e.Prospects = foresee(r, viewOf(c, lives), events)
	}
	if p := record.Paused; p != nil {
		e.WaitsFor = strings.TrimSuffix("the pause to end, "+p.String(now)+"; "+e.WaitsFor, "; ")
	}
	if op := record.Operation; op != nil {
		asked := fmt.Sprintf("a %s to end, asked for by %s at %s", op.Kind, op.By, op.Since.Format(time.TimeOnly))
		e.WaitsFor = strings.TrimSuffix(asked+"; "+e.WaitsFor, "; ")
	}
	return e
}

// openProspect judges the election that is open, as the leader does.
func openProspect(r report, c watchdog.Cluster, now time.Time) prospect {
	choice := countNow(c, now)
	p := newProspect(r, choice, fmt.Sprintf("the election of term %d goes on", r.Term))
	if p.Winner != "" {
		p.Waits = "the leader to name " + p.Winner
	} else if p.Waits == "" {
		p.Waits = reasonText(choice.Why)
	}
	switch t := c.PrimaryTerm; {
	case len(choice.Ranked) == 0:
		p.Loss = "not known: there is no ballot"
	case r.Durability.Mode == watchdog.ModeQuorum && p.Winner != "":
		p.Loss = "nothing that was acknowledged"
	case t == nil:
		p.Loss = "not known: the last primary has said nothing"
	default:
		best := choice.Ranked[0]
		p.LostBytes = best.End.Behind(t.Flushed)
		p.Loss = fmt.Sprintf("%s of WAL that %s had last said it has, if %s won", lacks(c.Ballots[best.Name].Ballot, t.Flushed, t.NextXID), t.Holder, best.Name)
		if p.Winner == "" {
			p.Loss += fmt.Sprintf("; pgvigil failover --to %s would accept that", best.Name)
		}
	}
	return p
}

// reasonText says in words why an election has no winner.
func reasonText(why watchdog.Reason) string {
	switch why {
	case watchdog.ReasonWaitingBallots:
		return "ballots of members that could still give one"
	case watchdog.ReasonWouldLose:
		return "the old primary, or a person: more would be lost than the policy's lag_limit allows"
	case watchdog.ReasonNoCandidate:
		return "a member that may win: every ballot is vetoed"
	default:
		return string(why)
	}
}

func (e explanation) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster %s   term %d, %s   primary %s\n", e.Cluster, e.Term, e.Phase, orNobody(e.Primary))
	fmt.Fprintf(&b, "%s\n\n", e.Summary)
	waits := e.WaitsFor
	if waits == "" {
		waits = "nothing"
	}
	fmt.Fprintf(&b, "it waits for: %s\n", waits)
	if e.Paused != nil && len(e.Prospects) > 0 {
		b.WriteString("while it is paused nobody takes over by itself; what follows is said of when it is resumed\n")
	}
	for _, p := range e.Prospects {
		fmt.Fprintf(&b, "\nif %s:\n", p.When)
		switch {
		case p.Winner == "":
			line(&b, "who wins", e.nobody(p))
		case p.Seconds > 0:
			line(&b, "who wins", fmt.Sprintf("%s, in about %.1f s", p.Winner, p.Seconds))
			line(&b, "because", p.Basis)
		default:
			line(&b, "who wins", p.Winner)
		}
		line(&b, "lost", p.Loss)
		for i, o := range p.Others {
			label := ""
			if i == 0 {
				label = "why not"
			}
			line(&b, label, o.Member+": "+o.Why)
		}
	}
	return b.String()
}

// nobody says why a prospect has no winner, unless it stands above already.
func (e explanation) nobody(p prospect) string {
	switch p.Waits {
	case "":
		return "nobody: it would wait for " + reasonText(p.Why)
	case e.WaitsFor:
		return "nobody yet"
	default:
		return "nobody: it would wait for " + p.Waits
	}
}

func line(b *strings.Builder, label, text string) { fmt.Fprintf(b, "  %-9s %s\n", label, text) }
