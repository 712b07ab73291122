package electiontest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// RawAccess reaches around the Store, as an operator with etcdctl does. Keys are whole.
type RawAccess interface {
	Prefix() string
	Put(key, value string)
	Get(key string) (value string, there bool)
	Delete(key string)
	DeletePrefix(prefix string)
	Expire(lease int64) // ends a lease at once
}

// Exercise holds a sidecar.Store to its contract. setup is called for each part and gives it an empty cluster: open returns
// another client of it, and raw reaches around them.
func Exercise(t *testing.T, setup func(t *testing.T) (open func() sidecar.Store, raw RawAccess)) {
	t.Helper()
	for _, part := range []struct {
		name string
		test func(*bench)
	}{
		{"an empty cluster reads as absences", emptyCluster},
		{"a record is created once", recordCreatedOnce},
		{"a record is rewritten only on the revision that was read", recordCompared},
		{"a record rewritten keeps the fields of a later version", recordKeepsUnknown},
		{"a change of the record or a renewal that compares nothing is refused", uncomparedRefused},
		{"a renewal compares the one before", renewal},
		{"everything that belongs to the cluster is read back", everythingReadBack},
		{"keys under the lease vanish with it, and others stay", vanishWithLease},
		{"a key under no lease of the writer's is refused", noLease},
		{"a member's key is registered once", memberRegisteredOnce},
		{"a delayed status does not overwrite a later one", delayedStatus},
		{"the leader is the first that campaigned", leaderIsFirst},
		{"campaigning again keeps the place in the line", campaignAgain},
		{"a change as the leader fails once another leads", asLeader},
		{"ballots are compared by revision and read for the record's term", ballots},
		{"a change is made whole or not at all", allOrNothing},
		{"an event is written with what it tells of", eventInTransaction},
		{"events are pruned, oldest first", eventsPruned},
		{"a renewal wakes nobody, anything else does", wakes},
		{"the end of a lease wakes", leaseWakes},
		{"the watch's channel is closed when its context ends", watchCloses},
		{"garbage is reported, never overwritten, and hides nothing else", garbage},
		{"a lost lease is said to be lost", leaseLost},
		{"a lease is resumed by a later process of the member", leaseResumed},
		{"a deleted prefix reads as absences", prefixDeleted},
		{"a cursor of alerts is moved only on the revision that was read", alertCursor},
		{"the outbox of alerts is in the order of writing", outboxInOrder},
		{"cursors of alerts wake nobody, and a torn one hides nothing else", alertCursorDisturbsNobody},
	} {
		t.Run(part.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			open, raw := setup(t)
			part.test(&bench{T: t, ctx: ctx, open: open, raw: raw})
		})
	}
}

// bench is what a part of the contract works on.
type bench struct {
	*testing.T
	ctx  context.Context
	open func() sidecar.Store
	raw  RawAccess
}

const leaseTTL = 60 * time.Second

// leased opens a client that has a lease.
func (b *bench) leased() (sidecar.Store, int64) {
	b.Helper()
	s := b.open()
	lease, err := s.Grant(b.ctx, leaseTTL)
	if err != nil || lease == 0 {
		b.Fatalf("Grant: lease %x, error %v", lease, err)
	}
	return s, lease
}

func (b *bench) read(s sidecar.Store) watchdog.Cluster {
	b.Helper()
	c, err := s.Read(b.ctx)
	if err != nil {
		b.Fatalf("Read: %v", err)
	}
	return c
}

// apply makes a change that must succeed.
func (b *bench) apply(s sidecar.Store, c watchdog.Change) int64 {
	b.Helper()
	revision, err := s.Apply(b.ctx, c)
	if err != nil {
		b.Fatalf("Apply: %v", err)
	}
	return revision
}

// refused makes a change that must fail so; nil: in any way.
func (b *bench) refused(s sidecar.Store, c watchdog.Change, want error) {
	b.Helper()
	_, err := s.Apply(b.ctx, c)
	switch {
	case err == nil:
		b.Fatalf("Apply succeeded, want %v", want)
	case want != nil && !errors.Is(err, want):
		b.Fatalf("Apply: %v, want %v", err, want)
	case want == nil && errors.Is(err, sidecar.ErrCompareLost):
		b.Fatalf("Apply: %v, want another refusal", err)
	}
}

// seeded opens a leased client on a cluster whose first term is held by a.
func (b *bench) seeded() (sidecar.Store, watchdog.Cluster) {
	b.Helper()
	s, _ := b.leased()
	b.apply(s, watchdog.Change{
		If: watchdog.If{RecordRev: at(0), PrimaryTermRev: at(0), PrimaryRev: at(0)}, Record: record(1, 1), PrimaryTerm: renewalOf("a", 0),
		TakePrimary: "a", Ledger: &watchdog.LedgerEntry{Term: 1, Timeline: 1, Owner: "a", Incarnation: "a-1"},
	})
	return s, b.read(s)
}

// eventually waits until done says so.
func (b *bench) eventually(what string, done func() bool) {
	b.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-b.ctx.Done():
			b.Fatalf("never: %s", what)
		case <-again.C:
		}
	}
}

func at(revision int64) *int64 { return &revision }

func record(term watchdog.Term, seq uint64) *watchdog.Record {
	return &watchdog.Record{
		SystemID: "7300000000000000001", Term: term, Seq: seq, Phase: watchdog.PhaseNormal, Primary: "a", Taken: true, Timeline: 1,
		LastTaker: watchdog.Holder{Name: "a", Incarnation: "a-1", Term: term}, Members: []string{"a", "b"},
		Durability: watchdog.Durability{Mode: watchdog.ModeAsync}, Reason: watchdog.ReasonAdopt,
	}
}

func renewalOf(holder string, counter uint64) *watchdog.PrimaryTerm {
	return &watchdog.PrimaryTerm{Term: 1, Holder: holder, Incarnation: holder + "-1", Counter: counter, Flushed: 0x4000060}
}

func member(name string) *watchdog.Member {
	return &watchdog.Member{Name: name, Incarnation: name + "-1", Address: name + ":5432", Role: watchdog.RoleStandby, Timeline: 1}
}

func ballot(term watchdog.Term, name string, end watchdog.LSN) *watchdog.Ballot {
	return &watchdog.Ballot{Term: term, Member: name, Incarnation: name + "-1", Timeline: 1, End: end, Exact: true}
}
