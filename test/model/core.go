package model

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// record is what the state holds of etcd's record.
type record struct {
	term, phase, primary, taken, taker, takerTerm uint8
	dur, next                                     quorum
	tfrom, ttl, tend, twhole                      uint8
	reachTL, reach, reachFrom                     uint8
}

// cast is a ballot as the leader reads it.
type cast struct{ timeline, end, flags uint8 }

// question is everything that a decision of the core depends on here; equal questions are asked once.
type question struct {
	ask      uint8
	who, by  uint8 // members, by index
	record   record
	cast     [limit]cast
	timeline [5]uint8 // by term
	forks    [5]uint8 // and where it begins, once settled
}

// What the core is asked.
const (
	toOpen     uint8 = iota // the leader: the primary is silent, or the one named does not take the term
	toName                  // the leader: who wins, by ballots of the open term
	toOverrule              // the leader: who wins, by ballots in advance
	toTake
	toHandOver
	toSurrender
	toSettle
)

// core asks the decision core and remembers what it said.
type core struct {
	names   []string
	asked   map[question]*record // nil: it decides nothing
	planned map[plan]watchdog.Step
	kept    map[keep]kept
	covered map[[2]quorum]bool
}

func newCore(servers int) *core {
	c := &core{asked: map[question]*record{}, planned: map[plan]watchdog.Step{}, kept: map[keep]kept{}, covered: map[[2]quorum]bool{}}
	for i := range servers {
		c.names = append(c.names, memberName(i))
	}
	return c
}

func (s *state) record(w *world) record {
	return record{s.term, s.phase, s.primary, s.taken, s.taker, s.takerTerm, s.dur, s.next, s.tfrom, s.ttl, w.length(s.twal), s.twhole,
		s.reachTL, s.reach, s.reachFrom}
}

func (s *state) apply(r record, tail wal) {
	for i := range s.m {
		if r.term != s.term {
			s.m[i].seen = 0
		}
	}
	s.term, s.phase, s.primary, s.taken, s.taker, s.takerTerm = r.term, r.phase, r.primary, r.taken, r.taker, r.takerTerm
	s.dur, s.next, s.tfrom, s.ttl, s.twal, s.twhole = r.dur, r.next, r.tfrom, r.ttl, tail, r.twhole
	s.reachTL, s.reach, s.reachFrom = r.reachTL, r.reach, r.reachFrom
	if r.tfrom == 0 {
		s.twal = 0
	}
}

func (c *core) answer(q question) *record {
	r, known := c.asked[q]
	if !known {
		r = c.ask(q)
		c.asked[q] = r
	}
	return r
}

// long is past every bound of the policy: the model has no clock, and what may happen after a bound may happen at once.
const long = watchdog.Instant(time.Hour)

func (c *core) ask(q question) *record {
	v := c.view(q)
	var change *watchdog.Change
	switch q.ask {
	case toTake:
		t := watchdog.TakeChange(v, v.Cluster.NextTimeline(1))
		change = &t
	case toSettle:
		t := watchdog.SettleChange(v, watchdog.Timeline(q.record.term), 1, watchdog.TailFetch{})
		change = &t
	case toHandOver:
		t := watchdog.HandOverChange(v, watchdog.ReasonServerExited, c.names[q.by], watchdog.Tail{
			From: c.names[q.who], Timeline: watchdog.Timeline(q.record.ttl), End: watchdog.LSN(q.record.tend), Exact: true, Whole: true})
		change = &t
	case toSurrender:
		t := watchdog.HandOverChange(v, watchdog.ReasonServerExited, "", watchdog.Tail{End: watchdog.LSN(q.record.tend)})
		change = &t
	default:
		for _, a := range watchdog.Decide(v).Actions {
			if a.Change != nil && a.Change.Record != nil {
				change = a.Change
			}
		}
		if change == nil || change.If.LeaderKey == "" {
			return nil
		}
	}
	if change.If.RecordRev == nil || *change.If.RecordRev != v.Cluster.RecordRev {
		panic("a change of the record that does not compare its revision")
	}
	r := c.read(change.Record)
	if c.write(r).LastTaker != change.Record.LastTaker {
		panic(fmt.Sprintf("the model knows less of the last taker than the record: %+v", change.Record.LastTaker))
	}
	return &r
}

