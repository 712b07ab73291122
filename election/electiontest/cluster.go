package electiontest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pgvigil/pgvigil/election/keys"
	"github.com/pgvigil/pgvigil/watchdog"
)

// Cluster is an etcd in memory that holds one cluster's keys.
type Cluster struct {
	clock  func() watchdog.Instant
	layout keys.Layout

	mu       sync.Mutex
	storeID  string
	revision int64
	kvs      map[string]keys.KV
	leases   map[int64]*lease
	granted  int64 // the last lease's id
	watches  []*watch
}

// lease is one that has been granted and has not ended.
type lease struct {
	ttl time.Duration
	end watchdog.Instant
}

// NewCluster returns an empty store whose leases are counted by the clock.
func NewCluster(clock func() watchdog.Instant) *Cluster {
	layout, err := keys.NewLayout("test")
	if err != nil {
		panic(err) // the name is a constant
	}
	return &Cluster{
		clock: clock, layout: layout, storeID: "e7cd", revision: 1, kvs: map[string]keys.KV{}, leases: map[int64]*lease{},
		granted: 0x1000,
	}
}

// Prefix begins every key.
func (c *Cluster) Prefix() string { return c.layout.Prefix() }

// Client returns a client of its own, as each sidecar has.
func (c *Cluster) Client() *FakeClient { return &FakeClient{cluster: c} }

// Tick lets leases expire whose time has come.
func (c *Cluster) Tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire()
}

// NextExpiry returns when the next lease ends unless it is renewed. It says false when there is none.
func (c *Cluster) NextExpiry() (watchdog.Instant, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var next watchdog.Instant
	found := false
	for _, l := range c.leases {
		if !found || l.end < next {
			next, found = l.end, true
		}
	}
	return next, found
}

// Put writes a value by hand, under no lease. The key is whole.
func (c *Cluster) Put(key, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write([]write{{key: key, value: []byte(value)}})
}

// Get returns a value as it lies there.
func (c *Cluster) Get(key string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire()
	kv, ok := c.kvs[key]
	return string(kv.Value), ok
}

// Delete removes a key by hand.
func (c *Cluster) Delete(key string) { c.remove(func(kv keys.KV) bool { return kv.Key == key }) }

// DeletePrefix removes all keys that begin with prefix.
func (c *Cluster) DeletePrefix(prefix string) {
	c.remove(func(kv keys.KV) bool { return strings.HasPrefix(kv.Key, prefix) })
}

// Expire ends a lease at once, as etcd does early or late (F7, F8).
func (c *Cluster) Expire(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revoke(id)
}

// SetStoreID makes the store another one with the same keys: etcd restored from a backup (F19).
func (c *Cluster) SetStoreID(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.storeID = id
}

// expire revokes every lease whose time is over. The mutex is held, here and below.
func (c *Cluster) expire() {
	now := c.clock()
	for _, id := range slices.Sorted(maps.Keys(c.leases)) {
		if c.leases[id].end <= now {
			c.revoke(id)
		}
	}
}

func (c *Cluster) revoke(id int64) {
	if _, alive := c.leases[id]; !alive {
		return
	}
	delete(c.leases, id)
	c.write(c.removals(func(kv keys.KV) bool { return kv.Lease == id }))
}

func (c *Cluster) remove(which func(keys.KV) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write(c.removals(which))
}

// write is one key put or removed.
type write struct {
	key    string
	value  []byte
	lease  int64
	remove bool
}

// removals lists the keys to remove.
func (c *Cluster) removals(which func(keys.KV) bool) []write {
	var writes []write
	for _, key := range slices.Sorted(maps.Keys(c.kvs)) {
		if which(c.kvs[key]) {
			writes = append(writes, write{key: key, remove: true})
		}
	}
	return writes
}

// write makes all writes in one revision and wakes the watches. No writes: no revision.
func (c *Cluster) write(writes []write) {
	if len(writes) == 0 {
		return
	}
	c.revision++
	for _, w := range writes {
		if w.remove {
			delete(c.kvs, w.key)
			continue
		}
		kv := keys.KV{Key: w.key, Value: w.value, Create: c.revision, Mod: c.revision, Lease: w.lease}
		if old, ok := c.kvs[w.key]; ok {
			kv.Create = old.Create
		}
		c.kvs[w.key] = kv
	}
	for _, span := range c.layout.Waking() {
		if slices.ContainsFunc(writes, func(w write) bool { return span.Holds(w.key) }) {
			c.wake()
			return
		}
	}
}

// in lists what lies in the spans.
func (c *Cluster) in(spans []keys.Span) []keys.KV {
	var kvs []keys.KV
	for _, key := range slices.Sorted(maps.Keys(c.kvs)) {
		if slices.ContainsFunc(spans, func(s keys.Span) bool { return s.Holds(key) }) {
			kvs = append(kvs, c.kvs[key])
		}
	}
	return kvs
}

// String lists the keys with their revisions, for a test that fails.
func (c *Cluster) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text strings.Builder
	fmt.Fprintf(&text, "revision %d\n", c.revision)
	for _, key := range slices.Sorted(maps.Keys(c.kvs)) {
		kv := c.kvs[key]
		fmt.Fprintf(&text, "%s (created %d, written %d, lease %x) %s\n", key, kv.Create, kv.Mod, kv.Lease, kv.Value)
	}
	return text.String()
}
