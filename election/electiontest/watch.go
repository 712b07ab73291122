package electiontest

import (
	"context"
	"slices"
)

// watch is one client's channel of wakes.
type watch struct {
	client *FakeClient
	wakes  chan struct{}
}

// Watch sends when a key other than primary.term has changed, and once at the beginning.
func (f *FakeClient) Watch(ctx context.Context) <-chan struct{} {
	w := &watch{client: f, wakes: make(chan struct{}, 1)}
	c := f.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.closed || ctx.Err() != nil {
		close(w.wakes)
		return w.wakes
	}
	c.watches = append(c.watches, w)
	w.wake()
	context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.unwatch(func(other *watch) bool { return other == w })
	})
	return w.wakes
}

// wake wakes every watch that can be reached. The mutex is held, here and below.
func (c *Cluster) wake() {
	for _, w := range c.watches {
		if !w.client.unreachable {
			w.wake()
		}
	}
}

// wakeOf wakes one client's watches.
func (c *Cluster) wakeOf(f *FakeClient) {
	for _, w := range c.watches {
		if w.client == f {
			w.wake()
		}
	}
}

func (c *Cluster) unwatch(which func(*watch) bool) {
	c.watches = slices.DeleteFunc(c.watches, func(w *watch) bool {
		if which(w) {
			close(w.wakes)
			return true
		}
		return false
	})
}

func (w *watch) wake() {
	select {
	case w.wakes <- struct{}{}:
	default:
	}
}
