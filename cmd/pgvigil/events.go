package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

var severities = []string{string(alert.Info), string(alert.Warning), string(alert.Critical)}

func eventsCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:        "events",
		Usage:       "list what happened, one line each; history says more of each",
		Description: "The severity of an event is that of the alert that is sent for it.",
		Flags: []cli.Flag{
			numberFlag(0, "all that are kept"), followFlag(),
			&cli.StringFlag{Name: "since", Usage: "only those since `WHEN`: a time such as \"2026-05-01 10:00\" or 10:00, or a duration such as 90m"},
			&cli.StringFlag{Name: "severity", Value: severities[0], Usage: "only those of this `SEVERITY` and above: " + strings.Join(severities, ", ")},
		},
	}, func(c *cli.Context, o *operator) error {
		least := alert.Severity(c.String("severity"))
		if !least.Known() {
			return fail(exitUsage, fmt.Errorf("--severity %q is none%s: give %s", least, config.DidYouMean(string(least), severities), strings.Join(severities, ", ")))
		}
		since, err := parseSince(c.String("since"), time.Now())
		if err != nil {
			return fail(exitUsage, err)
		}
		feed := &feed{
			source: o.store, out: o.out, form: o.form,
			wanted: func(e watchdog.Event) bool {
				return !e.Time.Before(since) && alert.SeverityOf(e).Reaches(least)
			},
			value: func(e watchdog.Event) any { return severeEvent{e, alert.SeverityOf(e)} },
			text:  func(e watchdog.Event) string { return eventLine(e, time.Local, o.paint) },
		}
		return feed.run(c, o)
	})
}

// severeEvent is an event with its severity.
type severeEvent struct {
	watchdog.Event
	Severity alert.Severity `json:"severity"`
}

func eventLine(e watchdog.Event, zone *time.Location, paint palette) string {
	severity := alert.SeverityOf(e)
	return fmt.Sprintf("%s  %s  term %-3d  %-10s  %s\n", e.Time.In(zone).Format("2006-01-02 15:04:05.000"),
		paint.severe(severity, fmt.Sprintf("%-8s", severity)), e.Term, e.Kind, sentence(e))
}

// parseSince reads a time, in the local zone unless it says another, or how long ago.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), at.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, fmt.Errorf("--since %q is no time: give one such as \"2026-05-01 10:00\" or 10:00, or a duration such as 90m", text)
}

func numberFlag(value int, shown string) cli.Flag {
	return &cli.IntFlag{Name: "number", Aliases: []string{"n"}, Value: value, DefaultText: shown, Usage: "show the newest `N` events"}
}

func followFlag() cli.Flag {
	return &cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what happens, until interrupted"}
}

// eventSource is where events are read.
type eventSource interface {
	Events(ctx context.Context, newest int) ([]watchdog.Event, error)
}

// feed prints events, those that are there and those that come.
type feed struct {
	source eventSource
	out    io.Writer
	form   form
	wanted func(watchdog.Event) bool // nil: all
	value  func(watchdog.Event) any
	text   func(watchdog.Event) string
}

// followEvery is how often it is looked for new events; the others bound how many are read.
const (
	followEvery  = time.Second
	followNewest = 100
	allEvents    = 1000 // as many as are kept
)

// run is the work of a command that prints events: the newest of those wanted, as many as --number says, 0 being all.
func (f *feed) run(c *cli.Context, o *operator) error {
	number := c.Int("number")
	if c.IsSet("number") && number < 1 {
		return fail(exitUsage, fmt.Errorf("-n is %d: give 1 or more", number))
	}
	read := number
	if f.wanted != nil || number == 0 {
		read = allEvents
	}
	events, err := o.events(c.Context, read)
	if err != nil {
		return err
	}
	events = f.filter(events)
	if number > 0 {
		events = events[max(0, len(events)-number):]
	}
	if c.Bool("follow") {
		return f.follow(c.Context, events)
	}
	return f.print(events)
}

func (f *feed) filter(events []watchdog.Event) []watchdog.Event {
	kept := []watchdog.Event{}
	for _, e := range events {
		if f.wanted == nil || f.wanted(e) {
			kept = append(kept, e)
		}
	}
	return kept
}

func (f *feed) print(events []watchdog.Event) error {
	values := []any{}
	for _, e := range events {
		values = append(values, f.value(e))
	}
	return f.form.show(f.out, values, func() string {
		if len(events) == 0 {
			return "nothing of the kind has happened\n"
		}
		var b strings.Builder
		for _, e := range events {
			b.WriteString(f.text(e))
		}
		return b.String()
	})
}

// follow writes the events and those that come, each once: in JSON as one object a line. While the cluster is out of reach it
// says so once and goes on.
func (f *feed) follow(ctx context.Context, events []watchdog.Event) error {
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
			if err := f.form.stream(f.out, f.value(e), func() string { return f.text(e) }); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		bounded, cancel := context.WithTimeout(ctx, readBound)
		fresh, err := f.source.Events(bounded, followNewest)
		cancel()
		if err != nil && !lost && ctx.Err() == nil && f.form == asTable {
			fmt.Fprintf(f.out, "(no answer: %v)\n", err)
		}
		lost = err != nil
		events = f.filter(fresh)
	}
}

// after says whether an event comes after another: by the record's sequence, which only grows, then by time.
func after(e, last watchdog.Event) bool {
	return cmp.Or(cmp.Compare(e.Term, last.Term), cmp.Compare(e.Seq, last.Seq), e.Time.Compare(last.Time)) > 0
}
