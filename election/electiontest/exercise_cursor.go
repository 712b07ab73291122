package electiontest

import (
	"errors"
	"reflect"
	"slices"
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
	if at, revision, err := one.AlertCursor(b.ctx, "ops"); err != nil || revision != 0 || !reflect.DeepEqual(at, alert.Cursor{}) {
		b.Fatalf("a cursor that was never written: %+v at %d, error %v", at, revision, err)
	}
	since := time.Unix(1000, 500).UTC()
	first := alert.Cursor{
		Position: alert.Position{Revision: 900, Term: 3, Seq: 14},
		Open:     []alert.Incident{{Key: "c/3/election", Kind: watchdog.EventElection, Since: since, Labels: map[string]string{"term": "3"}}},
	}
	begun, err := one.MoveAlertCursor(b.ctx, "ops", first, 0)
	if err != nil || begun == 0 {
		b.Fatalf("begin: revision %d, error %v", begun, err)
	}
	if at, revision, err := other.AlertCursor(b.ctx, "ops"); err != nil || revision != begun || !reflect.DeepEqual(at, first) {
		b.Fatalf("read back %+v at %d, error %v, want %+v at %d", at, revision, err, first, begun)
	}
	if _, revision, err := other.AlertCursor(b.ctx, "another"); err != nil || revision != 0 {
		b.Errorf("another sink's cursor: revision %d, error %v", revision, err)
	}
	next := alert.Cursor{Position: alert.Position{Revision: 901, Term: 4, Seq: 15}}
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
	if _, err := b.outbox().MoveAlertCursor(b.ctx, "ops", alert.Cursor{Position: alert.Position{Revision: 1}}, 0); err != nil {
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

// The outbox is read in the order of writing, whatever the keys say, and nothing that was written later comes before.
func outboxInOrder(b *bench) {
	s, c := b.seeded()
	out := b.outbox()
	page := func(after int64, limit int) alert.Page {
		b.Helper()
		p, err := out.Outbox(b.ctx, after, limit)
		if err != nil {
			b.Fatal(err)
		}
		return p
	}
	if p := page(0, 10); len(p.Entries) != 0 || p.Waiting != 0 || p.Oldest != (alert.Position{}) || p.Revision == 0 {
		b.Errorf("an empty outbox: %+v", p)
	}
	revision := c.RecordRev
	for seq := uint64(2); seq <= 4; seq++ {
		told := &watchdog.Event{Term: 1, Seq: seq, Kind: watchdog.EventMembers}
		revision = b.apply(s, watchdog.Change{If: watchdog.If{RecordRev: at(revision)}, Record: record(1, seq), Event: told})
	}
	late := b.apply(s, watchdog.Change{Event: &watchdog.Event{Term: 1, Seq: 2, Time: time.Unix(0, 77), Kind: watchdog.EventProblem}})
	b.raw.Put(b.raw.Prefix()+"events/00000000000000000001-00000000000000000009", `{"term":`)
	ids := func(p alert.Page) (ids []string) {
		for _, e := range p.Entries {
			ids = append(ids, e.ID)
		}
		return ids
	}
	all := page(0, 10)
	if want := []string{"1-2", "1-3", "1-4", "1-2-77", "1-9"}; !slices.Equal(ids(all), want) || all.Waiting != 5 {
		b.Fatalf("the outbox holds %q, %d wait, want %q", ids(all), all.Waiting, want)
	}
	if all.Oldest.Seq != 2 || all.Newest.Seq != 9 || all.Oldest.Revision != all.Entries[0].Revision || all.Revision < all.Entries[4].Revision {
		b.Errorf("oldest %+v, newest %+v, store at %d", all.Oldest, all.Newest, all.Revision)
	}
	if e := all.Entries[3]; e.Kind != watchdog.EventProblem || e.Revision != late || e.Garbage != "" || all.Entries[4].Garbage == "" {
		b.Errorf("%+v", all.Entries[3:])
	}
	if p := page(revision, 10); !slices.Equal(ids(p), []string{"1-2-77", "1-9"}) {
		b.Errorf("after 1-4 come %q", ids(p))
	}
	if p := page(all.Entries[0].Revision, 2); !slices.Equal(ids(p), []string{"1-3", "1-4"}) || p.Waiting != 4 {
		b.Errorf("the first two after 1-2 are %q, %d wait", ids(p), p.Waiting)
	}
}
