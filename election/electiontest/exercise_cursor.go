package electiontest

import (
	"errors"
	"time"

	"github.com/pgvigil/pgvigil/election/keys"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// outbox opens another client and takes it for a store of alerts.
func (b *bench) outbox() alert.Store {
	b.Helper()
	s, ok := b.open().(alert.Store)
	if !ok {
		b.Fatal("the store keeps no cursors of alerts")
	}
	return s
}

func alertCursor(b *bench) {
	one, other := b.outbox(), b.outbox()
	if at, revision, err := one.AlertCursor(b.ctx, "ops"); err != nil || revision != 0 || at != (alert.Cursor{}) {
		b.Fatalf("a cursor that was never written: %+v at %d, error %v", at, revision, err)
	}
	first := alert.Cursor{Term: 3, Seq: 14, Time: time.Unix(1000, 500).UTC()}
	begun, err := one.MoveAlertCursor(b.ctx, "ops", first, 0)
	if err != nil || begun == 0 {
		b.Fatalf("begin: revision %d, error %v", begun, err)
	}
	if at, revision, err := other.AlertCursor(b.ctx, "ops"); err != nil || revision != begun || at != first {
		b.Fatalf("read back %+v at %d, error %v, want %+v at %d", at, revision, err, first, begun)
	}
	if _, revision, err := other.AlertCursor(b.ctx, "another"); err != nil || revision != 0 {
		b.Errorf("another sink's cursor: revision %d, error %v", revision, err)
	}
	next := alert.Cursor{Term: 4, Seq: 15}
	for what, revision := range map[string]int64{"none": 0, "an older revision": begun - 1} {
		if _, err := other.MoveAlertCursor(b.ctx, "ops", next, revision); !errors.Is(err, sidecar.ErrCompareLost) {
			b.Errorf("moved on %s: %v, want %v", what, err, sidecar.ErrCompareLost)
		}
	}
	moved, err := other.MoveAlertCursor(b.ctx, "ops", next, begun)
	if err != nil || moved <= begun {
		b.Fatalf("move: revision %d, error %v", moved, err)
	}
	if _, err := one.MoveAlertCursor(b.ctx, "ops", first, begun); !errors.Is(err, sidecar.ErrCompareLost) {
		b.Errorf("moved on what another has moved: %v, want %v", err, sidecar.ErrCompareLost)
	}
	if _, err := one.MoveAlertCursor(b.ctx, "a/b", first, 0); err == nil || errors.Is(err, sidecar.ErrCompareLost) {
		b.Errorf("a sink whose name is a path: %v", err)
	}
}

func alertCursorDisturbsNobody(b *bench) {
	s, _ := b.seeded()
	seen, _ := b.watching(b.open())
	if _, err := b.outbox().MoveAlertCursor(b.ctx, "ops", alert.Cursor{Term: 1, Seq: 1}, 0); err != nil {
		b.Fatal(err)
	}
	if n := b.settle(seen); n != 0 {
		b.Errorf("a cursor woke %d times", n)
	}
	b.raw.Put(b.raw.Prefix()+"alerts/torn", `{"term":`)
	if _, _, err := b.outbox().AlertCursor(b.ctx, "torn"); !errors.Is(err, keys.ErrGarbage) {
		b.Errorf("a torn cursor: %v, want %v", err, keys.ErrGarbage)
	}
	if c := b.read(s); len(c.Garbage) != 0 || c.Record == nil || c.Record.Term != watchdog.Term(1) {
		b.Errorf("cursors show in the cluster: garbage %v, record %+v", c.Garbage, c.Record)
	}
}