// view is what the one that is asked sees: the leader is a member of its own, beside no server.
func (c *core) view(q question) watchdog.View {
	me := "leader"
	if q.ask == toTake || q.ask == toHandOver || q.ask == toSurrender || q.ask == toSettle {
		me = c.names[q.who]
	}
	v := watchdog.View{
		Now: long, ReadAt: long, Policy: watchdog.DefaultPolicy(), Peers: map[string]watchdog.Peer{},
		Me: watchdog.Identity{Name: me, Incarnation: me, Registered: true, CampaignKey: "leader/" + me, GuardReady: true,
			Admitted: watchdog.Admission{SystemID: "7", StoreID: "etcd", Term: watchdog.Term(q.record.term), Seq: 1}},
		Cluster: &watchdog.Cluster{
			StoreID: "etcd", Record: c.write(q.record), RecordRev: 9, PrimaryTermRev: 5, LeaderKey: "leader/leader", LeaderCreateRev: 1,
			Members: map[string]watchdog.Registered{}, Ballots: map[string]watchdog.Cast{}, Advance: map[string]watchdog.Cast{},
			Campaigns: map[string]string{"leader": "leader/leader"},
		},
	}
	v.Policy.Durability = watchdog.ModeQuorum
	r := v.Cluster.Record
	v.Memory = watchdog.Memory{Term: r.Term, Phase: r.Phase, Since: 1, TermSince: 1, RenewalRev: 5, SilentSince: 1}
	for _, name := range append([]string{"leader"}, c.names...) {
		v.Cluster.Members[name] = watchdog.Registered{CreateRev: 3, Member: watchdog.Member{
			Name: name, Incarnation: name, SystemID: "7", Role: watchdog.RoleStandby, Witness: name == "leader", ServerVersion: 150000}}
		r.Members = append(r.Members, name)
	}
	for term, timeline := range q.timeline {
		if timeline != 0 {
			v.Cluster.Ledger = append(v.Cluster.Ledger, watchdog.LedgerEntry{
				Term: watchdog.Term(term), Timeline: watchdog.Timeline(timeline), Fork: watchdog.LSN(q.forks[term])})
		}
	}
	c.cast(v, q)
	return v
}

// cast lays the ballots where the leader finds them. Every member but the one asked for bars itself, so that each that may
// win, does: which of equals it is, and whom a veto leaves, is not the model's to say.
func (c *core) cast(v watchdog.View, q question) {
	where, term := v.Cluster.Ballots, v.Cluster.Record.Term
	if q.ask == toOverrule {
		where, term = v.Cluster.Advance, term+1
	}
	for i, b := range q.cast[:len(c.names)] {
		if b.end == 0 {
			continue
		}
		ballot := watchdog.Ballot{
			Term: term, Member: c.names[i], Incarnation: c.names[i], Timeline: watchdog.Timeline(b.timeline), End: watchdog.LSN(b.end),
			Exact: b.flags&exact != 0, Fenced: b.flags&fenced != 0,
		}
		if i != int(q.who) {
			ballot.Vetoes = []watchdog.Veto{watchdog.VetoNoFailover}
		}
		where[c.names[i]] = watchdog.Cast{Ballot: ballot, ModRev: 7}
	}
}

var phases = []watchdog.Phase{normal: watchdog.PhaseNormal, electing: watchdog.PhaseElecting, promoting: watchdog.PhasePromoting}

