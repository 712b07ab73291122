package watchdog

import (
	"testing"
	"time"
)

func TestPoolsAreResumedByWhoEndsTheOperation(t *testing.T) {
	o := &Operation{ID: "x1", Kind: OperationSwitchover, Term: 3}
	r := Record{SystemID: "7", Term: 3, Seq: 7, Phase: PhaseNormal, Primary: "node1", Taken: true, Operation: o}
	c := Cluster{Record: &r, RecordRev: 5}
	paused := PausePoolsChange(View{Me: Identity{Name: "node1"}, Cluster: &c})
	if p := paused.Record.Pools; p == nil || p.Operation != "x1" || p.By != "node1" || *paused.If.RecordRev != 5 || paused.Record.Operation == nil {
		t.Fatalf("%+v", paused)
	}
	under := *paused.Record
	handed := under.handedOver(ReasonSwitchover, "node2", Tail{})
	failed := under
	failed.Operation = nil
	settled := handed.settled(2, 0x5000)
	for _, test := range []struct {
		name     string
		record   Record
		writable bool
		since    time.Duration
		due      bool
	}{
		{"it is under way", under, true, time.Hour, false},
		{"the heir is not there yet", handed, false, time.Second, false},
		{"the heir writes and is not settled", handed, true, time.Second, false},
		{"the heir is settled", settled, true, 0, true},
		{"another member leaves that to it", settled, false, time.Second, false},
		{"but not for ever", settled, false, PoolsPatience, true},
		{"nobody becomes primary", handed.electing(ReasonNoProgress, "node2"), false, PoolsPatience, true},
		{"it failed, and the old primary goes on", failed, true, 0, true},
		{"nothing is paused", r, true, time.Hour, false},
	} {
		if due := test.record.PoolsToResume(test.writable, test.since); due != test.due {
			t.Errorf("%s: %v", test.name, due)
		}
	}
	if resumed := PoolsResumedChange(Cluster{Record: &settled, RecordRev: 9}, "node2"); resumed.Record.Pools != nil || *resumed.If.RecordRev != 9 || resumed.Event.Facts["operation"] != "x1" {
		t.Errorf("%+v", resumed)
	}
}
