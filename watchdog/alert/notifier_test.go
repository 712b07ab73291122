package alert_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/election/electiontest"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

func TestANewSinkBeginsAtThePresentAndGoesOnInOrder(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		w.happen(1, watchdog.EventAdopted, watchdog.EventMembers)
		r := &receiver{}
		n := w.start("a", r)
		w.pass(soon)
		r.wants(t)
		w.happen(2, watchdog.EventHandOver, watchdog.EventTaken, watchdog.EventPromoted)
		w.pass(soon)
		r.wants(t, "main/2/hand-over", "main/2/taken", "main/2/promoted")
		if got, _ := r.tries(); got[2].Status != alert.Resolved || got[2].Resolves[0].Key != "main/2/hand-over" {
			t.Errorf("%+v", got[2])
		}
		n.stop()
		if at, _, err := n.client.AlertCursor(t.Context(), "sink0"); err != nil || at.Term != 2 || at.Seq != 5 || len(at.Open) != 0 {
			t.Errorf("cursor %+v, %v", at, err)
		}
	})
}

func TestASinkOfAClusterWithoutHistoryIsToldOfItsFirstEvent(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		r := &receiver{}
		n := w.start("a", r)
		defer n.stop()
		w.pass(soon)
		w.happen(1, watchdog.EventAdopted)
		w.pass(soon)
		r.wants(t, "main/1/adopted")
	})
}

func TestEachSinkGetsItsSeverities(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		all, worst := &receiver{}, &receiver{least: alert.Critical}
		n := w.start("a", all, worst)
		w.pass(soon)
		w.happen(2, watchdog.EventHandOver, watchdog.EventTaken, watchdog.EventPromoted, watchdog.EventRestored, watchdog.EventMembers)
		w.pass(soon)
		n.stop()
		all.wants(t, "main/2/hand-over", "main/2/taken", "main/2/promoted", "main/2/restored", "main/2/members")
		worst.wants(t, "main/2/hand-over", "main/2/promoted")
		if at, _, err := n.client.AlertCursor(t.Context(), "sink1"); err != nil || at.Seq != 5 {
			t.Errorf("what was not to be sent is not passed by: %+v, %v", at, err)
		}
	})
}

func TestASinkIsToldOfTheEndOfWhatItWasTold(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		all, worst := &receiver{}, &receiver{least: alert.Critical}
		n := w.start("a", all, worst)
		defer n.stop()
		w.pass(soon)
		w.because(watchdog.ReasonSwitchover, 2, watchdog.EventHandOver)
		w.happen(3, watchdog.EventSurrender, watchdog.EventPromoted)
		w.pass(soon)
		for r, want := range map[*receiver]string{all: "main/2/hand-over main/3/surrender ", worst: "main/3/surrender "} {
			got, _ := r.tries()
			over := ""
			for _, i := range got[len(got)-1].Resolves {
				over += i.Key + " "
			}
			if over != want {
				t.Errorf("resolves %s, want %s", over, want)
			}
		}
	})
}

func TestAFailingSinkIsTriedAgainEverLaterAndHoldsBackNobody(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		sick := &receiver{answer: func(_ context.Context, nth int, _ alert.Alert) error {
			if nth <= 9 {
				return errors.New("503")
			}
			return nil
		}}
		well := &receiver{}
		n := w.start("a", sick, well)
		defer n.stop()
		w.pass(soon)
		w.happen(2, watchdog.EventHandOver)
		w.pass(soon)
		w.happen(2, watchdog.EventTaken)
		w.pass(soon)
		well.wants(t, "main/2/hand-over", "main/2/taken")
		sick.wants(t)
		w.pass(10 * time.Minute)
		sick.wants(t, "main/2/hand-over", "main/2/taken")
		_, at := sick.tries()
		for i, want := range []int{1, 2, 4, 8, 16, 32, 64, 120, 120} {
			if got := at[i+1].Sub(at[i]); got != time.Duration(want)*time.Second {
				t.Errorf("pause %d is %s, want %d s", i+1, got, want)
			}
		}
		w.happen(2, watchdog.EventPromoted)
		w.pass(soon)
		sick.wants(t, "main/2/hand-over", "main/2/taken", "main/2/promoted")
	})
}

