package main

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgvigil/pgvigil/watchdog"
)

func TestADrillIsRefusedUnlessTheClusterIsWholeAndAtRest(t *testing.T) {
	for words, change := range map[string]func(r *watchdog.Record, seen *report){
		"":                       func(*watchdog.Record, *report) {},
		"and not settled":        func(r *watchdog.Record, _ *report) { r.Next = &watchdog.Durability{} },
		"resume it first":        func(r *watchdog.Record, _ *report) { r.Paused = &watchdog.Pause{By: "ann"} },
		"is under way":           func(r *watchdog.Record, _ *report) { r.Operation = &watchdog.Operation{ID: "x", Kind: "switchover"} },
		"withdraw it first":      func(r *watchdog.Record, _ *report) { r.Scheduled = &watchdog.Operation{ID: "x", At: time.Unix(1, 0)} },
		"is not whole: one dies": func(_ *watchdog.Record, seen *report) { seen.Health, seen.Summary = degraded, "one dies" },
		"how far behind":         func(_ *watchdog.Record, seen *report) { seen.Members[1].LagBytes, seen.Members[2].LagBytes = nil, nil },
		"2.0 MB behind": func(_ *watchdog.Record, seen *report) {
			seen.Members[1].LagBytes, seen.Members[2].LagBytes = new(uint64), nil
			*seen.Members[1].LagBytes = 2 << 20
		},
	} {
		s := well()
		seen := buildReport("orders", s.cluster, s.lives)
		if seen.Health != healthy {
			t.Fatalf("%+v", seen.Problems)
		}
		record := *s.cluster.Record
		change(&record, &seen)
		err := mayDrill(record, seen)
		if (err == nil) != (words == "") || err != nil && !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v", words, err)
		}
	}
}

func TestADrillIsConfirmedByTheClustersName(t *testing.T) {
	for typed, done := range map[string]bool{"orders\n": true, "orders": true, "y\n": false, "": false, "bills\n": false} {
		var out strings.Builder
		o := &operator{in: strings.NewReader(typed), out: &out, person: true}
		o.cfg.Cluster = "orders"
		if err := o.confirmByName("It will be killed."); (err == nil) != done || !strings.Contains(out.String(), "It will be killed.") {
			t.Errorf("%q: %v, %q", typed, err, out.String())
		}
	}
	o := &operator{in: strings.NewReader("orders\n")}
	o.cfg.Cluster = "orders"
	if err := o.confirmByName(""); codeOf(err) != exitUsage || !strings.Contains(err.Error(), "--yes --cluster") {
		t.Errorf("no terminal: %v", err)
	}
}

func TestHowADrillReachesAMember(t *testing.T) {
	d := &drill{user: `o'neil\`, database: "the orders"}
	c, err := pgx.ParseConfig(d.conninfo("[fd00::1]:6000"))
	if err != nil || c.Host != "fd00::1" || c.Port != 6000 || c.User != `o'neil\` || c.Database != "the orders" {
		t.Errorf("%+v %v", c, err)
	}
}

func TestWhatADrillCameTo(t *testing.T) {
	r := drillResult{Cluster: "orders", Acked: 900, Legs: []drillLeg{
		{What: "switchover", From: "node1", To: "node2", Term: 4, OK: true, GapMS: 251.4, WholeMS: 1900, TimingsMS: map[string]float64{"stop": 80}},
		{What: "switchover", From: "node2", To: "node1", Term: 5, OK: true, GapMS: 300, WholeMS: 2000, TimingsMS: map[string]float64{"stop": 90}},
	}}
	r.judge()
	want := "drill, switchover and back: node1 → node2 in term 4, 251 ms without writes; node2 → node1 in term 5, 300 ms without writes; 0 of 900 acknowledged writes lost"
	if filed := r.filed(); !r.OK || filed.Message != want || filed.TimingsMS["back_stop"] != 90 || filed.TimingsMS["gap"] != 251.4 || filed.Facts["winner"] != "node2" {
		t.Errorf("%+v", r.filed())
	}
	if text := r.text(); !strings.Contains(text, "switchover: node1 → node2, term 4") || !strings.Contains(text, "0 of 900") {
		t.Error(text)
	}
	r.Lost = 1
	if r.judge(); r.OK {
		t.Error("a write is lost, and all is well")
	}
	failed := drillResult{Kill: true, Legs: []drillLeg{{What: "kill", From: "node1", Message: "no standby could take over: nothing was killed"}}}
	if failed.judge(); failed.OK || !strings.Contains(failed.Message, "nothing was killed") || !strings.Contains(failed.text(), "kill of node1: no standby") {
		t.Errorf("%+v", failed)
	}
}
