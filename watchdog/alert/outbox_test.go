package alert_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// An event without a change of the record may have been on its way for long: its key sorts before what was told meanwhile.
func TestAnEventThatComesLateIsToldAllTheSame(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		r := &receiver{}
		n := w.start("a", r)
		defer n.stop()
		w.pass(soon)
		w.happen(1, watchdog.EventAdopted, watchdog.EventMembers)
		w.happen(2, watchdog.EventHandOver)
		w.pass(soon)
		late := watchdog.Event{Term: 1, Seq: 2, Time: time.Now(), Kind: watchdog.EventPossible}
		if _, err := w.writer.Apply(t.Context(), watchdog.Change{Event: &late}); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * time.Minute)
		r.wants(t, "main/1/adopted", "main/1/members", "main/2/hand-over", "main/1/lost-range")
		got, _ := r.tries()
		if want := fmt.Sprintf("main/1-2-%d", late.Time.UnixNano()); got[3].ID != want || got[1].ID != "main/1-2" {
			t.Errorf("its id is %s, want %s, beside %s", got[3].ID, want, got[1].ID)
		}
	})
}

func TestAnIncidentIsResolvedHoweverLongAgoItBegan(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		r := &receiver{least: alert.Warning}
		n := w.start("a", r)
		w.pass(soon)
		w.because(watchdog.ReasonDegrade, 1, watchdog.EventDurability)
		w.pass(soon)
		for range 300 {
			w.happen(1, watchdog.EventMembers)
		}
		n.stop()
		n = w.start("a", r) // what is told is not remembered by the process
		defer n.stop()
		w.pass(soon)
		w.because(watchdog.ReasonVoters, 1, watchdog.EventDurability, watchdog.EventDurability)
		w.pass(soon)
		r.wants(t, "main/1/durability", "main/1/durability")
		if got, _ := r.tries(); got[1].Status != alert.Resolved || len(got[1].Resolves) != 1 || got[1].Severity != alert.Warning {
			t.Errorf("%+v", got[1])
		}
	})
}

// What is removed from etcd before a sink had it is said in alerts: at once to the others, and to itself when it is back.
func TestEventsRemovedBeforeTheyWereToldAreAlertedOf(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		away := false
		sick := &receiver{answer: func(context.Context, int, alert.Alert) error {
			if away {
				return errors.New("503")
			}
			return nil
		}}
		well := &receiver{least: alert.Critical}
		n := w.start("a", sick, well)
		defer n.stop()
		w.pass(soon)
		w.happen(1, watchdog.EventAdopted)
		w.happen(2, watchdog.EventHandOver) // 2
		w.pass(soon)
		sick.wants(t, "main/1/adopted", "main/2/hand-over")
		away = true
		w.happen(2, watchdog.EventPromoted) // 3
		for range 20 {                      // 4 to 23
			w.happen(2, watchdog.EventMembers)
		}
		w.pass(soon)
		if err := w.write(watchdog.Event{Term: 2, Kind: watchdog.EventMembers}, 5); err != nil { // 24; 20 to 24 are left
			t.Fatal(err)
		}
		w.pass(3 * time.Minute)
		// The hand-over and its end went to the other sink, and then that alerts are lost, once, however long it lasts.
		w.pass(time.Hour)
		well.wants(t, "main/2/hand-over", "main/2/promoted", "main/2/undelivered")
		got, _ := well.tries()
		if a := got[2]; a.Severity != alert.Critical || !strings.Contains(a.Title, "alerts are lost to sink sink0: 17 events were removed") {
			t.Errorf("%+v", a)
		}
		if s := n.Status()[0]; s.Lost != 17 || s.Waiting != 6 || s.Delivered != 2 || s.Failed < 20 || s.Error != "503" || s.FailingSince.IsZero() || s.OldestAt.IsZero() {
			t.Errorf("status %+v", s)
		}
		away = false
		w.pass(5 * time.Minute)
		five := strings.Repeat("main/2/members ", 5)
		sick.wants(t, strings.Fields("main/1/adopted main/2/hand-over "+five+"main/2/undelivered main/2/undelivered")...)
		got, _ = sick.tries()
		first := got[len(got)-2]
		if len(first.Resolves) != 1 || first.Resolves[0].Key != "main/2/hand-over" || first.Status != alert.Notice {
			t.Errorf("what was open when events were lost is not over: %+v", first)
		}
		if last := got[len(got)-1]; len(last.Resolves) != 0 || !strings.Contains(last.Title, "17 events in all were removed") {
			t.Errorf("%+v", last)
		}
		if s := n.Status()[0]; s.Waiting != 0 || s.Error != "" || !s.FailingSince.IsZero() || !s.OldestAt.IsZero() || s.Delivered != 9 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestARefusedAlertIsAlertedOf(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		picky := &receiver{answer: func(_ context.Context, _ int, a alert.Alert) error {
			if a.Kind == watchdog.EventHandOver || a.Kind == watchdog.EventUndelivered {
				return fmt.Errorf("%w: 400", alert.ErrRefused)
			}
			return nil
		}}
		other := &receiver{least: alert.Warning}
		n := w.start("a", picky, other)
		defer n.stop()
		w.pass(soon)
		w.happen(2, watchdog.EventHandOver, watchdog.EventPromoted)
		w.pass(3 * time.Hour)
		picky.wants(t, "main/2/promoted")
		other.wants(t, "main/2/hand-over", "main/2/promoted", "main/2/undelivered")
		if got, _ := picky.tries(); len(got[10].Resolves) != 0 {
			t.Errorf("it is told the end of what it never was told: %+v", got[10])
		}
		got, _ := other.tries()
		if a := got[2]; a.Facts["alert"] != "main/2-1" || a.Facts["sink"] != "sink0" || !strings.Contains(a.Title, "sink0 refused the alert of event main/2-1 10 times") {
			t.Errorf("%+v", a)
		}
		if s := n.Status()[0]; s.Skipped != 2 || s.Failed != 20 || s.Delivered != 1 || s.Waiting != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// etcd was emptied, cursors and all, and the primary wrote the record again: that is told.
func TestARecordThatWasLostIsTold(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		w.happen(7, watchdog.EventRestored, watchdog.EventMembers)
		r := &receiver{}
		n := w.start("a", r)
		defer n.stop()
		w.pass(soon)
		r.wants(t, "main/7/restored", "main/7/members")
	})
	told(t, func(t *testing.T, w *world) {
		w.happen(7, watchdog.EventRestored, watchdog.EventMembers)
		w.pass(time.Hour)
		r := &receiver{}
		n := w.start("a", r) // a sink that is new
		defer n.stop()
		w.pass(soon)
		r.wants(t)
	})
}