func TestASinkThatHangsIsCutOffAndTheEndIsNotHeldUp(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		stuck := &receiver{answer: func(ctx context.Context, _ int, _ alert.Alert) error { <-ctx.Done(); return ctx.Err() }}
		well := &receiver{}
		n := w.start("a", stuck, well)
		w.pass(soon)
		w.happen(2, watchdog.EventHandOver)
		w.pass(soon)
		well.wants(t, "main/2/hand-over")
		w.pass(time.Minute)
		tried, _ := stuck.tries()
		if len(tried) < 3 || len(tried) > 6 {
			t.Errorf("tried %d times in a minute", len(tried))
		}
		for again := tried; len(again) == len(tried); again, _ = stuck.tries() {
			w.pass(time.Second)
		}
		before := time.Now()
		n.stop()
		if took := time.Since(before); took > time.Second {
			t.Errorf("the end took %s", took)
		}
	})
}

func TestANewLeaderGoesOnWhereTheOldOneDied(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		var a *node
		r := &receiver{answer: func(_ context.Context, nth int, _ alert.Alert) error {
			if nth == 2 { // it is taken, and the leader dies before that is noted
				a.client.SetUnreachable(true)
			}
			return nil
		}}
		a = w.start("a", r)
		b := w.start("b", r)
		defer b.stop()
		w.pass(soon)
		w.happen(2, watchdog.EventHandOver, watchdog.EventTaken, watchdog.EventPromoted)
		w.pass(soon)
		r.wants(t, "main/2/hand-over", "main/2/taken")
		a.stop()
		w.lead("b")
		w.pass(soon)
		r.wants(t, "main/2/hand-over", "main/2/taken", "main/2/taken", "main/2/promoted")
		if got, _ := r.tries(); got[1].ID != got[2].ID {
			t.Errorf("the one repeated is %q and then %q", got[1].ID, got[2].ID)
		}
	})
}

func TestTwoThatThinkTheyLeadDoNotGoBack(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		r := &receiver{}
		a, b := w.start("a", r), w.start("a", r)
		w.pass(soon)
		for range 5 {
			w.happen(2, watchdog.EventProblem)
			w.pass(soon)
		}
		a.stop()
		b.stop()
		if n := len(r.taken); n < 5 || n > 10 {
			t.Errorf("5 events were told %d times", n)
		}
		if at, _, err := a.client.AlertCursor(t.Context(), "sink0"); err != nil || at.Seq != 5 {
			t.Errorf("cursor %+v, %v", at, err)
		}
	})
}

// Another that led a moment ago notes a delivery while ours is under way: we go on behind it, and at once.
func TestACursorMovedByAnotherIsReadAnew(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		r := &receiver{answer: func(ctx context.Context, nth int, a alert.Alert) error {
			if nth != 1 {
				return nil
			}
			at, revision, err := w.writer.AlertCursor(ctx, "sink0")
			if err == nil {
				page, failed := w.writer.Outbox(ctx, at.Revision, 1)
				if failed != nil || page.Entries[0].Seq != a.Seq {
					t.Errorf("%+v, %v", page, failed)
				}
				at.Position = alert.Position{Revision: page.Entries[0].Revision, Term: a.Term, Seq: a.Seq}
				_, err = w.writer.MoveAlertCursor(ctx, "sink0", at, revision)
			}
			if err != nil {
				t.Error(err)
			}
			return nil
		}}
		n := w.start("a", r)
		defer n.stop()
		w.pass(soon)
		w.happen(2, watchdog.EventHandOver, watchdog.EventTaken, watchdog.EventPromoted)
		w.pass(soon)
		r.wants(t, "main/2/hand-over", "main/2/taken", "main/2/promoted")
	})
}

func TestWhoLeadsNoLongerDeliversNoMore(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		r := &receiver{answer: func(context.Context, int, alert.Alert) error { w.lead("b"); return nil }}
		n := w.start("a", r)
		defer n.stop()
		w.pass(soon)
		w.happen(2, watchdog.EventHandOver, watchdog.EventTaken)
		w.pass(time.Hour)
		r.wants(t, "main/2/hand-over")
		w.lead("a")
		w.pass(soon)
		r.wants(t, "main/2/hand-over", "main/2/taken")
	})
}

func TestWhatIsDeliveredAndNotNotedIsNotRepeatedByTheSame(t *testing.T) {
	for name, fault := range map[string]func(*electiontest.FakeClient){
		"etcd is out of reach":           func(c *electiontest.FakeClient) { c.SetUnreachable(true) },
		"the answer to the note is lost": func(c *electiontest.FakeClient) { c.LoseAnswers(1) },
	} {
		t.Run(name, func(t *testing.T) {
			told(t, func(t *testing.T, w *world) {
				var a *node
				r := &receiver{answer: func(_ context.Context, nth int, _ alert.Alert) error {
					if nth == 1 {
						fault(a.client)
					}
					return nil
				}}
				a = w.start("a", r)
				defer a.stop()
				w.pass(soon)
				w.happen(2, watchdog.EventHandOver, watchdog.EventTaken)
				w.pass(soon)
				a.client.SetUnreachable(false)
				w.pass(time.Minute)
				r.wants(t, "main/2/hand-over", "main/2/taken")
			})
		})
	}
}

