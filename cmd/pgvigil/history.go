package main

import (
	"cmp"
	"context"
	"encoding/json"
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
	return &cli.Command{
		Name:  "history",
		Usage: "tell what happened: terms, elections, promotions, rejoins, and why",
		Flags: append(configFlags(storeFlags),
			&cli.IntFlag{Name: "number", Aliases: []string{"n"}, Value: 20, Usage: "show the newest `N` events"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what happens, until interrupted"}, outputFlag()),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			asJSON, err := wantsJSON(c)
			if err != nil {
				return err
			}
			if c.Int("number") < 1 {
				return fail(exitUsage, fmt.Errorf("-n is %d: give 1 or more", c.Int("number")))
			}
			cfg, store, err := clientOf(c)
			if err != nil {
				return err
			}
			defer store.Close()
			ctx, cancel := context.WithTimeout(c.Context, readBound)
			defer cancel()
			events, err := store.Events(ctx, c.Int("number"))
			if err != nil {
				return unreachable(cfg, err)
			}
			if len(events) == 0 {
				cluster, err := store.Read(ctx)
				if err != nil {
					return unreachable(cfg, err)
				}
				if err := exists(cfg, cluster); err != nil {
					return err
				}
			}
			if !c.Bool("follow") {
				return writeHistory(c.App.Writer, events, asJSON)
			}
			return follow(c.Context, c.App.Writer, store, events, asJSON)
		},
	}
}

// eventSource is where events are read.
type eventSource interface {
	Events(ctx context.Context, newest int) ([]watchdog.Event, error)
}

// followEvery is how often it is looked for new events; followNewest bounds how many are read each time.
const (
	followEvery  = time.Second
	followNewest = 100
)

// follow writes the events and those that come, each once: in JSON as one object a line. While etcd is out of reach it says so
// once and goes on.
func follow(ctx context.Context, w io.Writer, source eventSource, events []watchdog.Event, asJSON bool) error {
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
			if err := writeEvent(w, e, asJSON); err != nil {
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
		if err != nil && !lost && ctx.Err() == nil && !asJSON {
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

func writeEvent(w io.Writer, e watchdog.Event, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(e)
	}
	_, err := io.WriteString(w, renderHistory([]watchdog.Event{e}, time.Local))
	return err
}

func writeHistory(w io.Writer, events []watchdog.Event, asJSON bool) error {
	if !asJSON {
		_, err := io.WriteString(w, renderHistory(events, time.Local))
		return err
	}
	if events == nil {
		events = []watchdog.Event{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(events)
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
	barred := make([]string, len(c.Vetoes))
	for i, v := range c.Vetoes {
		barred[i] = string(v)
	}
	return text + ", barred: " + strings.Join(barred, ", ")
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
