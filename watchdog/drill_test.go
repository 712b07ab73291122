package watchdog

import (
	"strings"
	"testing"
	"time"
)

func TestADrillIsRefusedWhereItWouldBeADisaster(t *testing.T) {
	cluster := func(change func(*Cluster)) Cluster {
		c := Cluster{
			Record:    &Record{SystemID: "7", Term: 3, Seq: 7, Phase: PhaseNormal, Primary: "node1", Taken: true, Members: []string{"node1", "node2"}},
			RecordRev: 5, Members: map[string]Registered{"node1": {}, "node2": {}},
		}
		change(&c)
		return c
	}
	for _, test := range []struct {
		words  string // of the refusal; none: it is accepted
		change func(*Cluster)
		ask    func(*Operation)
	}{
		{"", func(*Cluster) {}, func(*Operation) {}},
		{"no standby whose sidecar", func(c *Cluster) { delete(c.Members, "node2") }, func(*Operation) {}},
		{"no standby whose sidecar", func(c *Cluster) { c.Record.Members = []string{"node1"} }, func(*Operation) {}},
		{"the sidecar of the primary", func(c *Cluster) { delete(c.Members, "node1") }, func(*Operation) {}},
		{"paused", func(c *Cluster) { c.Record.Paused = &Pause{} }, func(*Operation) {}},
		{"not settled", func(c *Cluster) { c.Record.Next = &Durability{} }, func(*Operation) {}},
		{"nobody is primary", func(c *Cluster) { c.Record.Phase, c.Record.Primary = PhaseElecting, "" }, func(*Operation) {}},
		{"is under way", func(c *Cluster) { c.Record.Operation = &Operation{ID: "y"} }, func(*Operation) {}},
		{"is not the primary", func(*Cluster) {}, func(o *Operation) { o.From = "node2" }},
		{"names the primary", func(*Cluster) {}, func(o *Operation) { o.From = "" }},
		{"means it", func(*Cluster) {}, func(o *Operation) { o.DryRun = true }},
		{"only a switchover", func(*Cluster) {}, func(o *Operation) { o.At = time.Unix(1, 0) }},
	} {
		o := Operation{ID: "x", Kind: OperationKill, From: "node1"}
		test.ask(&o)
		change, err := Request{By: "alice", Operation: &o}.Change(cluster(test.change))
		if err == nil && !strings.Contains(change.Event.Message, "kills the postmaster of node1") {
			t.Errorf("told as: %s", change.Event.Message)
		}
		if (err == nil) != (test.words == "") || err != nil && !strings.Contains(err.Error(), test.words) {
			t.Errorf("%q: %v", test.words, err)
		}
	}
}

func TestADrillIsFiled(t *testing.T) {
	c := Cluster{Record: &Record{SystemID: "7", Term: 3, Seq: 7, Phase: PhaseNormal, Primary: "node1"}, RecordRev: 5}
	report := DrillReport{Message: "all well", Lost: 0, Facts: map[string]string{"winner": "node2"}, TimingsMS: map[string]float64{"gap": 210}}
	change, err := Request{By: "alice", Drill: &report}.Change(c)
	if e := change.Event; err != nil || e.Kind != EventDrill || e.Facts["winner"] != "node2" || e.Facts["lost"] != "0" || e.TimingsMS["gap"] != 210 || change.Record.Seq != 8 {
		t.Errorf("%+v %v", change.Event, err)
	}
	if report.Facts["lost"] != "" {
		t.Error("the report itself was written to")
	}
	for _, bad := range []DrillReport{{}, {Message: "two\nlines"}, {Message: strings.Repeat("x", 501)}} {
		if _, err := (Request{By: "alice", Drill: &bad}).Change(c); err == nil {
			t.Errorf("%+v is filed", bad)
		}
	}
}
