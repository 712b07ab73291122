package election

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pgvigil/pgvigil/election/keys"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// Apply makes the change or none of it, and returns its revision.
func (c *Client) Apply(ctx context.Context, change watchdog.Change) (int64, error) {
	writer := keys.Writer{Lease: c.lease.Load(), Seen: c.seen.Load()}
	plan, err := c.layout.Plan(change, writer)
	if err != nil {
		return 0, fmt.Errorf("apply change: %w", err)
	}
	if err := c.refuse(plan, writer); err != nil {
		return 0, err
	}
	revision, err := c.commit(ctx, "apply change", plan, writer.Lease)
	if err != nil {
		return 0, err
	}
	c.prune(change.PruneEvents)
	return revision, nil
}

// errOwnDoing: the change may have been made.
var errOwnDoing = errors.New("outcome unknown: a compare failed, perhaps because of an earlier attempt at the " +
	"same change whose answer did not come")

// commit carries a plan out, at most once: what it writes is pinned to revisions.
func (c *Client) commit(ctx context.Context, what string, plan keys.Plan, lease int64) (int64, error) {
	response, certain, err := send(ctx, c.pool, request[*clientv3.TxnResponse]{
		what: what,
		ask: func(ctx context.Context, e *endpoint) (*clientv3.TxnResponse, error) {
			client, err := e.connected(ctx)
			if err != nil {
				return nil, err
			}
			return client.Txn(ctx).If(compares(plan)...).Then(operations(plan, lease)...).Commit()
		},
		final:    func(err error) bool { return leaseGone(err) || refused(err) },
		doubtful: func(r *clientv3.TxnResponse) bool { return !r.Succeeded },
	})
	switch {
	case leaseGone(err):
		return 0, fmt.Errorf("%w: %w", err, sidecar.ErrLeaseLost)
	case err != nil:
		return 0, err
	}
	c.saw(response.Header)
	switch {
	case !response.Succeeded && certain:
		return 0, fmt.Errorf("%s: %w", what, sidecar.ErrCompareLost)
	case !response.Succeeded:
		return 0, fmt.Errorf("%s: %w", what, errOwnDoing)
	}
	return response.Header.Revision, nil
}

// refuse says what need not be sent to be known.
func (c *Client) refuse(plan keys.Plan, w keys.Writer) error {
	if plan.Leased() && w.Lease == 0 {
		return fmt.Errorf("apply change: no lease was granted yet: %w", sidecar.ErrLeaseLost)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if key, why, overwrites := plan.Overwrites(c.garbage); overwrites {
		return fmt.Errorf("apply change: %w: %s: %s: look at it, and delete it if it is nobody's", keys.ErrGarbage, key, why)
	}
	return nil
}

func compares(plan keys.Plan) []clientv3.Cmp {
	var cmps []clientv3.Cmp
	for _, c := range plan.Compares {
		switch c.Field {
		case keys.Created:
			cmps = append(cmps, clientv3.Compare(clientv3.CreateRevision(c.Key), "=", c.Rev))
		case keys.Modified:
			cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(c.Key), "=", c.Rev))
		case keys.NotAfter:
			cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(c.Key), "<", c.Rev+1))
		}
	}
	return cmps
}

func operations(plan keys.Plan, lease int64) []clientv3.Op {
	var ops []clientv3.Op
	for _, p := range plan.Puts {
		var options []clientv3.OpOption
		if p.Leased {
			options = append(options, clientv3.WithLease(clientv3.LeaseID(lease)))
		}
		put := clientv3.OpPut(p.Key, string(p.Value), options...)
		if p.IfAbsent {
			absent := clientv3.Compare(clientv3.CreateRevision(p.Key), "=", 0)
			put = clientv3.OpTxn([]clientv3.Cmp{absent}, []clientv3.Op{put}, nil)
		}
		ops = append(ops, put)
	}
	for _, d := range plan.Deletes {
		ops = append(ops, clientv3.OpDelete(d.From, clientv3.WithRange(d.To)))
	}
	return ops
}

func leaseGone(err error) bool { return errors.Is(err, rpctypes.ErrLeaseNotFound) }

// refused says of an error that etcd looked at the request and will never make it.
func refused(err error) bool {
	return errors.Is(err, rpctypes.ErrRequestTooLarge) || errors.Is(err, rpctypes.ErrTooManyOps) || errors.Is(err, rpctypes.ErrDuplicateKey)
}

// pruneWithin bounds the removal of old events.
const pruneWithin = 5 * time.Second

// prune removes the oldest events beside the caller, so that nobody waits for it. What fails is left to the next.
func (c *Client) prune(keep int) {
	if keep <= 0 || !c.pruning.CompareAndSwap(false, true) {
		return
	}
	started := c.pool.run(func() {
		defer c.pruning.Store(false)
		ctx, cancel := context.WithTimeout(c.pool.base, pruneWithin)
		defer cancel()
		if err := c.pruneEvents(ctx, keep); err != nil {
			c.pool.log.Debug("events not pruned", "error", err)
		}
	})
	if !started {
		c.pruning.Store(false)
	}
}

func (c *Client) pruneEvents(ctx context.Context, keep int) error {
	i, _ := c.pool.current()
	client, err := c.pool.endpoints[i].connected(ctx)
	if err != nil {
		return err
	}
	events := c.layout.Events()
	counted, err := client.Get(ctx, events, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil || counted.Count <= int64(keep) {
		return err
	}
	oldest, err := client.Get(ctx, events, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(counted.Count-int64(keep)))
	if err != nil || len(oldest.Kvs) == 0 {
		return err
	}
	last := string(oldest.Kvs[len(oldest.Kvs)-1].Key)
	_, err = client.Delete(ctx, events, clientv3.WithRange(last+"\x00"))
	return err
}
