package sidecar_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// A member that is not to be promoted gives the term back, and another is promoted: the other standby, or the old primary.
func TestAVetoBeforeThePromotionPassesTheTermOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var vetoer atomic.Value
		for _, name := range []string{"node2", "node3"} {
			n := w.nodes[name]
			n.halt()
			n.before = func(context.Context, watchdog.View) error {
				if vetoer.CompareAndSwap(nil, name) {
					return errors.New("not this one")
				}
				return nil
			}
			n.start()
		}
		w.until("the standbys are known again", 30*time.Second, func(c watchdog.Cluster) bool { return c.Leader != "" && w.heirsKnown() })
		w.nodes["node1"].die()
		gap := w.until("another is primary", 60*time.Second, func(c watchdog.Cluster) bool {
			return c.Record.Term > 2 && settledOn(servers...)(c)
		})
		if c := w.read(); vetoer.Load() == nil || c.Record.Primary == vetoer.Load() {
			t.Errorf("after %s: record %+v, vetoed by %v", gap, c.Record, vetoer.Load())
		}
	})
}

// One that does not answer holds no fence up, and is not waited for longer than half of promote_wait.
func TestAQuestionBeforeThePromotionIsBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, name := range []string{"node2", "node3"} {
			n := w.nodes[name]
			n.halt()
			n.before = func(ctx context.Context, _ watchdog.View) error {
				<-ctx.Done()
				return nil
			}
			n.start()
		}
		w.until("the standbys are known again", 30*time.Second, func(c watchdog.Cluster) bool { return c.Leader != "" && w.heirsKnown() })
		w.nodes["node1"].die()
		gap := w.until("another is primary", 60*time.Second, settledOn("node2", "node3"))
		if most := w.policy.PromoteWait.D()/2 + 2*time.Second; gap > most {
			t.Errorf("settled after %s, want at most %s", gap, most)
		}
		if c := w.read(); c.Record.Term != 2 {
			t.Errorf("record %+v", c.Record)
		}
	})
}
