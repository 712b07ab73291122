package watchdog

import (
	"strings"
	"testing"
	"time"
)

func TestAskingForAPause(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	rest := Record{SystemID: "7", Term: 3, Seq: 7, Phase: PhaseNormal, Primary: "node1", Taken: true}
	c := Cluster{Record: &rest, RecordRev: 5}
	ask := Pause{By: "alice", Reason: "new kernel", Since: at, For: Duration(time.Hour)}
	change, err := AskPause(c, ask, false)
	if err != nil {
		t.Fatal(err)
	}
	p := change.Record.Paused
	if *change.If.RecordRev != 5 || change.Record.Seq != 8 || p.Seq != 8 || p.Term != 3 || !p.Until.Equal(at.Add(time.Hour)) || change.Event.Kind != EventPaused {
		t.Errorf("%+v %+v", change, p)
	}
	if got := p.String(at.Add(48 * time.Minute)); got != "paused for another 12m0s by alice: new kernel" {
		t.Error(got)
	}
	paused := Cluster{Record: change.Record, RecordRev: 6}
	if _, err := AskPause(paused, ask, false); err == nil || !strings.Contains(err.Error(), "already") || !strings.Contains(err.Error(), "alice") {
		t.Errorf("twice: %v", err)
	}
	if again, err := AskPause(paused, Pause{By: "bob", Since: at}, true); err != nil || again.Record.Paused.By != "bob" || again.Record.Paused.Seq != 9 {
		t.Errorf("replaced: %+v %v", again.Record, err)
	}
	if back, was := AskResume(paused, "bob"); !was || back.Record.Paused != nil || back.Event.Kind != EventResumed || *back.If.RecordRev != 6 {
		t.Errorf("resumed: %+v", back)
	}
	if _, was := AskResume(c, "bob"); was {
		t.Error("resumed what was not paused")
	}
	rest.Phase = PhaseElecting
	if change, err := AskPause(c, ask, false); err != nil || change.Record.Paused.Term != 2 {
		t.Errorf("in an election, whose term is followed first: %+v %v", change.Record, err)
	}
	if _, err := AskPause(Cluster{}, ask, false); err == nil {
		t.Error("paused without a record")
	}
}

// A pause survives in the record what an older or newer version writes, and an encoding.
func TestAPauseIsKeptInTheRecord(t *testing.T) {
	for _, p := range []Pause{{By: "alice", Since: time.Unix(1e9, 0).UTC()}, {By: "alice", Since: time.Unix(1e9, 0).UTC(), For: Duration(time.Minute), Until: time.Unix(1e9+60, 0).UTC(), Seq: 4, Term: 2}} {
		r := Record{SystemID: "7", Term: 3, Phase: PhaseNormal, Primary: "node1", Durability: Durability{Mode: ModeAsync}, Paused: &p}
		data, err := EncodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeRecord(data)
		if err != nil || *back.Paused != p || back.Extra != nil {
			t.Errorf("%s: %+v %v", data, back.Paused, err)
		}
	}
}
