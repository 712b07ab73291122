package sidecar_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// ask puts an operation into the record, and returns how it ended.
func (w *world) ask(o watchdog.Operation) watchdog.Event {
	w.t.Helper()
	o.By = "dba"
	w.change(func(c watchdog.Cluster) (watchdog.Change, error) { return watchdog.AskChange(c, o) })
	w.until("the operation has ended", time.Minute, func(c watchdog.Cluster) bool { return c.Record.Operation == nil })
	events, err := w.etcd.Client().Events(context.Background(), 20)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range events {
		if e.Facts["operation"] == o.ID && e.Reason != watchdog.ReasonAsked {
			return e
		}
	}
	w.t.Fatalf("no end of %s in the events", o.ID)
	return watchdog.Event{}
}

func TestChoresAreCarriedOutByTheMemberItself(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		deadline := watchdog.Duration(time.Minute)
		for _, name := range []string{"node1", "node2"} {
			n := w.nodes[name]
			pid, term := n.pid, w.read().Record.Term
			e := w.ask(watchdog.Operation{ID: "reload-" + name, Kind: watchdog.OperationReload, Member: name, Deadline: deadline})
			if e.Reason != watchdog.ReasonOperationDone || !strings.Contains(e.Message, "work_mem") || n.reloads != 1 || n.pid != pid || w.read().Record.Term != term {
				t.Errorf("reload of %s: %+v", name, e)
			}
		}
		pid := w.nodes["node2"].pid
		e := w.ask(watchdog.Operation{ID: "none", Kind: watchdog.OperationRestart, Member: "node2", Deadline: deadline, Pending: true})
		if e.Reason != watchdog.ReasonOperationDone || w.nodes["node2"].pid != pid {
			t.Errorf("nothing pending: %+v", e)
		}
		e = w.ask(watchdog.Operation{ID: "restart", Kind: watchdog.OperationRestart, Member: "node2", Deadline: deadline})
		if e.Reason != watchdog.ReasonOperationDone || w.nodes["node2"].pid == pid || w.nodes["node2"].source() == nil {
			t.Errorf("restart: %+v", e)
		}
		e = w.ask(watchdog.Operation{ID: "in-place", Kind: watchdog.OperationRestart, Member: "node1", Deadline: deadline, InPlace: true, Bound: deadline})
		w.until("it is primary again", 10*time.Second, settledOn("node1"))
		if e.Kind != watchdog.EventHandOver || e.Reason != watchdog.ReasonRestart || w.read().Record.Term != 2 {
			t.Errorf("in place: %+v", e)
		}
		w.until("all stream", 30*time.Second, func(watchdog.Cluster) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.nodes["node2"].source() != nil && w.nodes["node3"].source() != nil
		})
	})
}

// A standby that is removed leaves for good; one that is gone is forgotten; and the primary stays.
func TestRemove(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		remove := watchdog.Operation{ID: "live", Kind: watchdog.OperationRemove, Member: "node2", Deadline: watchdog.Duration(time.Minute)}
		leaver := w.nodes["node2"]
		if e := w.ask(remove); e.Reason != watchdog.ReasonOperationDone {
			t.Fatalf("%+v", e)
		}
		var refusal *sidecar.Refusal
		if err := <-leaver.done; !errors.As(err, &refusal) || refusal.Reason != watchdog.ReasonRemoved {
			t.Errorf("its sidecar ended by %v", err)
		}
		leaver.done <- nil // for halt
		if _, err := sidecar.New(sidecar.Options{StateDir: leaver.dir, Log: slog.New(slog.DiscardHandler)}); !errors.As(err, &refusal) {
			t.Errorf("started again: %v", err)
		}
		if c := w.read(); slices.Contains(c.Record.Members, "node2") || c.Members["node2"].Name != "" || leaver.pid == 0 {
			t.Errorf("members %v, keys %v, its server %d", c.Record.Members, c.Members, leaver.pid)
		}
		w.nodes["node3"].halt()
		w.until("its lease has ended", time.Minute, func(c watchdog.Cluster) bool { return c.Members["node3"].Name == "" })
		remove.ID, remove.Member = "gone", "node3"
		if e := w.ask(remove); e.Reason != watchdog.ReasonOperationDone || len(w.read().Record.Members) != 1 {
			t.Errorf("%+v: %v", e, w.read().Record.Members)
		}
		remove.Member = "node1"
		if _, err := watchdog.AskChange(w.read(), remove); err == nil {
			t.Error("the primary may be removed")
		}
	})
}

func TestAChoreWhoseSidecarIsGoneIsEndedByTheLeader(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.nodes["node2"].halt() // its lease goes on for a while
		e := w.ask(watchdog.Operation{ID: "restart", Kind: watchdog.OperationRestart, Member: "node2", Deadline: watchdog.Duration(time.Minute)})
		if e.Reason != watchdog.ReasonOperationFailed || !strings.Contains(e.Message, "gone") {
			t.Errorf("%+v", e)
		}
	})
}
