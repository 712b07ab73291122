package sidecar_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// page is the WAL page of the fake servers, and not PostgreSQL's usual one.
const page = 16384

// PageStart is where the page begins.
func (n *node) PageStart(_ context.Context, at watchdog.LSN) (watchdog.LSN, error) {
	return at / page * page, nil
}

// LayTail takes whole pages, and the last one when it is whole as far as it goes.
func (n *node) LayTail(_ context.Context, _ watchdog.Timeline, from, to watchdog.LSN, r io.Reader) (watchdog.LSN, error) {
	for from < to {
		piece := make([]byte, min(page, to-from))
		if _, err := io.ReadFull(r, piece); err != nil {
			return from, err
		}
		from += watchdog.LSN(len(piece))
		n.mu.Lock()
		n.end = max(n.end, from)
		n.mu.Unlock()
	}
	return from, nil
}

// slowly lets so many bytes come each time, with a pause before.
type slowly struct {
	ctx   context.Context
	bytes int
	every time.Duration
}

// Read waits, and returns zeros.
func (s slowly) Read(p []byte) (int, error) {
	select {
	case <-time.After(s.every):
		return min(s.bytes, len(p)), nil
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
}

func (s slowly) Close() error { return nil }

// trickle is the tail over a line that brings a page each 500 ms.
func trickle(ctx context.Context) (io.ReadCloser, error) {
	return slowly{ctx, page, 500 * time.Millisecond}, nil
}

// neverAnswers is a peer that takes the request, and no more.
func neverAnswers(ctx context.Context) (io.ReadCloser, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// crashed lets the primary die with that many bytes that no standby has.
func (w *world) crashed(bytes watchdog.LSN) (old *node, ours, theirs watchdog.LSN) {
	old = w.nodes["node1"]
	ours = old.end
	old.write(bytes)
	old.die()
	return old, ours, old.end
}

// told is the event of the last promotion.
func (w *world) told() watchdog.Event {
	w.t.Helper()
	events, err := w.etcd.Client().Events(context.Background(), 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range slices.Backward(events) {
		if e.Kind == watchdog.EventPromoted {
			return e
		}
	}
	w.t.Fatal("nobody has told of a promotion")
	return watchdog.Event{}
}

// reports checks what the last promotion says is lost: WAL of node1's from where the winner's log ended on.
func (w *world) reports(from, to watchdog.LSN) {
	w.t.Helper()
	e := w.told()
	l := *e.Loss
	if l.Nothing || !slices.Equal(l.Timelines, []watchdog.Timeline{1}) || l.From != from || l.To != to || l.On != "node1" {
		w.t.Errorf("reported %+v, and %s to %s of timeline 1 on node1 are lost", l, from, to)
	}
	if text := e.Facts["lost_range"]; text != l.String() || strings.Contains(text, "to 0/0") || e.Facts["lost"] != "" {
		w.t.Errorf("told %v", e.Facts)
	}
}

// A tail that does not come, one way or another: in async the promotion goes on when tail_wait is over, and says exactly what
// is left behind.
func TestATailThatDoesNotComeInTimeIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world)
		comes watchdog.LSN // of the tail, within tail_wait
	}{
		"trickles":                    {func(w *world) { w.tail = trickle }, 5 * page}, // the sixth is there as the wait ends
		"accepted and never answered": {func(w *world) { w.tail = neverAnswers }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c.spoil(w)
				_, ours, theirs := w.crashed(50 * page)
				gap := w.until("another is primary", 20*time.Second, settledOn("node2", "node3"))
				if wait := w.policy.TailWait.D(); gap < wait || gap > wait+time.Second {
					t.Errorf("settled after %s, and tail_wait is %s", gap, wait)
				}
				w.reports(ours+c.comes, theirs)
				if waited := w.told().TimingsMS["tail"]; waited > float64(w.policy.TailWait.D().Milliseconds()+1) {
					t.Errorf("waited %.0f ms for the tail", waited)
				}
			}, func(p *watchdog.Policy) { p.TailWait = watchdog.Duration(2900 * time.Millisecond) })
		})
	}
}

