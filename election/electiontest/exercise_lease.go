package electiontest

import (
	"errors"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

func vanishWithLease(b *bench) {
	s, lease := b.leased()
	b.apply(s, watchdog.Change{
		If: watchdog.If{RecordRev: at(0)}, Record: record(1, 1), Member: member("a"), Campaign: "a", TakePrimary: "a", Ballot: ballot(1, "a", 1),
	})
	b.raw.Expire(lease)
	c := b.read(s)
	if len(c.Members) != 0 || c.LeaderKey != "" || c.Primary != "" || c.PrimaryCreateRev != 0 {
		b.Errorf("keys outlive their lease: %+v", c)
	}
	if c.Record == nil || len(c.Ballots) != 1 {
		b.Errorf("keys without a lease are gone: %+v", c)
	}
}

func noLease(b *bench) {
	s := b.open()
	for _, change := range []watchdog.Change{{Member: member("a")}, {Campaign: "a"}, {TakePrimary: "a"}} {
		b.refused(s, change, sidecar.ErrLeaseLost)
	}
	if err := s.KeepAlive(b.ctx); !errors.Is(err, sidecar.ErrLeaseLost) {
		b.Errorf("KeepAlive: %v", err)
	}
	if _, err := s.Grant(b.ctx, 0); err == nil {
		b.Error("a lease of no length was granted")
	}
	b.apply(s, watchdog.Change{Resign: true}) // there is nothing to give up
}

func memberRegisteredOnce(b *bench) {
	first, _ := b.leased()
	second, _ := b.leased()
	register := watchdog.Change{If: watchdog.If{MemberRevs: map[string]int64{"a": 0}}, Member: member("a")}
	created := b.apply(first, register)
	b.refused(second, register, sidecar.ErrCompareLost)
	b.apply(first, watchdog.Change{If: watchdog.If{MemberRevs: map[string]int64{"a": created}}, Member: member("a")})
	c := b.read(second)
	if c.Members["a"].CreateRev != created || c.Members["a"].ModRev <= created {
		b.Errorf("member %+v, want one created in %d and rewritten", c.Members["a"], created)
	}
	b.apply(first, watchdog.Change{WithdrawnBy: "a"})
	b.refused(second, watchdog.Change{If: watchdog.If{MemberRevs: map[string]int64{"a": created}}, Member: member("a")}, sidecar.ErrCompareLost)
	b.apply(second, register)
}

// delayedStatus: a put that nothing else pins must not land on what was written after its writer last heard of the store.
func delayedStatus(b *bench) {
	late, _ := b.leased()
	early, _ := b.leased()
	b.apply(late, watchdog.Change{Member: member("a"), Ballot: ballot(1, "a", 1)})
	b.read(early)
	b.apply(early, watchdog.Change{Member: member("a"), Ballot: ballot(1, "a", 2)})
	b.refused(late, watchdog.Change{Member: member("a")}, sidecar.ErrCompareLost)
	b.read(late)
	b.apply(late, watchdog.Change{Member: member("a"), Ballot: ballot(1, "a", 3)})
}

func leaderIsFirst(b *bench) {
	first, _ := b.leased()
	second, secondLease := b.leased()
	third, _ := b.leased()
	b.apply(second, watchdog.Change{Campaign: "b"})
	b.apply(first, watchdog.Change{Campaign: "a"})
	b.apply(third, watchdog.Change{Campaign: "c"})
	leads := func(want string) {
		b.Helper()
		if c := b.read(first); c.Leader != want || c.Campaigns[want] != c.LeaderKey {
			b.Fatalf("leader %q with %q of %v, want %q", c.Leader, c.LeaderKey, c.Campaigns, want)
		}
	}
	leads("b")
	if c := b.read(first); len(c.Campaigns) != 3 {
		b.Errorf("campaigns %v", c.Campaigns)
	}
	b.raw.Expire(secondLease)
	leads("a")
	b.apply(first, watchdog.Change{Resign: true})
	leads("c")
	b.apply(first, watchdog.Change{Campaign: "a"})
	leads("c")
}

func campaignAgain(b *bench) {
	first, _ := b.leased()
	second, _ := b.leased()
	b.apply(first, watchdog.Change{Campaign: "a"})
	b.apply(second, watchdog.Change{Campaign: "b"})
	before := b.read(first)
	b.apply(first, watchdog.Change{Campaign: "a"})
	after := b.read(first)
	if after.Leader != "a" || after.LeaderCreateRev != before.LeaderCreateRev || after.Revision != before.Revision {
		b.Errorf("leader %q since %d, revision %d, want a since %d, revision %d",
			after.Leader, after.LeaderCreateRev, after.Revision, before.LeaderCreateRev, before.Revision)
	}
}

func asLeader(b *bench) {
	s, c := b.seeded()
	b.apply(s, watchdog.Change{Campaign: "a"})
	c = b.read(s)
	lead := watchdog.If{RecordRev: at(c.RecordRev), LeaderKey: c.LeaderKey, LeaderRev: c.LeaderCreateRev}
	b.apply(s, watchdog.Change{Resign: true})
	b.refused(s, watchdog.Change{If: lead, Record: record(2, 2)}, sidecar.ErrCompareLost)
	b.apply(s, watchdog.Change{Campaign: "a"})
	b.refused(s, watchdog.Change{If: lead, Record: record(2, 2)}, sidecar.ErrCompareLost) // another key by the same name
	c = b.read(s)
	lead.LeaderRev = c.LeaderCreateRev
	b.apply(s, watchdog.Change{If: lead, Record: record(2, 2)})
}

func ballots(b *bench) {
	s, c := b.seeded()
	b.apply(s, watchdog.Change{Ballot: ballot(1, "old", 1)})
	b.apply(s, watchdog.Change{If: watchdog.If{RecordRev: at(c.RecordRev)}, Record: record(2, 2)})
	b.apply(s, watchdog.Change{Ballot: ballot(2, "a", 10)})
	b.apply(s, watchdog.Change{Ballot: ballot(2, "b", 20)})
	c = b.read(s)
	if len(c.Ballots) != 2 || c.Ballots["b"].End != 20 {
		b.Fatalf("ballots %+v, want those of term 2", c.Ballots)
	}
	judged := map[string]int64{"a": c.Ballots["a"].ModRev, "b": c.Ballots["b"].ModRev}
	name := func(revs map[string]int64) watchdog.Change {
		return watchdog.Change{If: watchdog.If{RecordRev: at(c.RecordRev), BallotTerm: 2, BallotRevs: revs}, Record: record(2, 3)}
	}
	b.apply(s, watchdog.Change{Ballot: ballot(2, "b", 21)})
	b.refused(s, name(judged), sidecar.ErrCompareLost)
	b.refused(s, name(map[string]int64{"b": 0}), sidecar.ErrCompareLost)
	judged["b"] = b.read(s).Ballots["b"].ModRev
	judged["c"] = 0
	b.apply(s, name(judged))
	b.apply(s, watchdog.Change{DropBallotsOf: 2})
	if c := b.read(s); len(c.Ballots) != 0 {
		b.Errorf("ballots %+v, want none", c.Ballots)
	}
	if _, there := b.raw.Get(b.raw.Prefix() + "ballots/00000000000000000001/old"); !there {
		b.Error("another term's ballot was dropped")
	}
	b.apply(s, watchdog.Change{ClearBallots: true})
	if _, there := b.raw.Get(b.raw.Prefix() + "ballots/00000000000000000001/old"); there {
		b.Error("a ballot was not cleared")
	}
}

func leaseLost(b *bench) {
	s, lease := b.leased()
	if err := s.KeepAlive(b.ctx); err != nil {
		b.Fatalf("KeepAlive: %v", err)
	}
	b.raw.Expire(lease)
	if err := s.KeepAlive(b.ctx); !errors.Is(err, sidecar.ErrLeaseLost) {
		b.Errorf("KeepAlive: %v, want %v", err, sidecar.ErrLeaseLost)
	}
	for _, change := range []watchdog.Change{{Member: member("a")}, {Campaign: "a"}, {TakePrimary: "a"}} {
		b.refused(s, change, sidecar.ErrLeaseLost)
	}
	if err := b.open().Resume(b.ctx, lease); !errors.Is(err, sidecar.ErrLeaseLost) {
		b.Errorf("Resume: %v, want %v", err, sidecar.ErrLeaseLost)
	}
	again, err := s.Grant(b.ctx, leaseTTL)
	if err != nil || again == lease {
		b.Fatalf("Grant: lease %x after %x, error %v", again, lease, err)
	}
	b.apply(s, watchdog.Change{Member: member("a"), Campaign: "a"})
	if err := s.KeepAlive(b.ctx); err != nil {
		b.Errorf("KeepAlive: %v", err)
	}
}

func leaseResumed(b *bench) {
	earlier, lease := b.leased()
	b.apply(earlier, watchdog.Change{Member: member("a"), Campaign: "a"})
	before := b.read(earlier)
	if err := earlier.Close(); err != nil {
		b.Fatalf("Close: %v", err)
	}
	later := b.open()
	if err := later.Resume(b.ctx, lease); err != nil {
		b.Fatalf("Resume: %v", err)
	}
	if err := later.KeepAlive(b.ctx); err != nil {
		b.Fatalf("KeepAlive: %v", err)
	}
	b.apply(later, watchdog.Change{Member: member("a"), Campaign: "a"})
	c := b.read(later)
	if c.LeaderKey != before.LeaderKey || c.LeaderCreateRev != before.LeaderCreateRev || c.Members["a"].CreateRev != before.Members["a"].CreateRev {
		b.Errorf("the keys are not those of the earlier process: %+v, were %+v", c, before)
	}
	b.apply(later, watchdog.Change{Resign: true})
	if c := b.read(later); c.LeaderKey != "" {
		b.Errorf("leader %q after it resigned", c.Leader)
	}
	other := b.open()
	if err := other.Resume(b.ctx, 0); !errors.Is(err, sidecar.ErrLeaseLost) {
		b.Errorf("Resume of no lease: %v", err)
	}
	if _, err := other.Grant(b.ctx, 1500*time.Millisecond); err != nil {
		b.Errorf("Grant of a second and a half: %v", err)
	}
}
