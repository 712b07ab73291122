package electiontest

import (
	"context"
	"fmt"
	"slices"

	"github.com/pgvigil/pgvigil/election/keys"
	"github.com/pgvigil/pgvigil/watchdog/alert"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

var _ alert.Store = (*FakeClient)(nil)

// AlertCursor returns how far the sink has got, and the cursor's mod revision; 0: there is none.
func (f *FakeClient) AlertCursor(ctx context.Context, sink string) (alert.Cursor, int64, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return alert.Cursor{}, 0, fmt.Errorf("read alert cursor: %w", err)
	}
	defer leave()
	key, err := f.cluster.layout.AlertCursor(sink)
	if err != nil {
		return alert.Cursor{}, 0, fmt.Errorf("read alert cursor: %w", err)
	}
	kv, there := f.cluster.kvs[key]
	if !there {
		return alert.Cursor{}, 0, nil
	}
	return keys.DecodeCursor(kv)
}

// MoveAlertCursor writes the cursor if its mod revision is still that one.
func (f *FakeClient) MoveAlertCursor(ctx context.Context, sink string, to alert.Cursor, revision int64) (int64, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return 0, fmt.Errorf("move alert cursor: %w", err)
	}
	defer leave()
	plan, err := f.cluster.layout.MoveCursor(sink, to, revision)
	if err != nil {
		return 0, fmt.Errorf("move alert cursor: %w", err)
	}
	holds := f.cluster.holds(plan)
	if holds {
		f.cluster.write(f.writes(plan))
	}
	if err := f.answered(); err != nil {
		return 0, fmt.Errorf("move alert cursor: %w", err)
	}
	if !holds {
		return 0, fmt.Errorf("move alert cursor: %w", sidecar.ErrCompareLost)
	}
	return f.cluster.revision, nil
}

// Outbox returns the events that were written after the revision.
func (f *FakeClient) Outbox(ctx context.Context, after int64, limit int) (alert.Page, error) {
	leave, err := f.enter(ctx)
	if err != nil {
		return alert.Page{}, fmt.Errorf("read the outbox of alerts: %w", err)
	}
	defer leave()
	c := f.cluster
	all := c.events()
	fresh := slices.DeleteFunc(slices.Clone(all), func(kv keys.KV) bool { return kv.Create <= after })
	entries := c.layout.OutboxOf(fresh)
	page := alert.Page{Entries: entries[:min(limit, len(entries))], Waiting: len(entries), Revision: c.revision}
	if len(all) > 0 {
		page.Oldest, page.Newest = c.layout.EventAt(all[0]), c.layout.EventAt(all[len(all)-1])
	}
	return page, nil
}
