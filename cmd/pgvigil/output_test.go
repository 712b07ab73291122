package main

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

func TestYAMLSaysWhatJSONSays(t *testing.T) {
	event := watchdog.Event{
		Term: 2, Seq: 5, Time: began, Member: "node1", Kind: watchdog.EventTaken, Reason: watchdog.ReasonNamed, Message: "a: b",
		Facts: map[string]string{"end": "0/5000140", "number": "7", "yes": "no"}, TimingsMS: map[string]float64{"fence": 12.5},
	}
	var b strings.Builder
	if err := asYAML.show(&b, []watchdog.Event{event}, nil); err != nil {
		t.Fatal(err)
	}
	golden(t, "event.yaml", b.String())
}

func TestManyValues(t *testing.T) {
	for form, want := range map[form]string{asJSON: "1\n2\n", asYAML: "---\n1\n---\n2\n", asTable: "one\none\n"} {
		var b strings.Builder
		for i := range 2 {
			if err := form.stream(&b, i+1, func() string { return "one\n" }); err != nil {
				t.Fatal(err)
			}
		}
		if b.String() != want {
			t.Errorf("%s: %q, want %q", form, b.String(), want)
		}
	}
}

func TestNothingIsDoneWithoutAYes(t *testing.T) {
	for answer, done := range map[string]bool{"y\n": true, "Yes\n": true, "n\n": false, "": false, "yellow\n": false} {
		var out strings.Builder
		o := &operator{in: strings.NewReader(answer), out: &out, person: true}
		if err := o.confirm("Do it?", false); (err == nil) != done || !strings.Contains(out.String(), "Do it? [y/N]") {
			t.Errorf("%q: %v, asked %q", answer, err, out.String())
		}
	}
	if err := (&operator{in: strings.NewReader("y\n"), out: io.Discard}).confirm("Do it?", false); codeOf(err) != exitUsage || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("no terminal: %v", err)
	}
	if err := (&operator{}).confirm("", true); err != nil {
		t.Errorf("sure: %v", err)
	}
}

// still is a store in which the operation that was asked for stands and does not end.
type still struct{ store }

func (still) Read(context.Context) (watchdog.Cluster, error) {
	return watchdog.Cluster{Record: &watchdog.Record{Operation: &watchdog.Operation{ID: "abc"}}}, nil
}

func TestAnOperationThatDoesNotEnd(t *testing.T) {
	_, err := (&operator{store: still{}}).await(t.Context(), "abc", time.Millisecond, nil)
	if codeOf(err) != exitFailure || !strings.Contains(err.Error(), "it may still end either way") {
		t.Errorf("%v", err)
	}
}
