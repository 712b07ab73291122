package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

func TestWhenASwitchoverIsToBegin(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	now := time.Date(2026, 5, 1, 22, 30, 15, 0, zone)
	for text, want := range map[string]string{
		"23:00":                     "2026-05-01T23:00:00+02:00",
		"22:30":                     "2026-05-02T22:30:00+02:00",
		"03:00":                     "2026-05-02T03:00:00+02:00",
		"+90m":                      "2026-05-02T00:00:15+02:00",
		"2026-05-03T01:00:00Z":      "2026-05-03T01:00:00Z",
		"2026-05-01T22:30:00+02:00": "is over",
		"2027-05-03T01:00:00Z":      "more than a year",
		"+soon":                     "with a unit",
		"+-3m":                      "with a unit",
		"25:00":                     "give 2026-05-01T03:00:00+02:00",
		"tomorrow":                  "give 2026-05-01T03:00:00+02:00",
	} {
		at, err := parseAt(text, now)
		said := at.Format(time.RFC3339)
		if err != nil {
			said = err.Error()
		}
		if !strings.Contains(said, want) {
			t.Errorf("%s: %s, want %s", text, said, want)
		}
	}
}

func TestASwitchoverIsScheduledShownAndWithdrawn(t *testing.T) {
	etcd := etcdOf(t, well())
	primary := etcd.Client()
	if _, err := primary.Grant(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := primary.Apply(t.Context(), watchdog.Change{Member: &watchdog.Member{Name: "node1", Incarnation: "node1-disk"}}); err != nil {
		t.Fatal(err)
	}
	command := switchoverCommand()
	switchover := func(args ...string) (string, error) {
		return run(t, etcd, asTable, command.Flags, switchOver, args...)
	}
	if said, err := switchover("--cancel"); err == nil || !strings.Contains(err.Error(), "no switchover is scheduled") {
		t.Errorf("%q %v", said, err)
	}
	said, err := switchover("--yes", "--at", "+2h", "--to", "node2")
	if err != nil || !strings.HasPrefix(said, "scheduled for ") || !strings.Contains(said, "in 2 h 0 min") && !strings.Contains(said, "in 1 h 59 min") {
		t.Fatalf("%q %v", said, err)
	}
	cluster, err := etcd.Client().Read(t.Context())
	if err != nil || cluster.Record.Scheduled == nil || cluster.Record.Scheduled.From != cluster.Record.Primary || cluster.Record.Operation != nil {
		t.Fatalf("%+v %v", cluster.Record, err)
	}
	r := buildReport("orders", cluster, nil)
	if shown := renderStatus(r, time.Now(), false); !strings.Contains(shown, "switchover "+cluster.Record.Scheduled.ID+" to node2, asked for by") {
		t.Errorf("status: %s", shown)
	}
	if _, err := switchover("--yes", "--to", "node3"); codeOf(err) != exitRefused || !strings.Contains(err.Error(), "--cancel") {
		t.Errorf("another: %v", err)
	}
	if _, err := switchover("--cancel", "--to", "node3"); codeOf(err) != exitUsage {
		t.Errorf("cancel and more: %v", err)
	}
	if said, err := switchover("--cancel"); err != nil || !strings.HasPrefix(said, "withdrawn: switchover ") {
		t.Errorf("%q %v", said, err)
	}
	if cluster, err := etcd.Client().Read(t.Context()); err != nil || cluster.Record.Scheduled != nil {
		t.Errorf("%+v %v", cluster.Record, err)
	}
}

func TestWhatASwitchoverIsToldToCost(t *testing.T) {
	handed := func(term watchdog.Term, stop, promote float64) []watchdog.Event {
		return []watchdog.Event{
			{Term: term, Kind: watchdog.EventHandOver, Reason: watchdog.ReasonSwitchover, TimingsMS: map[string]float64{"checkpoint": 900, "stop": stop, "find_end": 5}},
			{Term: term, Kind: watchdog.EventPromoted, TimingsMS: map[string]float64{"named_to_writable": promote}},
		}
	}
	events := append(handed(2, 95, 100), watchdog.Event{Term: 3, Kind: watchdog.EventHandOver, Reason: watchdog.ReasonServerExited, TimingsMS: map[string]float64{"fence": 9000}})
	events = append(events, watchdog.Event{Term: 3, Kind: watchdog.EventPromoted, TimingsMS: map[string]float64{"named_to_writable": 80}})
	if gaps := pastSwitchovers(events); len(gaps) != 1 || gaps[0] != 0.2 {
		t.Errorf("%v", gaps)
	}
	events = append(events, append(handed(4, 295, 200), handed(5, 395, 200)...)...)
	if said := foretell("node1 would hand over to node2", true, pastSwitchovers(events)); !strings.Contains(said, "about 0.5 s, as the last 3 were") {
		t.Error(said)
	}
	if said := foretell("node1 stays the primary: no", false, nil); strings.Contains(said, "without writes") {
		t.Error(said)
	}
}
