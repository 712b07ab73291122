package election

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pgvigil/pgvigil/election/keys"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

var _ alert.Store = (*Client)(nil)

// AlertCursor returns how far the sink has got, and the cursor's mod revision; 0: there is none.
func (c *Client) AlertCursor(ctx context.Context, sink string) (alert.Cursor, int64, error) {
	key, err := c.layout.AlertCursor(sink)
	if err != nil {
		return alert.Cursor{}, 0, fmt.Errorf("read alert cursor: %w", err)
	}
	response, err := ask(ctx, c, "read alert cursor", func(ctx context.Context, e *endpoint) (*clientv3.GetResponse, error) {
		client, err := e.connected(ctx)
		if err != nil {
			return nil, err
		}
		return client.Get(ctx, key)
	})
	if err != nil {
		return alert.Cursor{}, 0, err
	}
	c.saw(response.Header)
	if len(response.Kvs) == 0 {
		return alert.Cursor{}, 0, nil
	}
	return keys.DecodeCursor(fromEtcd(response.Kvs[0]))
}

// MoveAlertCursor writes the cursor if its mod revision is still that one.
func (c *Client) MoveAlertCursor(ctx context.Context, sink string, to alert.Cursor, revision int64) (int64, error) {
	plan, err := c.layout.MoveCursor(sink, to, revision)
	if err != nil {
		return 0, fmt.Errorf("move alert cursor: %w", err)
	}
	return c.commit(ctx, "move alert cursor", plan, 0)
}

// Outbox returns the events that were written after the revision, by the order in which etcd created them.
func (c *Client) Outbox(ctx context.Context, after int64, limit int) (alert.Page, error) {
	events := c.layout.Events()
	since := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithMinCreateRev(after + 1)}
	end := func(order clientv3.SortOrder) clientv3.Op {
		return clientv3.OpGet(events, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(1), clientv3.WithSort(clientv3.SortByKey, order))
	}
	response, err := ask(ctx, c, "read the outbox of alerts", func(ctx context.Context, e *endpoint) (*clientv3.TxnResponse, error) {
		client, err := e.connected(ctx)
		if err != nil {
			return nil, err
		}
		return client.Txn(ctx).Then(
			clientv3.OpGet(events, append(since, clientv3.WithLimit(int64(limit)), clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))...),
			clientv3.OpGet(events, append(since, clientv3.WithKeysOnly())...), end(clientv3.SortAscend), end(clientv3.SortDescend)).Commit()
	})
	if err != nil {
		return alert.Page{}, err
	}
	c.saw(response.Header)
	var parts [4][]keys.KV
	for i, part := range response.Responses {
		for _, kv := range part.GetResponseRange().Kvs {
			parts[i] = append(parts[i], fromEtcd(kv))
		}
	}
	page := alert.Page{Entries: c.layout.OutboxOf(parts[0]), Waiting: len(parts[1]), Revision: response.Header.Revision}
	for _, kv := range parts[2] {
		page.Oldest = c.layout.EventAt(kv)
	}
	for _, kv := range parts[3] {
		page.Newest = c.layout.EventAt(kv)
	}
	return page, nil
}
