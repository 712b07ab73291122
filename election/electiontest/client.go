package electiontest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/election/keys"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// What the faults say. Both mean that the outcome is unknown.
var (
	ErrUnreachable = errors.New("etcd is unreachable")
	ErrAnswerLost  = errors.New("answer lost")
)

// FakeClient is one sidecar's client of a Cluster.
type FakeClient struct {
	cluster *Cluster

	// All is guarded by the cluster's mutex.
	lease       int64
	seen        int64
	garbage     map[string]string
	unreachable bool
	lose        int
	closed      bool
}

var _ sidecar.Store = (*FakeClient)(nil)

// SetUnreachable cuts the client off, or reconnects it, which wakes its watches.
func (f *FakeClient) SetUnreachable(cut bool) {
	f.cluster.mu.Lock()
	defer f.cluster.mu.Unlock()
	f.unreachable = cut
	if !cut {
		f.cluster.wakeOf(f)
	}
}

// LoseAnswers lets the next n calls of Apply, Grant and KeepAlive be carried out and their answers be lost.
func (f *FakeClient) LoseAnswers(n int) {
	f.cluster.mu.Lock()
	defer f.cluster.mu.Unlock()
	f.lose = n
}

// Lease returns the lease in use; 0: none.
func (f *FakeClient) Lease() int64 {
	f.cluster.mu.Lock()
	defer f.cluster.mu.Unlock()
	return f.lease
}

// enter begins a call: it takes the mutex, which the returned function gives back, and lets leases expire.
func (f *FakeClient) enter(ctx context.Context) (leave func(), err error) {
	f.cluster.mu.Lock()
	f.cluster.expire()
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case f.closed:
		err = errors.New("client is closed")
	case f.unreachable:
		err = ErrUnreachable
	}
	if err != nil {
		f.cluster.mu.Unlock()
		return nil, err
	}
	return f.cluster.mu.Unlock, nil
}

// answered ends a call that has been carried out: the client sees the revision, unless the answer is lost.
func (f *FakeClient) answered() error {
	if f.lose > 0 {
		f.lose--
		return ErrAnswerLost
	}
	f.seen = max(f.seen, f.cluster.revision)
	return nil
}

// Read returns one consistent read.
func (f *FakeClient) Read(ctx context.Context) (watchdog.Cluster, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return watchdog.Cluster{}, fmt.Errorf("read the cluster's keys: %w", err)
	}
	defer leave()
	c := f.cluster
	cluster := c.layout.Decode(c.in(c.layout.Read()))
	cluster.StoreID, cluster.Revision = c.storeID, c.revision
	f.seen, f.garbage = max(f.seen, c.revision), cluster.Garbage
	return cluster, nil
}

// Events returns the newest events, oldest first.
func (f *FakeClient) Events(ctx context.Context, newest int) ([]watchdog.Event, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer leave()
	kvs := f.cluster.events()
	var events []watchdog.Event
	for _, kv := range kvs[max(0, len(kvs)-max(0, newest)):] {
		if event, err := keys.DecodeEvent(kv.Value); err == nil {
			events = append(events, event)
		}
	}
	return events, nil
}

// events lists the events' keys, oldest first.
func (c *Cluster) events() []keys.KV {
	prefix := c.layout.Events()
	return c.in([]keys.Span{{From: prefix, To: keys.After(prefix)}})
}

// Grant asks for a lease and makes it the one for all the client's own keys.
func (f *FakeClient) Grant(ctx context.Context, ttl time.Duration) (int64, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return 0, fmt.Errorf("grant lease: %w", err)
	}
	defer leave()
	if ttl <= 0 {
		return 0, fmt.Errorf("grant lease: ttl is %s: it must be more than 0", ttl)
	}
	c := f.cluster
	c.granted++
	whole := (ttl + time.Second - 1) / time.Second * time.Second
	c.leases[c.granted] = &lease{ttl: whole, end: c.clock().Add(whole)}
	if err := f.answered(); err != nil {
		return 0, fmt.Errorf("grant lease: %w", err)
	}
	f.lease = c.granted
	return c.granted, nil
}

