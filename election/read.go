package election

import (
	"context"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pgvigil/pgvigil/election/keys"
	"github.com/pgvigil/pgvigil/watchdog"
)

// Read returns one consistent, linearizable read of all keys but the events.
func (c *Client) Read(ctx context.Context) (watchdog.Cluster, error) {
	var gets []clientv3.Op
	for _, span := range c.layout.Read() {
		gets = append(gets, get(span))
	}
	response, err := ask(ctx, c, "read the cluster's keys", func(ctx context.Context, e *endpoint) (*clientv3.TxnResponse, error) {
		client, err := e.connected(ctx)
		if err != nil {
			return nil, err
		}
		return client.Txn(ctx).Then(gets...).Commit()
	})
	if err != nil {
		return watchdog.Cluster{}, err
	}
	var kvs []keys.KV
	for _, part := range response.Responses {
		for _, kv := range part.GetResponseRange().Kvs {
			kvs = append(kvs, fromEtcd(kv))
		}
	}
	c.saw(response.Header)
	cluster := c.layout.Decode(kvs)
	cluster.StoreID, cluster.Revision = storeID(response.Header), response.Header.Revision
	c.mu.Lock()
	c.garbage = cluster.Garbage
	c.mu.Unlock()
	return cluster, nil
}

// Events returns the newest events, oldest first. One that cannot be read is left out.
func (c *Client) Events(ctx context.Context, newest int) ([]watchdog.Event, error) {
	if newest <= 0 {
		return nil, nil
	}
	response, err := ask(ctx, c, "read events", func(ctx context.Context, e *endpoint) (*clientv3.GetResponse, error) {
		client, err := e.connected(ctx)
		if err != nil {
			return nil, err
		}
		return client.Get(ctx, c.layout.Events(), clientv3.WithPrefix(), clientv3.WithLimit(int64(newest)),
			clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
	})
	if err != nil {
		return nil, err
	}
	c.saw(response.Header)
	var events []watchdog.Event
	for i := len(response.Kvs) - 1; i >= 0; i-- {
		event, err := keys.DecodeEvent(response.Kvs[i].Value)
		if err != nil {
			c.pool.log.Debug("event left out", "key", string(response.Kvs[i].Key), "error", err)
			continue
		}
		events = append(events, event)
	}
	return events, nil
}

// ask sends a request that is harmless twice and that etcd refuses for no reason of its own.
func ask[T any](ctx context.Context, c *Client, what string, how func(context.Context, *endpoint) (T, error)) (T, error) {
	value, _, err := send(ctx, c.pool, request[T]{what: what, ask: how, final: never})
	return value, err
}

func never(error) bool { return false }

func get(s keys.Span) clientv3.Op { return clientv3.OpGet(s.From, clientv3.WithRange(s.To)) }

func fromEtcd(kv *mvccpb.KeyValue) keys.KV {
	return keys.KV{Key: string(kv.Key), Value: kv.Value, Create: kv.CreateRevision, Mod: kv.ModRevision, Lease: kv.Lease}
}

// storeID is etcd's own cluster id, as its tools write it.
func storeID(header *pb.ResponseHeader) string { return strconv.FormatUint(header.ClusterId, 16) }
