package electiontest

import (
	"encoding/json"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

func emptyCluster(b *bench) {
	c := b.read(b.open())
	if c.StoreID == "" || c.Revision == 0 {
		b.Errorf("store id %q, revision %d: want both", c.StoreID, c.Revision)
	}
	if c.Record != nil || c.RecordRev != 0 || c.PrimaryTerm != nil || c.PrimaryTermRev != 0 || c.Primary != "" || c.PrimaryCreateRev != 0 ||
		c.LeaderKey != "" || c.Policy != nil || c.PolicyRev != 0 || len(c.Members)+len(c.Campaigns)+len(c.Ballots)+len(c.Ledger)+len(c.Garbage) != 0 {
		b.Errorf("an empty cluster reads as %+v", c)
	}
	if events, err := b.open().Events(b.ctx, 10); err != nil || len(events) != 0 {
		b.Errorf("events: %v, %v", events, err)
	}
}

func recordCreatedOnce(b *bench) {
	first, second := b.open(), b.open()
	create := watchdog.Change{If: watchdog.If{RecordRev: at(0)}, Record: record(1, 1)}
	revision := b.apply(first, create)
	b.refused(second, create, sidecar.ErrCompareLost)
	if c := b.read(second); c.Record == nil || c.RecordRev != revision || c.Record.Term != 1 {
		b.Errorf("record %+v of revision %d, want that of revision %d", c.Record, c.RecordRev, revision)
	}
}

func recordCompared(b *bench) {
	s, before := b.seeded()
	b.apply(s, watchdog.Change{If: watchdog.If{RecordRev: at(before.RecordRev)}, Record: record(2, 2)})
	b.refused(s, watchdog.Change{If: watchdog.If{RecordRev: at(before.RecordRev)}, Record: record(3, 3)}, sidecar.ErrCompareLost)
	if c := b.read(s); c.Record.Term != 2 {
		b.Errorf("term %d, want 2", c.Record.Term)
	}
}

func recordKeepsUnknown(b *bench) {
	s, before := b.seeded()
	key := b.raw.Prefix() + "record"
	text, _ := b.raw.Get(key)
	b.raw.Put(key, strings.Replace(text, "{", `{"from_later":{"deep":[1,2]},`, 1))
	c := b.read(s)
	if c.Record == nil || c.RecordRev == before.RecordRev {
		b.Fatalf("record %v of revision %d: %v", c.Record, c.RecordRev, c.Garbage)
	}
	next := *c.Record
	next.Seq++
	b.apply(s, watchdog.Change{If: watchdog.If{RecordRev: at(c.RecordRev)}, Record: &next})
	var kept struct {
		Seq   uint64          `json:"seq"`
		Later json.RawMessage `json:"from_later"`
	}
	text, _ = b.raw.Get(key)
	if err := json.Unmarshal([]byte(text), &kept); err != nil || string(kept.Later) != `{"deep":[1,2]}` || kept.Seq != next.Seq {
		b.Errorf("rewritten as %s: %v", text, err)
	}
}

func uncomparedRefused(b *bench) {
	s, before := b.seeded()
	b.refused(s, watchdog.Change{Record: record(9, 9)}, nil)
	b.refused(s, watchdog.Change{PrimaryTerm: renewalOf("a", 9)}, nil)
	b.refused(s, watchdog.Change{If: watchdog.If{PrimaryTermRev: at(before.PrimaryTermRev)}, TakePrimary: "a", DropPrimary: true}, nil)
	if c := b.read(s); c.Revision != before.Revision {
		b.Errorf("revision %d, want %d: something was written", c.Revision, before.Revision)
	}
}

func renewal(b *bench) {
	s, before := b.seeded()
	other := b.open()
	revision := b.apply(s, watchdog.Change{If: watchdog.If{PrimaryTermRev: at(before.PrimaryTermRev)}, PrimaryTerm: renewalOf("a", 1)})
	b.refused(other, watchdog.Change{If: watchdog.If{PrimaryTermRev: at(before.PrimaryTermRev)}, PrimaryTerm: renewalOf("b", 1)}, sidecar.ErrCompareLost)
	c := b.read(other)
	if c.PrimaryTermRev != revision || c.PrimaryTerm.Holder != "a" || c.PrimaryTerm.Counter != 1 || c.PrimaryTerm.Flushed != 0x4000060 {
		b.Errorf("renewal %+v of revision %d, want a's of revision %d", c.PrimaryTerm, c.PrimaryTermRev, revision)
	}
}

func everythingReadBack(b *bench) {
	s, before := b.seeded()
	policy := watchdog.DefaultPolicy()
	policy.LagLimit = 4711
	b.apply(s, watchdog.Change{
		If: watchdog.If{RecordRev: at(before.RecordRev), PolicyRev: at(0)}, Record: record(2, 2), Policy: &policy, Member: member("a"),
		Campaign: "a", Ballot: ballot(2, "a", 0x5000000), Ledger: &watchdog.LedgerEntry{Term: 2, Timeline: 2, Owner: "a", Fork: 0x4000100},
	})
	c := b.read(b.open())
	switch {
	case c.Primary != "a" || c.PrimaryCreateRev == 0:
		b.Errorf("primary %q of revision %d", c.Primary, c.PrimaryCreateRev)
	case c.Policy == nil || c.Policy.LagLimit != 4711 || c.PolicyRev != c.RecordRev:
		b.Errorf("policy %+v of revision %d", c.Policy, c.PolicyRev)
	case c.Members["a"].Address != "a:5432" || c.Members["a"].CreateRev != c.RecordRev || c.Members["a"].ModRev != c.RecordRev:
		b.Errorf("members %+v", c.Members)
	case c.Leader != "a" || c.Campaigns["a"] != c.LeaderKey || c.LeaderCreateRev != c.RecordRev || !strings.HasPrefix(c.LeaderKey, b.raw.Prefix()+"leader/"):
		b.Errorf("leader %q with key %q of revision %d", c.Leader, c.LeaderKey, c.LeaderCreateRev)
	case c.Ballots["a"].End != 0x5000000 || c.Ballots["a"].ModRev != c.RecordRev:
		b.Errorf("ballots %+v", c.Ballots)
	case len(c.Ledger) != 2 || c.Ledger[0].Term != 1 || c.Ledger[1].Fork != 0x4000100:
		b.Errorf("ledger %+v", c.Ledger)
	case len(c.Garbage) != 0:
		b.Errorf("garbage %v", c.Garbage)
	}
	if name, _ := b.raw.Get(b.raw.Prefix() + "primary"); name != "a" {
		b.Errorf("the primary key holds %q, want the plain name", name)
	}
}

func allOrNothing(b *bench) {
	s, before := b.seeded()
	all := watchdog.Change{
		If:     watchdog.If{RecordRev: at(before.RecordRev), PrimaryTermRev: at(before.PrimaryTermRev - 1)},
		Record: record(2, 2), Member: member("a"), DropPrimary: true, Ballot: ballot(2, "a", 1), Event: &watchdog.Event{Term: 2, Seq: 2},
		Ledger: &watchdog.LedgerEntry{Term: 2, Timeline: 2, Owner: "a"},
	}
	b.refused(s, all, sidecar.ErrCompareLost)
	if c := b.read(s); c.Revision != before.Revision {
		b.Fatalf("revision %d, want %d: something was written", c.Revision, before.Revision)
	}
	all.If.PrimaryTermRev = at(before.PrimaryTermRev)
	revision := b.apply(s, all)
	c := b.read(s)
	if c.Revision != revision || c.Record.Term != 2 || c.Primary != "" || len(c.Members) != 1 || len(c.Ballots) != 1 || len(c.Ledger) != 2 {
		b.Errorf("not all was written: %+v", c)
	}
}

func garbage(b *bench) {
	s, before := b.seeded()
	b.apply(s, watchdog.Change{Member: member("b")})
	prefix := b.raw.Prefix()
	bad := map[string]string{
		prefix + "record":                                "not JSON at all",
		prefix + "primary.term":                          `{"term":1`,
		prefix + "config":                                `{"ttl":"1ms"}`,
		prefix + "primary":                               "a/b",
		prefix + "members/big":                           `{"name":"big","incarnation":"` + strings.Repeat("x", 1<<20) + `"}`,
		prefix + "members/c":                             `{"name":"d","incarnation":"d-1"}`,
		prefix + "members/e":                             `{"name":"e","incarnation":"e-1"}`, // under no lease
		prefix + "leader/7777":                           "ghost",                            // under no lease
		prefix + "ballots/00000000000000000001/c":        `{"term":1,"member":"d","incarnation":"d-1"}`,
		prefix + "ballots/00000000000000000001/d":        `{"term":2,"member":"d","incarnation":"d-1"}`,
		prefix + "ballots/2/d":                           `{"term":2,"member":"d","incarnation":"d-1"}`,
		prefix + "terms/00000000000000000007":            `[]`,
		prefix + "terms/00000000000000000008":            "null",
		prefix + "members/\xff\xfe":                      "\x00\x01",
		prefix + "terms/00000000000000000009/and-deeper": `{"term":9,"timeline":9,"owner":"a"}`,
	}
	for key, value := range bad {
		b.raw.Put(key, value)
	}
	c := b.read(s)
	for key := range bad {
		if c.Garbage[key] == "" {
			b.Errorf("%q is not reported", key)
		}
	}
	if len(c.Garbage) != len(bad) {
		b.Errorf("reported: %v", c.Garbage)
	}
	if c.Record != nil || c.PrimaryTerm != nil || c.Policy != nil || c.Primary != "" || c.LeaderKey != "" || len(c.Ballots) != 0 || len(c.Ledger) != 1 {
		b.Errorf("garbage was taken over: %+v", c)
	}
	if c.RecordRev <= before.RecordRev || c.PrimaryTermRev <= before.PrimaryTermRev || c.PolicyRev == 0 || c.PrimaryCreateRev == 0 {
		b.Errorf("revisions are missing: %+v", c)
	}
	if len(c.Members) != 1 || c.Members["b"].Address != "b:5432" {
		b.Errorf("the good member is hidden: %+v", c.Members)
	}
	for _, change := range []watchdog.Change{
		{If: watchdog.If{RecordRev: at(c.RecordRev)}, Record: record(9, 9)},
		{If: watchdog.If{RecordRev: at(0)}, Record: record(9, 9)},
		{If: watchdog.If{PrimaryTermRev: at(c.PrimaryTermRev)}, PrimaryTerm: renewalOf("a", 9)},
		{If: watchdog.If{MemberRevs: map[string]int64{"c": 0}}, Member: member("c")},
		{Ballot: ballot(1, "c", 1)},
		{Ledger: &watchdog.LedgerEntry{Term: 7, Timeline: 7, Owner: "a"}},
	} {
		b.refused(s, change, nil)
	}
	for key, value := range bad {
		if now, _ := b.raw.Get(key); now != value {
			b.Errorf("%q was overwritten", key)
		}
	}
	b.refused(b.open(), watchdog.Change{If: watchdog.If{RecordRev: at(0)}, Record: record(1, 1)}, sidecar.ErrCompareLost)
}

func prefixDeleted(b *bench) {
	s, _ := b.seeded()
	b.apply(s, watchdog.Change{Member: member("a"), Campaign: "a"})
	b.raw.DeletePrefix(b.raw.Prefix())
	c := b.read(s)
	if c.Record != nil || c.RecordRev != 0 || c.PrimaryTermRev != 0 || c.PrimaryCreateRev != 0 || c.LeaderKey != "" || len(c.Members)+len(c.Ledger) != 0 {
		b.Errorf("a deleted cluster reads as %+v", c)
	}
	if err := s.KeepAlive(b.ctx); err != nil {
		b.Errorf("the lease outlives the keys: %v", err)
	}
	b.apply(s, watchdog.Change{If: watchdog.If{RecordRev: at(0), PrimaryTermRev: at(0), PrimaryRev: at(0)}, Record: record(2, 9), PrimaryTerm: renewalOf("a", 1), TakePrimary: "a"})
	if c := b.read(s); c.Record == nil || c.Record.Term != 2 {
		b.Errorf("the record was not written again: %+v", c)
	}
}
