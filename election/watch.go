package election

import (
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// establishWithin is how long an endpoint may take to begin a watch before another is tried.
	establishWithin = 3 * time.Second
	// The pause between two attempts to watch.
	leastPause, longestPause = 100 * time.Millisecond, 2 * time.Second
)

// Watch sends whenever a key other than primary.term has changed since it was last received from, and when the watch began
// or broke. The channel has room for one and is closed when ctx ends.
func (c *Client) Watch(ctx context.Context) <-chan struct{} {
	wakes := make(chan struct{}, 1)
	started := c.pool.run(func() {
		defer close(wakes)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.pool.base, cancel)()
		c.watch(ctx, wakes)
	})
	if !started {
		close(wakes)
	}
	return wakes
}

// watch keeps a watch up until ctx ends.
func (c *Client) watch(ctx context.Context, wakes chan<- struct{}) {
	pause := leastPause
	for ctx.Err() == nil {
		endpoint, tenure := c.pool.current()
		established, err := c.watchAt(ctx, tenure, c.pool.endpoints[endpoint], wakes)
		if ctx.Err() != nil {
			return
		}
		wake(wakes)
		c.pool.log.Debug("watch ended", "endpoint", c.pool.endpoints[endpoint].address, "error", err)
		switch {
		case established:
			pause = leastPause
		case tenure.Err() == nil:
			c.pool.leave(endpoint, errors.Join(errNoWatch, err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

var (
	errNoWatch = errors.New("no watch could be established")
	errMoved   = errors.New("another endpoint came into use")
)

// watchAt watches through one endpoint until that fails or another comes into use. established: both watches had begun.
func (c *Client) watchAt(ctx, tenure context.Context, e *endpoint, wakes chan<- struct{}) (established bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(tenure, func() { cancel(errMoved) })()
	late := time.AfterFunc(establishWithin, func() { cancel(errNoWatch) })
	defer late.Stop()

	client, err := e.connected(ctx)
	if err != nil {
		return false, err
	}
	var streams [2]clientv3.WatchChan
	for i, span := range c.layout.Waking() {
		streams[i] = client.Watch(clientv3.WithRequireLeader(ctx), span.From, clientv3.WithRange(span.To), clientv3.WithCreatedNotify())
	}
	defer func() { // the library closes them once their goroutines are done
		cancel(nil)
		for _, stream := range streams {
			for range stream {
			}
		}
	}()
	for begun := 0; ; {
		var r clientv3.WatchResponse
		var open bool
		select {
		case r, open = <-streams[0]:
		case r, open = <-streams[1]:
		}
		if !open || r.Err() != nil {
			return established, errors.Join(context.Cause(ctx), r.Err())
		}
		if r.Created {
			if begun++; begun == len(streams) {
				established = true
				late.Stop()
				wake(wakes) // for what changed before they began
			}
		}
		if len(r.Events) > 0 {
			wake(wakes)
		}
	}
}

// wake sends without waiting: one wake that lies there is as good as many.
func wake(wakes chan<- struct{}) {
	select {
	case wakes <- struct{}{}:
	default:
	}
}