func TestWhatTheReceiverGoesOnRefusingIsPassedOver(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		r := &receiver{answer: func(_ context.Context, _ int, a alert.Alert) error {
			if a.Kind == watchdog.EventTaken {
				return fmt.Errorf("400: %w", alert.ErrRefused)
			}
			return nil
		}}
		n := w.start("a", r)
		defer n.stop()
		w.pass(soon)
		w.happen(2, watchdog.EventHandOver, watchdog.EventTaken, watchdog.EventPromoted)
		w.pass(time.Hour)
		r.wants(t, "main/2/hand-over", "main/2/promoted", "main/2/undelivered")
		if got, _ := r.tries(); len(got) != 13 {
			t.Errorf("%d attempts", len(got))
		}
	})
}

// counting counts what is asked of etcd.
type counting struct {
	alert.Store
	mu    sync.Mutex
	calls int
}

func (c *counting) Outbox(ctx context.Context, after int64, limit int) (alert.Page, error) {
	c.mu.Lock()
	c.calls++
	c.mu.Unlock()
	return c.Store.Outbox(ctx, after, limit)
}

func TestAtRestEtcdIsHardlyAsked(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		for _, leads := range []bool{false, true} {
			store := &counting{Store: w.cluster.Client()}
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			routes := []alert.Route{{Name: "sink", Sink: &receiver{}, Least: alert.Info, Timeout: time.Second}}
			n := alert.New(alert.Options{
				Cluster: "main", Routes: routes, Store: store, Log: slog.New(slog.DiscardHandler),
				Standing: func() alert.Standing { return alert.Standing{Leads: leads} },
			})
			if err := n.Run(ctx); err != nil {
				t.Error(err)
			}
			cancel()
			if most := map[bool]int{false: 0, true: 62}[leads]; store.calls > most {
				t.Errorf("leading %v: asked %d times in an hour, %d at most", leads, store.calls, most)
			}
		}
	})
}

func TestAMemberThatDoesNotLeadStaysStill(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		r := &receiver{}
		b := w.start("b", r)
		defer b.stop()
		w.happen(1, watchdog.EventAdopted)
		w.pass(time.Minute)
		if _, rev, err := b.client.AlertCursor(t.Context(), "sink0"); err != nil || rev != 0 {
			t.Errorf("it has begun: revision %d, %v", rev, err)
		}
	})
}

func TestACursorAheadOfTheHistoryBeginsAnew(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		if _, err := w.writer.MoveAlertCursor(t.Context(), "sink0", alert.Cursor{Position: alert.Position{Revision: 5700, Term: 57, Seq: 900}}, 0); err != nil {
			t.Fatal(err)
		}
		w.happen(1, watchdog.EventAdopted)
		r := &receiver{}
		n := w.start("a", r)
		defer n.stop()
		w.pass(soon)
		w.happen(2, watchdog.EventHandOver)
		w.pass(soon)
		r.wants(t, "main/1/undelivered", "main/2/hand-over")
	})
}

func TestASinkThatIsFarBehindIsToldAllThatIsLeft(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		w.happen(1, watchdog.EventAdopted)
		r := &receiver{}
		a := w.start("a", r)
		w.pass(soon)
		a.stop()
		for range 300 {
			w.happen(1, watchdog.EventProblem)
		}
		b := w.start("a", r)
		defer b.stop()
		w.pass(soon)
		if got, _ := r.tries(); len(got) != 300 || got[0].Seq != 2 || got[299].Seq != 301 {
			t.Errorf("told %d events", len(got))
		}
	})
}

func TestStanding(t *testing.T) {
	view := func(key string) (s sidecar.Snapshot) {
		s.View.Me.CampaignKey = "leader/1"
		s.View.Cluster = &watchdog.Cluster{LeaderKey: key, Record: &watchdog.Record{Term: 3, Seq: 9}}
		return s
	}
	for name, test := range map[string]struct {
		snapshot sidecar.Snapshot
		want     alert.Standing
	}{
		"nothing read yet": {sidecar.Snapshot{}, alert.Standing{}},
		"another leads":    {view("leader/2"), alert.Standing{}},
		"nobody leads":     {view(""), alert.Standing{}},
		"we lead":          {view("leader/1"), alert.Standing{Leads: true, Term: 3, Seq: 9}},
	} {
		if got := alert.StandingOf(test.snapshot); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