// Resume makes a lease of an earlier process the one to use.
func (f *FakeClient) Resume(ctx context.Context, lease int64) error {
	if err := f.renew(ctx, func() int64 { return lease }); err != nil {
		return fmt.Errorf("resume lease %x: %w", lease, err)
	}
	f.cluster.mu.Lock()
	defer f.cluster.mu.Unlock()
	f.lease = lease
	return nil
}

// KeepAlive renews the lease once.
func (f *FakeClient) KeepAlive(ctx context.Context) error {
	if err := f.renew(ctx, func() int64 { return f.lease }); err != nil {
		return fmt.Errorf("keep lease alive: %w", err)
	}
	return nil
}

func (f *FakeClient) renew(ctx context.Context, which func() int64) error {
	leave, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	l, alive := f.cluster.leases[which()]
	if alive {
		l.end = f.cluster.clock().Add(l.ttl)
	}
	if err := f.answered(); err != nil {
		return err
	}
	if !alive {
		return sidecar.ErrLeaseLost
	}
	return nil
}

// Apply makes the change or none of it.
func (f *FakeClient) Apply(ctx context.Context, change watchdog.Change) (int64, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return 0, fmt.Errorf("apply change: %w", err)
	}
	defer leave()
	revision, err := f.apply(change)
	if err == nil || errors.Is(err, sidecar.ErrCompareLost) {
		if lost := f.answered(); lost != nil {
			return 0, fmt.Errorf("apply change: %w", lost)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("apply change: %w", err)
	}
	return revision, nil
}

// apply is Apply, the mutex held.
func (f *FakeClient) apply(change watchdog.Change) (int64, error) {
	c := f.cluster
	plan, err := c.layout.Plan(change, keys.Writer{Lease: f.lease, Seen: f.seen})
	if err != nil {
		return 0, err
	}
	if plan.Leased() && f.lease == 0 {
		return 0, fmt.Errorf("no lease was granted yet: %w", sidecar.ErrLeaseLost)
	}
	if key, why, overwrites := plan.Overwrites(f.garbage); overwrites {
		return 0, fmt.Errorf("%w: %s: %s", keys.ErrGarbage, key, why)
	}
	if !c.holds(plan) {
		return 0, sidecar.ErrCompareLost
	}
	if _, alive := c.leases[f.lease]; plan.Leased() && !alive {
		return 0, sidecar.ErrLeaseLost
	}
	c.write(f.writes(plan))
	revision := c.revision
	c.prune(change.PruneEvents)
	return revision, nil
}

// holds says whether every compare does.
func (c *Cluster) holds(plan keys.Plan) bool {
	for _, compare := range plan.Compares {
		var found *keys.KV
		if kv, ok := c.kvs[compare.Key]; ok {
			found = &kv
		}
		if !compare.Holds(found) {
			return false
		}
	}
	return true
}

// writes lists what the plan puts and removes.
func (f *FakeClient) writes(plan keys.Plan) []write {
	var writes []write
	for _, p := range plan.Puts {
		if _, there := f.cluster.kvs[p.Key]; there && p.IfAbsent {
			continue
		}
		w := write{key: p.Key, value: p.Value}
		if p.Leased {
			w.lease = f.lease
		}
		writes = append(writes, w)
	}
	for _, span := range plan.Deletes {
		writes = append(writes, f.cluster.removals(func(kv keys.KV) bool { return span.Holds(kv.Key) })...)
	}
	return writes
}

// prune removes the oldest events.
func (c *Cluster) prune(keep int) {
	events := c.events()
	if keep <= 0 || len(events) <= keep {
		return
	}
	newest := events[len(events)-keep].Key
	c.write(c.removals(func(kv keys.KV) bool {
		return keys.Span{From: c.layout.Events(), To: newest}.Holds(kv.Key)
	}))
}

// Close ends the client's watches and leaves its lease alive.
func (f *FakeClient) Close() error {
	f.cluster.mu.Lock()
	defer f.cluster.mu.Unlock()
	f.closed = true
	f.cluster.unwatch(func(w *watch) bool { return w.client == f })
	return nil
}
