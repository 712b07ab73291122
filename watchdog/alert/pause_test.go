package alert_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

func TestAPauseIsQuiet(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		r := &receiver{least: alert.Warning}
		n := w.start("a", r)
		defer n.stop()
		w.pass(soon)
		w.happen(2, watchdog.EventHandOver)
		w.happen(2, watchdog.EventPaused)
		w.because(watchdog.ReasonRewind, 2, watchdog.EventRejoined)
		w.because(watchdog.ReasonOperationFailed, 2, watchdog.EventOperation)
		w.because(watchdog.ReasonDegrade, 2, watchdog.EventDurability)
		w.because(watchdog.ReasonVoters, 2, watchdog.EventDurability) // made good in time
		w.pass(soon)
		r.wants(t, "main/2/hand-over")
		w.happen(2, watchdog.EventPossible, watchdog.EventPromoted)
		w.pass(soon)
		// What is critical, and the end of what was told, are not silenced.
		r.wants(t, "main/2/hand-over", "main/2/lost-range", "main/2/promoted")
		w.because(watchdog.ReasonAsked, 2, watchdog.EventResumed)
		w.because(watchdog.ReasonRewind, 2, watchdog.EventRejoined)
		w.pass(soon)
		r.wants(t, "main/2/hand-over", "main/2/lost-range", "main/2/promoted", "main/2/rejoined")
	})
}

// The end of a pause by its limit is told, and before it what began in the pause and lasts, whoever leads meanwhile.
func TestWhatAPauseHushedAndLastsIsToldAtItsEnd(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		nth := 0
		r := &receiver{least: alert.Warning, answer: func(context.Context, int, alert.Alert) error {
			if nth++; nth == 1 || nth == 3 {
				return errors.New("503")
			}
			return nil
		}}
		n := w.start("a", r)
		w.pass(soon)
		w.happen(2, watchdog.EventPaused)
		w.because(watchdog.ReasonDegrade, 2, watchdog.EventDurability)
		w.because(watchdog.ReasonPutBack, 3, watchdog.EventSurrender)
		w.pass(soon)
		r.wants(t)
		n.stop()
		n = w.start("a", r)
		defer n.stop()
		w.because(watchdog.ReasonPauseOver, 3, watchdog.EventResumed)
		w.pass(time.Minute)
		r.wants(t, "main/2/durability", "main/3/surrender", "main/3/resumed")
		w.because(watchdog.ReasonVoters, 3, watchdog.EventDurability)
		w.happen(4, watchdog.EventPromoted)
		w.pass(soon)
		r.wants(t, "main/2/durability", "main/3/surrender", "main/3/resumed", "main/3/durability", "main/4/promoted")
		got, _ := r.tries()
		for i, over := range map[int]string{5: "main/2/durability", 6: "main/3/surrender"} {
			if a := got[i]; a.Status != alert.Resolved || len(a.Resolves) != 1 || a.Resolves[0].Key != over {
				t.Errorf("%+v does not resolve %s alone", a, over)
			}
		}
	})
}

func TestASinkThatBeginsInAPauseIsQuiet(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		w.happen(2, watchdog.EventPaused)
		w.mu.Lock()
		w.record.Paused = &watchdog.Pause{By: "ann"}
		w.mu.Unlock()
		r := &receiver{least: alert.Warning}
		n := w.start("a", r)
		defer n.stop()
		w.pass(soon)
		w.because(watchdog.ReasonRewind, 2, watchdog.EventRejoined)
		w.pass(soon)
		r.wants(t)
	})
}
