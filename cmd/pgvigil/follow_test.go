package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// reads answers each read of the events with the next of its answers, the last one for good.
type reads struct{ answers [][]watchdog.Event }

func (r *reads) Events(context.Context, int) ([]watchdog.Event, error) {
	answer := r.answers[0]
	if len(r.answers) > 1 {
		r.answers = r.answers[1:]
	}
	if answer == nil {
		return nil, errors.New("no route")
	}
	return answer, nil
}

// onlyEvents is a store of which nothing else is asked.
type onlyEvents struct {
	store
	eventSource
}

func (o onlyEvents) Events(ctx context.Context, newest int) ([]watchdog.Event, error) {
	return o.eventSource.Events(ctx, newest)
}

func TestFollowingTellsEachEventOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := watchdog.Event{Term: 1, Seq: 1, Kind: watchdog.EventAdopted, Message: "the first", Time: began}
		two := watchdog.Event{Term: 2, Seq: 2, Kind: watchdog.EventHandOver, Message: "the second", Time: began}
		source := &reads{answers: [][]watchdog.Event{{one}, nil, nil, {one, two}}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var out bytes.Buffer
		if err := historyFeed(&operator{store: onlyEvents{eventSource: source}, out: &out, form: asTable}).follow(ctx, []watchdog.Event{one}); err != nil {
			t.Fatal(err)
		}
		for _, words := range []string{"the first", "the second", "no answer: no route"} {
			if n := strings.Count(out.String(), words); n != 1 {
				t.Errorf("%q stands there %d times:\n%s", words, n, out.String())
			}
		}
	})
}