func TestAnEventThatCannotBeReadHidesNoOther(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		r := &receiver{}
		n := w.start("a", r)
		defer n.stop()
		w.pass(soon)
		w.lead("nobody")
		w.pass(soon)
		for range 150 {
			w.happen(1, watchdog.EventMembers)
		}
		w.cluster.Put(w.cluster.Prefix()+"events/00000000000000000001-00000000000000000151", `{"term":`)
		w.cluster.Put(w.cluster.Prefix()+"events/what", `{}`)
		w.happen(2, watchdog.EventHandOver)
		w.lead("a")
		w.pass(soon)
		if got, _ := r.tries(); len(got) != 151 || got[0].Seq != 1 || got[150].Kind != watchdog.EventHandOver {
			t.Errorf("told %d events", len(got))
		}
		if s := n.Status()[0]; s.Skipped != 2 || s.Lost != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestASinkIsToldOfItsKinds(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		only := &receiver{only: []watchdog.EventKind{watchdog.EventHandOver, watchdog.EventElection}}
		except := &receiver{except: []watchdog.EventKind{watchdog.EventHandOver, watchdog.EventMembers}}
		n := w.start("a", only, except)
		defer n.stop()
		w.pass(soon)
		w.happen(2, watchdog.EventHandOver, watchdog.EventTaken, watchdog.EventPromoted, watchdog.EventMembers)
		w.pass(soon)
		only.wants(t, "main/2/hand-over", "main/2/promoted") // the end of what it was told
		except.wants(t, "main/2/taken", "main/2/promoted")
	})
}

func TestAMemberThatNoLongerLeadsKnowsNothingOfTheQueue(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		r := &receiver{answer: func(context.Context, int, alert.Alert) error { return errors.New("503") }}
		n := w.start("a", r)
		defer n.stop()
		w.pass(soon)
		w.happen(2, watchdog.EventHandOver, watchdog.EventTaken)
		w.pass(soon)
		if s := n.Status()[0]; s.Waiting != 2 || s.Error == "" {
			t.Errorf("while it leads: %+v", s)
		}
		w.lead("b")
		w.pass(soon)
		if s := n.Status()[0]; s.Waiting != 0 || s.Error != "" || !s.FailingSince.IsZero() || !s.OldestAt.IsZero() || s.Failed == 0 || s.Name != "sink0" {
			t.Errorf("afterwards: %+v", s)
		}
	})
}
