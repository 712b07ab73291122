package election

import (
	"fmt"
	"sync"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pgvigil/pgvigil/election/keys"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// Client is one cluster's keys in etcd. Its methods may be called from any goroutine.
type Client struct {
	layout keys.Layout
	pool   *pool

	lease   atomic.Int64 // the one for our own keys; 0: none yet
	seen    atomic.Int64 // the highest revision that etcd has told us of
	pruning atomic.Bool

	mu      sync.Mutex
	garbage map[string]string // as the last read found it
}

var _ sidecar.Store = (*Client)(nil)

// Open returns a client. It does not wait for etcd: the first request does.
func Open(c Config) (*Client, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	layout, err := keys.NewLayout(c.Cluster)
	if err != nil {
		return nil, fmt.Errorf("open etcd: %w", err)
	}
	return &Client{layout: layout, pool: newPool(c)}, nil
}

// Prefix begins every key of the cluster.
func (c *Client) Prefix() string { return c.layout.Prefix() }

// Close lets the connections go, ends the watches, and leaves the lease alive.
func (c *Client) Close() error {
	c.pool.close()
	return nil
}

// saw notes the revision that an answer carries.
func (c *Client) saw(header *pb.ResponseHeader) {
	if header == nil {
		return
	}
	for seen := c.seen.Load(); header.Revision > seen && !c.seen.CompareAndSwap(seen, header.Revision); seen = c.seen.Load() {
	}
}