func (c *core) write(r record) *watchdog.Record {
	out := &watchdog.Record{
		SystemID: "7", Term: watchdog.Term(r.term), Seq: 1, Phase: phases[r.phase], Primary: c.name(r.primary), Taken: r.taken != 0,
		LastTaker: watchdog.Holder{Name: c.names[r.taker], Incarnation: c.names[r.taker], Term: watchdog.Term(r.takerTerm),
			ReachTimeline: watchdog.Timeline(r.reachTL), Reach: watchdog.LSN(r.reach), ReachFrom: c.name(r.reachFrom)},
		Timeline: 1, Durability: c.durability(r.dur),
	}
	if r.next != 0 {
		next := c.durability(r.next)
		next.Mode = watchdog.ModeQuorum
		out.Next = &next
	}
	if r.tfrom != 0 {
		out.Tail = &watchdog.Tail{From: c.name(r.tfrom), Timeline: watchdog.Timeline(r.ttl), End: watchdog.LSN(r.tend), Whole: r.twhole != 0}
	}
	return out
}

func (c *core) read(r *watchdog.Record) record {
	out := record{
		term: uint8(r.Term), phase: uint8(slices.Index(phases, r.Phase)), primary: c.index(r.Primary), taker: c.index(r.LastTaker.Name) - 1,
		takerTerm: uint8(r.LastTaker.Term), reachTL: uint8(r.LastTaker.ReachTimeline), reach: uint8(r.LastTaker.Reach),
		reachFrom: c.index(r.LastTaker.ReachFrom), dur: c.quorum(r.Durability),
	}
	if r.Taken {
		out.taken = 1
	}
	if r.Next != nil {
		out.next = c.quorum(*r.Next) | present
	}
	if r.Tail != nil {
		out.tfrom, out.ttl, out.tend = c.index(r.Tail.From), uint8(r.Tail.Timeline), uint8(r.Tail.End)
		if r.Tail.Whole {
			out.twhole = 1
		}
	}
	return out
}

func (c *core) name(index uint8) string {
	if index == 0 {
		return ""
	}
	return c.names[index-1]
}

func (c *core) index(name string) uint8 { return uint8(slices.Index(c.names, name) + 1) }

func (c *core) durability(q quorum) watchdog.Durability {
	if q.bare() == 0 {
		return watchdog.Durability{Mode: watchdog.ModeAsync}
	}
	d := watchdog.Durability{Mode: watchdog.ModeQuorum, K: q.k()}
	for i, name := range c.names {
		if q.voters()&(1<<i) != 0 {
			d.Voters = append(d.Voters, name)
		}
	}
	return d
}

func (c *core) quorum(d watchdog.Durability) quorum {
	if d.Mode != watchdog.ModeQuorum {
		return 0
	}
	return quorumOf(d.K, c.set(d.Voters))
}

func (c *core) set(names []string) (set uint8) {
	for _, name := range names {
		set |= 1 << (c.index(name) - 1)
	}
	return set
}

// covers is the inequality that is kept at every instant.
func (c *core) covers(d, server quorum) bool {
	key := [2]quorum{d, server}
	yes, known := c.covered[key]
	if !known {
		yes = c.durability(d).Covers(c.durability(server).Sync(1))
		c.covered[key] = yes
	}
	return yes
}

func (c *core) tellQuorum(q quorum) string {
	if q.bare() == 0 {
		return "async"
	}
	return fmt.Sprintf("%d of %s", q.k(), strings.Join(c.durability(q.bare()).Voters, ","))
}

// nextTimeline is the number that a winner enters in the ledger when it takes its term.
func (c *core) nextTimeline(numbers [5]uint8, own uint8) uint8 {
	var cluster watchdog.Cluster
	for term, timeline := range numbers {
		if timeline != 0 {
			cluster.Ledger = append(cluster.Ledger, watchdog.LedgerEntry{Term: watchdog.Term(term), Timeline: watchdog.Timeline(timeline)})
		}
	}
	return uint8(cluster.NextTimeline(watchdog.Timeline(own)))
}
