package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/watchdog"
)

func historyCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:  "history",
		Usage: "tell what happened: terms, elections, promotions, rejoins, and why",
		Flags: []cli.Flag{numberFlag(20, "20"), followFlag()},
	}, func(c *cli.Context, o *operator) error {
		return historyFeed(o).run(c, o)
	})
}

// historyFeed prints all that is known of each event.
func historyFeed(o *operator) *feed {
	return &feed{
		source: o.store, out: o.out, form: o.form,
		value: func(e watchdog.Event) any { return e },
		text:  func(e watchdog.Event) string { return renderHistory([]watchdog.Event{e}, time.Local) },
	}
}

// renderHistory writes the events for people, oldest first, the times in the zone given.
func renderHistory(events []watchdog.Event, zone *time.Location) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%s  term %d  %-9s  %s\n", e.Time.In(zone).Format("2006-01-02 15:04:05.000"), e.Term, e.Kind, sentence(e))
		detail(&b, "why", string(e.Reason))
		detail(&b, "by", e.Member)
		for i, candidate := range e.Candidates {
			label := ""
			if i == 0 {
				label = "candidates"
			}
			detail(&b, label, candidateText(candidate))
		}
		var facts []string
		for _, name := range slices.Sorted(maps.Keys(e.Facts)) {
			facts = append(facts, words(name)+" "+e.Facts[name])
		}
		detail(&b, "facts", strings.Join(facts, ", "))
		detail(&b, "took", timings(e.TimingsMS))
	}
	return b.String()
}

func sentence(e watchdog.Event) string {
	if e.Message != "" {
		return e.Message
	}
	return words(string(e.Reason))
}

func detail(b *strings.Builder, label, text string) {
	if text != "" {
		fmt.Fprintf(b, "    %-10s  %s\n", label, text)
	}
}

func candidateText(c watchdog.Candidate) string {
	text := fmt.Sprintf("%s at %s, timeline %d of term %d", c.Name, c.End, c.Timeline, c.Owner)
	if len(c.Vetoes) == 0 {
		return text
	}
	return text + ", barred: " + strings.Join(vetoWords(c.Vetoes), ", ")
}

func vetoWords(vetoes []watchdog.Veto) (words []string) {
	for _, v := range vetoes {
		words = append(words, string(v))
	}
	return words
}

// timings lists how long each step took, the longest first.
func timings(ms map[string]float64) string {
	names := slices.SortedFunc(maps.Keys(ms), func(a, b string) int {
		return cmp.Or(cmp.Compare(ms[b], ms[a]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %.1f ms", words(name), ms[name])
	}
	return strings.Join(names, ", ")
}

func words(name string) string { return strings.NewReplacer("_", " ").Replace(name) }
