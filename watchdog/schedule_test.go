package watchdog

import (
	"strings"
	"testing"
	"time"
)

func TestScheduling(t *testing.T) {
	at := time.Date(2026, 5, 1, 3, 0, 0, 0, time.UTC)
	rest := Record{SystemID: "7", Term: 3, Seq: 7, Phase: PhaseNormal, Primary: "node1", Taken: true, Members: []string{"node1", "node2"}}
	c := Cluster{Record: &rest, RecordRev: 5, Members: map[string]Registered{"node1": {}}}
	later := Operation{ID: "later", Kind: OperationSwitchover, To: "node2", At: at}
	change, err := Request{By: "alice", Operation: &later}.Change(c)
	if err != nil {
		t.Fatal(err)
	}
	r := change.Record
	if r.Operation != nil || r.Scheduled == nil || r.Scheduled.Term != 3 || *change.If.RecordRev != 5 || change.Event.Reason != ReasonAsked || rest.Scheduled != nil {
		t.Errorf("%+v", change)
	}
	waiting := Cluster{Record: r, RecordRev: 6, Members: c.Members}
	ask := func(o Operation) error { _, err := Request{By: "bob", Operation: &o}.Change(waiting); return err }
	if err := ask(Operation{ID: "now", Kind: OperationSwitchover}); err == nil || !strings.Contains(err.Error(), "switchover later to node2, asked for by alice, is scheduled for 2026-05-01 03:00:00 +0000") || !strings.Contains(err.Error(), "--cancel") {
		t.Errorf("another switchover: %v", err)
	}
	if err := ask(Operation{ID: "dry", Kind: OperationSwitchover, DryRun: true}); err != nil {
		t.Errorf("a dry run: %v", err)
	}
	if err := ask(Operation{ID: "fail", Kind: OperationFailover, At: at}); err == nil || !strings.Contains(err.Error(), "only a switchover") {
		t.Errorf("a failover in advance: %v", err)
	}
	if _, err := (Request{By: "bob", Withdraw: "other"}).Change(waiting); err == nil || !strings.Contains(err.Error(), "not scheduled any more") {
		t.Errorf("withdrawn, another: %v", err)
	}
	gone, err := Request{By: "bob", Withdraw: "later"}.Change(waiting)
	if err != nil || gone.Record.Scheduled != nil || gone.Event.Reason != ReasonWithdrawn || gone.Event.Facts["operation"] != "later" || r.Scheduled == nil {
		t.Errorf("withdrawn: %+v %v", gone, err)
	}
	if next := r.electing(ReasonSilence, ""); next.Scheduled == nil {
		t.Error("a change of terms swallowed it: the new primary is to say that it is dropped")
	}
}
