package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

func TestHistoryInText(t *testing.T) {
	events := []watchdog.Event{
		{
			Term: 1, Seq: 1, Time: began, Member: "node1", Kind: watchdog.EventAdopted, Reason: watchdog.ReasonAdopt,
			Message: "the cluster begins with node1 as its primary",
		},
		{
			Term: 2, Seq: 5, Time: began.Add(90 * time.Minute), Member: "node1", Kind: watchdog.EventHandOver, Reason: watchdog.ReasonServerExited,
			Message: "the postmaster of node1 exited; node2 is to take over",
			Facts:   map[string]string{"end_of_wal": "0/5000140", "exact": "true"},
			Candidates: []watchdog.Candidate{
				{Name: "node2", Owner: 1, Timeline: 1, End: 0x5000140},
				{Name: "node3", Owner: 1, Timeline: 1, End: 0x4FFFF00, Vetoes: []watchdog.Veto{watchdog.VetoNoFailover, watchdog.VetoStorageSick}},
			},
			TimingsMS: map[string]float64{"fence": 12.345, "find_end": 3.4, "noticed_to_hand_over": 21},
		},
		{Term: 2, Seq: 6, Time: began.Add(91 * time.Minute), Kind: watchdog.EventTaken, Reason: watchdog.ReasonNamed},
	}
	golden(t, "history/hand-over.txt", renderHistory(events, time.UTC))
}

func TestHistoryInJSON(t *testing.T) {
	var b strings.Builder
	history := historyFeed(&operator{out: &b, form: asJSON})
	if err := history.print(nil); err != nil || b.String() != "[]\n" {
		t.Errorf("no events: %q, %v", b.String(), err)
	}
	b.Reset()
	event := watchdog.Event{Term: 2, Seq: 5, Time: began, Member: "node1", Kind: watchdog.EventTaken, Reason: watchdog.ReasonNamed, Message: "x"}
	if err := history.print([]watchdog.Event{event}); err != nil {
		t.Fatal(err)
	}
	var back []watchdog.Event
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil || len(back) != 1 || back[0].Seq != 5 {
		t.Errorf("%v %v", back, err)
	}
	b.Reset()
	history.form = asTable
	if err := history.print(nil); err != nil || !strings.Contains(b.String(), "nothing") {
		t.Errorf("nothing happened: %q, %v", b.String(), err)
	}
}