// In quorum the heir must not go on without it: the term is given back, and an election finds what was acknowledged.
func TestATailThatDoesNotComeIsRefusedInQuorum(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.until("both standbys are voters", 30*time.Second, func(c watchdog.Cluster) bool {
			return c.Record.Durability.Mode == watchdog.ModeQuorum && len(c.Record.Durability.Voters) == 2
		})
		w.tail = trickle
		_, ours, _ := w.crashed(50 * page)
		w.until("there is a primary again", 60*time.Second, func(c watchdog.Cluster) bool { return settledOn(servers...)(c) && c.Record.Term > 1 })
		r := w.read().Record
		if r.Term < 3 || w.nodes[r.Primary].end < ours+5*page { // the heir has laid so much in, and its ballot says so
			t.Errorf("%s is primary of term %d and ends at %s", r.Primary, r.Term, w.nodes[r.Primary].end)
		}
		events, err := w.etcd.Client().Events(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Term == 2 && e.Kind == watchdog.EventPromoted {
				t.Errorf("promoted without its tail: %+v", e)
			}
		}
	}, func(p *watchdog.Policy) { p.Durability = watchdog.ModeQuorum })
}

// Our own server does not say where it ends: what it has said before is good enough to fetch the tail by.
func TestOurOwnServerHangsBeforeTheTail(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, n := range w.nodes {
			n.silentFrom = "detached"
		}
		_, _, theirs := w.crashed(50 * page)
		gap := w.until("another is primary", 20*time.Second, settledOn("node2", "node3"))
		if e := w.told(); !e.Loss.Nothing || w.nodes[e.Member].end < theirs || gap > w.policy.TailWait.D() {
			t.Errorf("after %s: %+v", gap, e)
		}
	})
}

// An old primary that cannot say where its WAL ends has nothing to fetch, and nobody waits for it.
func TestAnEndThatIsNotKnownIsReportedAsSuch(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.nodes["node1"].endless = true
		_, ours, _ := w.crashed(50 * page)
		if gap := w.until("another is primary", 20*time.Second, settledOn("node2", "node3")); gap > w.policy.TailWait.D()/2 {
			t.Errorf("settled after %s", gap)
		}
		w.reports(ours, 0)
	})
}

// The sidecar dies between promoting without the whole tail and telling of it: the next one tells.
func TestALossIsReportedByTheSidecarThatTakesOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, name := range []string{"node2", "node3"} {
			n, once := w.nodes[name], false
			n.halt()
			n.crash = func(step string) {
				if step == "promoted" && !once {
					once = true
					n.stop()
				}
			}
			n.start()
		}
		w.until("the standbys are back", 30*time.Second, func(c watchdog.Cluster) bool { return len(c.Members) == 3 && c.Leader != "" && w.heirsKnown() })
		w.tail = neverAnswers
		_, ours, theirs := w.crashed(50 * page)
		var heir *node
		w.until("the heir's sidecar is gone", 20*time.Second, func(c watchdog.Cluster) bool {
			heir = w.nodes[c.Record.Primary]
			return heir != w.nodes["node1"] && heir.role == watchdog.RolePrimary
		})
		heir.halt()
		if settledOn(heir.name)(w.read()) {
			t.Fatal("it had settled its term")
		}
		heir.start()
		w.until("the term is settled", 20*time.Second, settledOn(heir.name))
		w.reports(ours, theirs)
	})
}

// silent is what Observe does that hangs.
func (n *node) silent(ctx context.Context) bool {
	n.mu.Lock()
	silent := n.isSilent
	n.mu.Unlock()
	if silent {
		<-ctx.Done()
	}
	return silent
}

// step follows the sidecar's own crash points.
func (n *node) step(step string) {
	n.mu.Lock()
	if n.silentFrom != "" {
		n.isSilent = step == n.silentFrom
	}
	then := n.crash
	n.mu.Unlock()
	if then != nil {
		then(step)
	}
}

var errNoEnd = errors.New("the pages cannot be read")
