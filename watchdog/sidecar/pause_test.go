package sidecar_test

import (
	"context"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// change makes a change by hand, judged on what etcd holds.
func (w *world) change(judge func(watchdog.Cluster) (watchdog.Change, error)) {
	w.t.Helper()
	c, err := judge(w.read())
	if err == nil {
		_, err = w.etcd.Client().Apply(context.Background(), c)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) pause(lasting time.Duration) {
	w.t.Helper()
	w.change(func(c watchdog.Cluster) (watchdog.Change, error) {
		return watchdog.AskPause(c, watchdog.Pause{By: "dba", Since: w.Wall(), For: watchdog.Duration(lasting)}, false)
	})
	pause(time.Second)
}

func (w *world) resume() {
	w.t.Helper()
	w.change(func(c watchdog.Cluster) (watchdog.Change, error) {
		change, _ := watchdog.AskResume(c, "dba")
		return change, nil
	})
}

func TestPausedAHandOverWaitsUntilItIsResumed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.pause(0)
		old := w.nodes["node1"]
		old.write(20000)
		end := old.end
		old.die()
		pause(time.Minute)
		if c := w.read(); c.Record.Term != 1 || old.pid != 0 || len(w.primaries()) != 0 {
			t.Fatalf("paused, and the record is %+v, primaries %v", c.Record, w.primaries())
		}
		w.resume()
		gap := w.until("another is primary", 3*time.Second, settledOn("node2", "node3")) // its sidecar hands over: nobody waits for T
		t.Logf("settled %s after it was resumed", gap)
		if p := w.nodes[w.read().Record.Primary]; p.end < end {
			t.Errorf("the new primary ends at %s and the old one at %s", p.end, end)
		}
		w.until("the old primary streams again", 30*time.Second, func(watchdog.Cluster) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return old.source() != nil
		})
	})
}

func TestPausedAPrimaryWithoutTrustIsFencedAndNobodyTakesOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.pause(0)
		old := w.nodes["node1"]
		old.store.SetUnreachable(true)
		pause(time.Minute)
		if c := w.read(); c.Record.Term != 1 || len(w.primaries()) != 0 {
			t.Fatalf("the record is %+v, primaries %v", c.Record, w.primaries())
		}
		w.resume()
		w.until("another is primary", 30*time.Second, settledOn("node2", "node3"))
		old.store.SetUnreachable(false)
		w.until("the old primary streams again", 60*time.Second, func(watchdog.Cluster) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return old.source() != nil
		})
	})
}

func TestPausedAStandbyIsLeftAsItIs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.pause(0)
		down, elsewhere := w.nodes["node2"], w.nodes["node3"]
		down.die()
		w.mu.Lock()
		elsewhere.upstream = "node9:5432"
		w.mu.Unlock()
		pause(time.Minute)
		w.mu.Lock()
		if down.pid != 0 || elsewhere.upstream != "node9:5432" {
			t.Errorf("started or repointed: pid %d, upstream %s", down.pid, elsewhere.upstream)
		}
		w.mu.Unlock()
		w.resume()
		w.until("both stream", 30*time.Second, func(watchdog.Cluster) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return down.source() != nil && elsewhere.source() != nil
		})
	})
}

// The leader dies, and the next one, that saw the pause begin, ends it in time; one that was started meanwhile goes by the wall
// clock.
func TestAPauseEndsInTimeWhoeverLeads(t *testing.T) {
	for _, anew := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			w.pause(10 * time.Minute)
			pause(4 * time.Minute)
			for _, n := range w.nodes {
				if n.name != w.read().Leader && anew && n.name != "node1" {
					n.halt()
					n.start()
				}
			}
			leader := w.read().Leader
			pause(10 * time.Second)
			w.nodes[leader].halt()
			w.until("another leads", time.Minute, func(c watchdog.Cluster) bool { return c.Leader != "" && c.Leader != leader })
			paused := w.read().Record.Paused
			w.until("the pause is over", 7*time.Minute, func(c watchdog.Cluster) bool { return c.Record.Paused == nil })
			if late := time.Since(paused.Until); late < 0 || late > 10*time.Second {
				t.Errorf("leaders started anew %v: it ended %s after its limit", anew, late)
			}
			events, _ := w.etcd.Client().Events(context.Background(), 1)
			if len(events) != 1 || events[0].Kind != watchdog.EventResumed || events[0].Reason != watchdog.ReasonPauseOver {
				t.Errorf("events: %+v", events)
			}
		})
	}
}
