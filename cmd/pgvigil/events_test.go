package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

func TestEventsInLines(t *testing.T) {
	events := []watchdog.Event{
		{Term: 1, Seq: 1, Time: began, Kind: watchdog.EventAdopted, Reason: watchdog.ReasonAdopt, Message: "adopted node1"},
		{Term: 2, Seq: 4, Time: began.Add(time.Hour), Kind: watchdog.EventElection, Reason: watchdog.ReasonSilence, Message: "node1 is silent"},
		{Term: 112, Seq: 5, Time: began.Add(time.Hour), Kind: watchdog.EventPromoted, Reason: watchdog.ReasonSettled},
	}
	var b strings.Builder
	for _, e := range events {
		b.WriteString(eventLine(e, time.UTC, false))
	}
	golden(t, "events.txt", b.String())
	if line := eventLine(events[1], time.UTC, true); !strings.Contains(line, "\x1b[1;31mcritical\x1b[0m") {
		t.Errorf("%q", line)
	}
}

func TestSince(t *testing.T) {
	zone := time.FixedZone("CEST", 2*3600)
	now := time.Date(2026, 5, 3, 12, 0, 0, 0, zone)
	for text, want := range map[string]time.Time{
		"":                     {},
		"90m":                  time.Date(2026, 5, 3, 10, 30, 0, 0, zone),
		"10:15":                time.Date(2026, 5, 3, 10, 15, 0, 0, zone),
		"10:15:30":             time.Date(2026, 5, 3, 10, 15, 30, 0, zone),
		"2026-05-01":           time.Date(2026, 5, 1, 0, 0, 0, 0, zone),
		"2026-05-01 10:00":     time.Date(2026, 5, 1, 10, 0, 0, 0, zone),
		"2026-05-01T10:00:00Z": time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC),
	} {
		if got, err := parseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-5m", "25:00"} {
		if got, err := parseSince(text, now); err == nil || !strings.Contains(err.Error(), "90m") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestMembersInLines(t *testing.T) {
	s := well()
	scenes["new-member"](s)
	s.unanswering("node2")
	m := s.cluster.Members["node2"]
	m.Priority, m.Site, m.Vetoes = 10, "east", []watchdog.Veto{watchdog.VetoNoFailover}
	s.cluster.Members["node2"] = m
	s.cluster.Members["arbiter"] = watchdog.Registered{Member: watchdog.Member{Name: "arbiter", API: "http://10.0.0.9:8008", Witness: true, Version: "1.0"}}
	s.cluster.Record.Members = append(s.cluster.Record.Members, "node9")
	golden(t, "members.txt", memberList(listMembers(buildReport("orders", s.cluster, s.lives), s.cluster)))
}
