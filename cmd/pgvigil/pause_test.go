package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/api"
	"github.com/pgvigil/pgvigil/watchdog/request"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// held is a store of one cluster whose record is changed in place; the first so many changes are overtaken.
type held struct {
	cluster   watchdog.Cluster
	overtaken int
}

func (h *held) Read(context.Context) (watchdog.Cluster, error)                  { return h.cluster, nil }
func (h *held) Events(context.Context, int) ([]watchdog.Event, error)           { return nil, nil }
func (h *held) Members(context.Context, watchdog.Cluster) map[string]api.Answer { return nil }
func (h *held) Close() error                                                    { return nil }

func (h *held) Ask(ctx context.Context, r watchdog.Request) (uint64, error) {
	return request.Ask(ctx, h, r, time.Now)
}

func (h *held) Apply(_ context.Context, c watchdog.Change) (int64, error) {
	if h.overtaken > 0 {
		h.overtaken--
		return 0, sidecar.ErrCompareLost
	}
	h.cluster.Record = c.Record
	return 1, nil
}

func TestPauseAndResume(t *testing.T) {
	store, out := &held{cluster: well().cluster, overtaken: 2}, &bytes.Buffer{}
	store.cluster.Members = nil // nobody to be waited for
	p := &operator{cfg: config.Client{Config: config.Config{Cluster: "orders"}}, store: store, out: out, form: asTable}
	ask := watchdog.Pause{For: watchdog.Duration(time.Hour)}
	if err := p.pause(t.Context(), ask, false); err != nil || out.String() != "paused for another 1h0m0s by "+asker()+"\n" {
		t.Errorf("%q %v", out, err)
	}
	if err := p.pause(t.Context(), ask, false); codeOf(err) != exitRefused || !strings.Contains(err.Error(), "already; pgvigil resume ends it") {
		t.Errorf("twice: %v", err)
	}
	if err := p.resume(t.Context()); err != nil || store.cluster.Record.Paused != nil {
		t.Errorf("resume: %v", err)
	}
	out.Reset()
	if err := p.resume(t.Context()); err != nil || out.String() != "the cluster is not paused\n" {
		t.Errorf("resume again: %q %v", out, err)
	}
	for text, want := range map[string]time.Duration{"90m": 90 * time.Minute, "forever": 0} {
		if got, err := pauseLength(text); err != nil || got != want {
			t.Errorf("--for %s: %s %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-5m", "10", "ever"} {
		if _, err := pauseLength(text); err == nil {
			t.Errorf("--for %q is taken", text)
		}
	}
}
