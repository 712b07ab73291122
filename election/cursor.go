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
