package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// previewBound is how long the primary's sidecar may take to look what speaks against a switchover.
const previewBound = 15 * time.Second

// preview has the primary's sidecar look and do nothing, and says what the switchover would come to. possible: nothing speaks
// against it as of now.
func (o *operator) preview(ctx context.Context, op watchdog.Operation) (text string, possible bool, err error) {
	dry := newOperation(watchdog.OperationSwitchover)
	dry.From, dry.To, dry.Bound, dry.Ignore, dry.DryRun = op.From, op.To, op.Bound, op.Ignore, true
	if _, err := o.request(ctx, watchdog.Request{Operation: &dry}); err != nil {
		return "", false, err
	}
	seen, err := o.await(ctx, dry.ID, previewBound, func(events []watchdog.Event) (outcome, bool) {
		return judgeHandOver(dry.ID, dry.From, events)
	})
	if err != nil {
		return "", false, err
	}
	events, err := o.events(ctx, allEvents)
	if err != nil {
		return "", false, err
	}
	return foretell(seen.Message, seen.OK, pastSwitchovers(events)), seen.OK, nil
}

// foretell is the preview in words.
func foretell(message string, possible bool, gaps []float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "as of now: %s\n", message)
	if !possible {
		return b.String()
	}
	switch seconds := median(gaps, usualSwitchover); len(gaps) {
	case 0:
		fmt.Fprintf(&b, "without writes for about %.1f s, as usual; none has been seen here yet\n", seconds)
	case 1:
		fmt.Fprintf(&b, "without writes for about %.1f s, as the last one was\n", seconds)
	default:
		fmt.Fprintf(&b, "without writes for about %.1f s, as the last %d were\n", seconds, len(gaps))
	}
	b.WriteString("sessions are ended, and open transactions lost\n")
	return b.String()
}

// usualSwitchover is DESIGN.md's time without writes, in seconds.
const usualSwitchover = 0.4

// pastSwitchovers are for how long the last switchovers kept writes waiting, in seconds, by the clocks of those who carried
// them out.
func pastSwitchovers(events []watchdog.Event) (gaps []float64) {
	begun := map[watchdog.Term]float64{}
	for _, e := range events {
		before, handed := begun[e.Term]
		switch {
		case e.Kind == watchdog.EventHandOver && e.Reason == watchdog.ReasonSwitchover:
			begun[e.Term] = downMS(e)
		case e.Kind == watchdog.EventPromoted && handed:
			gaps = append(gaps, (before+e.TimingsMS["named_to_writable"])/1000)
		}
	}
	return gaps[max(0, len(gaps)-countedPromotions):]
}

// downMS is for how long the server was down when its term was handed over, in milliseconds.
func downMS(e watchdog.Event) float64 {
	return e.TimingsMS["stop"] + e.TimingsMS["fence"] + e.TimingsMS["find_end"]
}

// ask shows what would happen and asks. A switchover against which something speaks is not asked for, unless it is for later.
func (o *operator) ask(ctx context.Context, op watchdog.Operation) error {
	if !o.person {
		return o.confirm("", false)
	}
	text, possible, err := o.preview(ctx, op)
	if err != nil {
		return err
	}
	if !possible && op.At.IsZero() {
		return fail(exitFailure, errors.New(strings.TrimSpace(text)))
	}
	fmt.Fprint(o.out, text)
	to := op.To
	if to == "" {
		to = "the best standby"
	}
	question := fmt.Sprintf("Hand %s over from %s to %s?", o.cfg.Cluster, orNobody(op.From), to)
	if !op.At.IsZero() {
		question = fmt.Sprintf("Hand %s over from %s to %s at %s?", o.cfg.Cluster, orNobody(op.From), to, op.At.Format(time.RFC3339))
	}
	return o.confirm(question, false)
}
