package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
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
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "number", Aliases: []string{"n"}, Value: 20, Usage: "show the newest `N` events"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what happens, until interrupted"},
		},
	}, func(c *cli.Context, o *operator) error {
		if c.Int("number") < 1 {
			return fail(exitUsage, fmt.Errorf("-n is %d: give 1 or more", c.Int("number")))
		}
		events, err := o.events(c.Context, c.Int("number"))
		if err != nil {
			return err
		}
		if c.Bool("follow") {
			return follow(c.Context, c.App.Writer, o.store, events, o.form)
		}
		return writeHistory(c.App.Writer, events, o.form)
	})
}

// eventSource is where events are read.
type eventSource interface {
	Events(ctx context.Context, newest int) ([]watchdog.Event, error)
}

// followEvery is how often it is looked for new events; the others bound how many are read.
const (
	followEvery  = time.Second
	followNewest = 100
	allEvents    = 1000 // as many as are kept
)

// follow writes the events and those that come, each once: in JSON as one object a line. While etcd is out of reach it says so
// once and goes on.
func follow(ctx context.Context, w io.Writer, source eventSource, events []watchdog.Event, form form) error {
	var last watchdog.Event
	lost := false
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		for _, e := range events {
			if !after(e, last) {
				continue
			}
			last = e
			if err := writeEvent(w, e, form); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		bounded, cancel := context.WithTimeout(ctx, readBound)
		fresh, err := source.Events(bounded, followNewest)
		cancel()
		if err != nil && !lost && ctx.Err() == nil && form == asTable {
			fmt.Fprintf(w, "(etcd does not answer: %v)\n", err)
		}
		lost = err != nil
		events = fresh
	}
}

// after says whether an event comes after another: by the record's sequence, which only grows, then by time.
func after(e, last watchdog.Event) bool {
	return cmp.Or(cmp.Compare(e.Term, last.Term), cmp.Compare(e.Seq, last.Seq), e.Time.Compare(last.Time)) > 0
}

func writeEvent(w io.Writer, e watchdog.Event, form form) error {
	return form.stream(w, e, func() string { return renderHistory([]watchdog.Event{e}, time.Local) })
}

func writeHistory(w io.Writer, events []watchdog.Event, form form) error {
	if events == nil {
		events = []watchdog.Event{}
	}
	return form.show(w, events, func() string { return renderHistory(events, time.Local) })
}

// renderHistory writes the events for people, oldest first, the times in the zone given.
func renderHistory(events []watchdog.Event, zone *time.Location) string {
	if len(events) == 0 {
		return "nothing has happened yet\n"
	}
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
