package sidecar_test

import (
	"io"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

func TestPostmasterKilledIsAHandOverAndLosesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		old := w.nodes["node1"]
		old.write(20000)
		end := old.end
		old.die()
		gap := w.until("another is primary", 10*time.Second, settledOn("node2", "node3"))
		t.Logf("settled after %s of virtual time", gap)
		c := w.read()
		if c.Record.Term != 2 || w.nodes[c.Record.Primary].end < end {
			t.Errorf("term %d, the new primary ends at %s and the old one at %s", c.Record.Term, w.nodes[c.Record.Primary].end, end)
		}
		w.until("the old primary streams again", 30*time.Second, func(watchdog.Cluster) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return old.source() != nil
		})
	})
}

func TestHostLostIsAnElectionAfterSilence(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		old := w.nodes["node1"]
		old.halt()
		gap := w.until("another is primary", 30*time.Second, settledOn("node2", "node3"))
		if p := w.primaries(); len(p) != 1 {
			t.Errorf("primaries: %v", p)
		}
		if gap < watchdog.DefaultPolicy().FenceDeadline.D() {
			t.Errorf("taken over after %s, before the trust could have ended", gap)
		}
		old.start()
		w.until("the old primary streams again", 60*time.Second, func(watchdog.Cluster) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return old.source() != nil
		})
	})
}

// The heir reads the surrender in etcd at once, and may ask for the tail before the old primary's sidecar has read it itself.
func TestTailIsServedBeforeOurOwnSurrenderIsRead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		old := w.nodes["node1"]
		var served error
		asked := false
		old.halt()
		old.crash = func(step string) {
			if step == "handed-over" {
				tail := w.read().Record.Tail
				served, asked = old.sidecar.ServeTail(t.Context(), tail.Token, tail.Timeline, 0, tail.End, io.Discard), true
			}
		}
		old.start()
		w.until("it has its term back", 10*time.Second, func(watchdog.Cluster) bool { return old.sidecar.Snapshot().Writable })
		old.die()
		w.until("another is primary", 10*time.Second, settledOn("node2", "node3"))
		if !asked || served != nil {
			t.Errorf("asked %v: %v", asked, served)
		}
	})
}

func TestSidecarRestartedInTimeTakesItsTermBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n := w.nodes["node1"]
		n.halt()
		pause(2 * time.Second)
		n.start()
		pause(20 * time.Second)
		c := w.read()
		if c.Record.Term != 1 || c.Record.Primary != "node1" || n.fences != 0 || n.pid == 0 {
			t.Errorf("record %+v, fenced %d times, pid %d", c.Record, n.fences, n.pid)
		}
	})
}

func TestEtcdLostFencesInTimeAndRecovers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, n := range w.nodes {
			n.store.SetUnreachable(true)
		}
		pause(watchdog.DefaultPolicy().TTL.D())
		if p := w.primaries(); len(p) != 0 {
			t.Errorf("still writable after T without etcd: %v", p)
		}
		pause(10 * time.Second)
		for _, n := range w.nodes {
			n.store.SetUnreachable(false)
		}
		w.until("there is a primary again", 30*time.Second, func(c watchdog.Cluster) bool {
			return settledOn(servers...)(c) && c.Record.Term > 1
		})
		if p := w.primaries(); len(p) != 1 {
			t.Errorf("primaries: %v", p)
		}
	}, func(p *watchdog.Policy) { p.Failsafe = false })
}

// Failsafe: etcd is lost to all, and the primary goes on for as long as every other member answers that it is.
func TestEtcdLostToAllAndThePrimaryGoesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, n := range w.nodes {
			n.store.SetUnreachable(true)
		}
		pause(time.Minute)
		if p := w.primaries(); len(p) != 1 || p[0] != "node1" {
			t.Errorf("a minute without etcd: %v are primaries", p)
		}
		w.nodes["node2"].store.SetUnreachable(false)
		pause(watchdog.DefaultPolicy().TTL.D())
		if p := w.primaries(); len(p) != 0 {
			t.Errorf("etcd is in reach of one, and %v are primaries", p)
		}
		for _, n := range w.nodes {
			n.store.SetUnreachable(false)
		}
		w.until("there is a primary again", 30*time.Second, settledOn(servers...))
	})
}

func TestHungServerIsFencedAndHandedOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mu.Lock()
		w.nodes["node1"].hung = true
		w.mu.Unlock()
		w.until("another is primary", 10*time.Second, settledOn("node2", "node3"))
	})
}

func TestLostAnswersCostNoFailover(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.nodes["node1"].store.LoseAnswers(2)
		pause(20 * time.Second)
		if c := w.read(); c.Record.Term != 1 || w.nodes["node1"].fences != 0 {
			t.Errorf("record %+v, fenced %d times", c.Record, w.nodes["node1"].fences)
		}
	})
}

func TestLeaseRevokedEarlyCostsNoFailover(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.etcd.Expire(w.nodes["node1"].store.Lease())
		pause(20 * time.Second)
		c := w.read()
		if c.Record.Term != 1 || c.Primary != "node1" || w.nodes["node1"].fences != 0 {
			t.Errorf("record %+v, primary key %q, fenced %d times", c.Record, c.Primary, w.nodes["node1"].fences)
		}
	})
}

func TestDeletedPrefixIsWrittenAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.etcd.DeletePrefix(w.etcd.Prefix())
		w.until("the record is back", 10*time.Second, func(c watchdog.Cluster) bool {
			return c.Record != nil && c.Record.Term == 2 && c.Record.Primary == "node1" && len(c.Record.Members) == 3
		})
		if w.nodes["node1"].fences != 0 {
			t.Error("the primary was fenced")
		}
	})
}

func TestGarbageInTheRecordDisturbsNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.etcd.Put(w.etcd.Prefix()+"record", "\x00garbage")
		pause(20 * time.Second)
		if p := w.primaries(); len(p) != 1 || p[0] != "node1" || w.nodes["node1"].fences != 0 {
			t.Errorf("primaries %v, fenced %d times", p, w.nodes["node1"].fences)
		}
		if got, _ := w.etcd.Get(w.etcd.Prefix() + "record"); got != "\x00garbage" {
			t.Errorf("it was overwritten: %s", got)
		}
	})
}

func TestTwoWinnersInARowDie(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.nodes["node1"].halt()
		w.until("a winner is there", 30*time.Second, settledOn("node2", "node3"))
		winner := w.read().Record.Primary
		w.nodes[winner].halt()
		w.nodes[winner].die()
		w.until("the last one is primary", 60*time.Second, func(c watchdog.Cluster) bool {
			return settledOn("node2", "node3")(c) && c.Record.Primary != winner
		})
	})
}

// pause lets virtual time pass.
func pause(d time.Duration) { <-time.After(d) }

func TestAnUnknownEndOfWALIsLookedForAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mu.Lock()
		for _, name := range []string{"node2", "node3"} {
			w.nodes[name].unsure = 3
		}
		w.mu.Unlock()
		w.nodes["node1"].halt()
		w.until("another is primary", 30*time.Second, settledOn("node2", "node3"))
	})
}
