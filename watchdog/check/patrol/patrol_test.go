package patrol

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/check"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// world is what a patrol sees, and what it tells.
type world struct {
	host   check.Host
	events []watchdog.Event
	refuse bool
	looks  int
	others []check.Other
}

func (w *world) Health(context.Context) []check.Endpoint { return nil }

func (w *world) Apply(_ context.Context, c watchdog.Change) (int64, error) {
	if w.refuse {
		return 0, errors.New("no leader")
	}
	w.events = append(w.events, *c.Event)
	return 1, nil
}

func (w *world) Snapshot() sidecar.Snapshot {
	members := map[string]watchdog.Registered{}
	for name, role := range map[string]watchdog.Role{"a": watchdog.RolePrimary, "b": watchdog.RoleStandby, "c": watchdog.RoleDown} {
		members[name] = watchdog.Registered{Member: watchdog.Member{Name: name, Address: name + ":5432", Role: role}}
	}
	return sidecar.Snapshot{View: watchdog.View{
		Server:  watchdog.Server{Role: watchdog.RolePrimary},
		Cluster: &watchdog.Cluster{Record: &watchdog.Record{Term: 3, Seq: 9, Phase: watchdog.PhaseNormal}, Members: members},
	}}
}

func (w *world) options(t *testing.T, dir string) Options {
	return Options{
		Member: "a", StateDir: dir, Store: w, Wall: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Inspect: func(_ context.Context, others []check.Other) check.Host { w.looks++; w.others = others; return w.host },
	}
}

func quiet() check.Host { return check.Host{Running: true, Version: "15"} }

func TestAnErrorIsToldWhenItLastsAndWhenItIsOver(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{host: quiet()}
		p := New(w.options(t, dir))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx, w) }()
		after := func(d time.Duration) {
			<-time.After(d) // virtual time
			synctest.Wait()
		}
		after(soon)
		if w.looks != 1 || len(w.others) != 1 || w.others[0].Name != "b" || len(w.events) != 0 || p.Report().At.IsZero() {
			t.Fatalf("a first look: %+v, %+v", w, p.Report())
		}
		w.host.Forbidden = "recovery.conf lies there"
		after(every)
		if w.looks != 2 || len(p.Report().Findings) != 0 {
			t.Fatalf("an error at first sight: %+v", p.Report())
		}
		after(soon)
		if f := p.Report().Findings; len(f) != 1 || len(w.events) != 1 || w.events[0].Reason != watchdog.ReasonFound ||
			w.events[0].Term != 3 || w.events[0].Facts["severity"] != "error" || w.events[0].Member != "a" {
			t.Fatalf("an error that lasts: %+v, events %+v", f, w.events)
		}
		w.host, w.refuse = quiet(), true
		after(again)
		if len(p.Report().Findings) != 0 || len(w.events) != 1 {
			t.Fatalf("mended while etcd is away: %+v", w.events)
		}
		w.refuse = false
		after(every)
		if len(w.events) != 2 || w.events[1].Reason != watchdog.ReasonMended {
			t.Fatalf("mended: %+v", w.events)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestWhatWasToldIsNotToldAgainAfterARestart(t *testing.T) {
	dir := t.TempDir()
	w := &world{host: quiet()}
	w.host.Pending = []string{"max_connections"}
	for range 2 {
		New(w.options(t, dir)).look(t.Context(), w.Snapshot().View)
	}
	if len(w.events) != 1 {
		t.Errorf("told %d times: %+v", len(w.events), w.events)
	}
}

func TestNothingIsLookedForWhileSomethingGoesOn(t *testing.T) {
	for name, spoil := range map[string]func(v *watchdog.View){
		"an election":  func(v *watchdog.View) { v.Cluster.Record.Phase = watchdog.PhaseElecting },
		"an operation": func(v *watchdog.View) { v.Flight.Kind = watchdog.ActFence },
		"a dead server": func(v *watchdog.View) {
			v.Server.Role = watchdog.RoleDown
		},
		"no record": func(v *watchdog.View) { v.Cluster.Record = nil },
	} {
		s := (&world{}).Snapshot()
		if !worthWhile(s) {
			t.Fatal("at rest it is worth while")
		}
		spoil(&s.View)
		if worthWhile(s) {
			t.Errorf("%s is no time to look", name)
		}
	}
}
