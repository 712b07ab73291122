package alert_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgvigil/pgvigil/election/electiontest"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// world is an etcd in memory, with what happens in the cluster.
type world struct {
	t       *testing.T
	cluster *electiontest.Cluster
	writer  *electiontest.FakeClient

	mu     sync.Mutex
	leader string
	record watchdog.Record
	rev    int64
}

func newWorld(t *testing.T) *world {
	began := time.Now()
	cluster := electiontest.NewCluster(func() watchdog.Instant { return watchdog.Instant(time.Since(began)) })
	return &world{t: t, cluster: cluster, writer: cluster.Client(), leader: "a"}
}

func (w *world) lead(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leader = name
}

// happen writes events as a sidecar does, with the record.
func (w *world) happen(term watchdog.Term, kinds ...watchdog.EventKind) {
	w.t.Helper()
	w.because("", term, kinds...)
}

// because is happen, with the reason.
func (w *world) because(why watchdog.Reason, term watchdog.Term, kinds ...watchdog.EventKind) {
	w.t.Helper()
	for _, kind := range kinds {
		if err := w.write(watchdog.Event{Term: term, Kind: kind, Reason: why, Message: string(kind)}, 0); err != nil {
			w.t.Fatal(err)
		}
	}
}

// tell writes an event of the notifier's own.
func (w *world) tell(_ context.Context, kind watchdog.EventKind, why watchdog.Reason, message string, facts map[string]string) error {
	w.mu.Lock()
	term := w.record.Term
	w.mu.Unlock()
	return w.write(watchdog.Event{Term: term, Kind: kind, Reason: why, Message: message, Facts: facts}, 0)
}

// write writes an event with the record, and keeps so many if that is not 0.
func (w *world) write(e watchdog.Event, keep int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.record.Term, w.record.SystemID = e.Term, "1"
	w.record.Seq++
	e.Seq, e.Time = w.record.Seq, time.Now()
	r, was := w.record, w.rev
	rev, err := w.writer.Apply(context.Background(), watchdog.Change{If: watchdog.If{RecordRev: &was}, Record: &r, Event: &e, PruneEvents: keep})
	if err == nil {
		w.rev = rev
	}
	return err
}

// node is a member with its own notifier.
type node struct {
	*alert.Notifier
	client *electiontest.FakeClient
	stop   func() // and wait
}

// start runs a notifier for the sinks, which are called sink0, sink1 and so on.
func (w *world) start(name string, sinks ...alert.Sink) *node {
	n := &node{client: w.cluster.Client()}
	var routes []alert.Route
	for i, s := range sinks {
		route := alert.Route{Name: fmt.Sprintf("sink%d", i), Sink: s, Least: alert.Info, Timeout: 10 * time.Second}
		if r, ok := s.(*receiver); ok {
			route.Least, route.Only, route.Except = cmp.Or(r.least, alert.Info), r.only, r.except
		}
		routes = append(routes, route)
	}
	notifier := alert.New(alert.Options{
		Cluster: "main", Routes: routes, Store: n.client, Log: slog.New(slog.DiscardHandler), Tell: w.tell,
		Standing: func() alert.Standing {
			w.mu.Lock()
			defer w.mu.Unlock()
			return alert.Standing{Leads: w.leader == name, Term: w.record.Term, Seq: w.record.Seq, Paused: w.record.Paused != nil}
		},
	})
	n.Notifier = notifier
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := notifier.Run(ctx); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}()
	n.stop = func() { cancel(); <-ended }
	return n
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// receiver is a sink that notes what it is given.
type receiver struct {
	least  alert.Severity
	only   []watchdog.EventKind
	except []watchdog.EventKind
	answer func(ctx context.Context, nth int, a alert.Alert) error // nil: takes it

	mu    sync.Mutex
	got   []alert.Alert // tried
	at    []time.Time
	taken []string // keys
}

func (r *receiver) Deliver(ctx context.Context, a alert.Alert) error {
	r.mu.Lock()
	r.got, r.at = append(r.got, a), append(r.at, time.Now())
	nth := len(r.got)
	r.mu.Unlock()
	if r.answer != nil {
		if err := r.answer(ctx, nth, a); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, a.Key)
	return nil
}

// tries is what it was given so far, and when.
func (r *receiver) tries() ([]alert.Alert, []time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got), slices.Clone(r.at)
}

func (r *receiver) wants(t *testing.T, keys ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.taken, keys) {
		t.Errorf("taken %q, want %q", r.taken, keys)
	}
}

// told runs a story in virtual time.
func told(t *testing.T, story func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { story(t, newWorld(t)) })
}

const soon = 3 * time.Second
