package watchdog

import (
	"errors"
	"testing"
)

// handedOver is a record whose heir has taken term 2 and is to fetch node1's tail from where it ends itself, 0/100.
func handedOver(mode Mode, end LSN) View {
	r := Record{
		Term: 2, Phase: PhasePromoting, Primary: "node2", Taken: true, Timeline: 1, Durability: Durability{Mode: mode},
		Tail: &Tail{From: "node1", Timeline: 1, End: end, Whole: end != 0},
	}
	if mode == ModeQuorum {
		r.Next = &Durability{Mode: mode, K: 1, Voters: []string{"node1"}}
	}
	return View{
		Me: Identity{Name: "node2"}, Server: Server{Timeline: 1, Received: 0x100, Replayed: 0x100},
		Cluster: &Cluster{
			Record: &r, PrimaryTerm: &PrimaryTerm{Term: 1, Flushed: 0x180},
			Ledger: []LedgerEntry{{Term: 1, Timeline: 1, Owner: "node1"}},
		},
	}
}

func TestJudgeTail(t *testing.T) {
	elected := Tail{From: "node3", Timeline: 1, Start: 0x100, End: 0x200, Exact: true}
	inexact := elected
	inexact.Exact = false
	for name, c := range map[string]struct {
		mode  Mode
		tail  *Tail
		fetch TailFetch
		want  error
	}{
		"whole":                                {ModeAsync, nil, TailFetch{Own: 0x100, Reached: 0x200}, nil},
		"whole, in quorum":                     {ModeQuorum, nil, TailFetch{Own: 0x100, Reached: 0x200}, nil},
		"none to fetch":                        {ModeQuorum, nil, TailFetch{}, nil},
		"left behind":                          {ModeAsync, nil, TailFetch{Own: 0x100, Reached: 0x180, Failed: true}, nil},
		"left behind, in quorum":               {ModeQuorum, nil, TailFetch{Own: 0x100, Reached: 0x1FF, Failed: true}, ErrTailRefused},
		"an election's":                        {ModeAsync, &elected, TailFetch{Own: 0x100, Failed: true}, ErrTailAwaited},
		"an election's, in quorum":             {ModeQuorum, &elected, TailFetch{Own: 0x100, Failed: true}, ErrTailAwaited},
		"an election's, to an end not exact":   {ModeAsync, &inexact, TailFetch{Own: 0x100, Failed: true}, nil},
		"an election's, fetched to its end":    {ModeAsync, &elected, TailFetch{Own: 0x100, Reached: 0x200}, nil},
		"a hand-over without an end, in async": {ModeAsync, &Tail{From: "node1", Timeline: 1}, TailFetch{Own: 0x100, Failed: true}, nil},
	} {
		v := handedOver(c.mode, 0x200)
		if c.tail != nil {
			v.Cluster.Record.Tail = c.tail
		}
		if got := v.Cluster.Record.JudgeTail(c.fetch); !errors.Is(got, c.want) || got != nil && c.want == nil {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestWhatAPromotionReports(t *testing.T) {
	whole, torn := TailFetch{Own: 0x100, Reached: 0x200}, TailFetch{Own: 0x100, Reached: 0x180, Failed: true}
	for name, c := range map[string]struct {
		end    LSN
		change func(*View)
		fetch  TailFetch
		fork   LSN
		want   map[string]string
	}{
		"the tail came whole": {0x200, nil, whole, 0x200, map[string]string{
			"fork": "0/200", "lost": "nothing: the old primary's WAL is here to its end", "tail": "256 bytes fetched from node1, to 0/200"}},
		"there was none to fetch": {0x100, nil, TailFetch{Own: 0x100}, 0x100, map[string]string{
			"fork": "0/100", "lost": "nothing: the old primary's WAL is here to its end"}},
		"part of it came": {0x200, nil, torn, 0x170, map[string]string{
			"fork": "0/170", "lost_range": "possibly lost: WAL of timeline 1 from 0/170 to 0/200, on node1"}},
		"its end is not known": {0, nil, TailFetch{Own: 0x100, Failed: true}, 0x100, map[string]string{
			"fork": "0/100", "lost_range": "possibly lost: WAL of timeline 1 from 0/100 to an end that is not known (the last renewal had flushed 0/180), on node1"}},
		"its end is not known, and we are past the last renewal": {0, nil, TailFetch{Own: 0x190, Failed: true}, 0x190, map[string]string{
			"fork": "0/190", "lost_range": "possibly lost: WAL of timeline 1 from 0/190 to an end that is not known, on node1"}},
		"an election": {0, func(v *View) { v.Cluster.Record.Tail = nil }, TailFetch{}, 0x100, map[string]string{
			"fork": "0/100", "lost_range": "possibly lost: WAL of timeline 1 from 0/100 to an end that is not known (the last renewal had flushed 0/180), on node1"}},
		"an election, settled by a sidecar that did not take the term": {0, func(v *View) {
			v.Cluster.Record.Tail, v.Cluster.PrimaryTerm.Term = nil, 2
		}, TailFetch{}, 0x100, map[string]string{
			"fork": "0/100", "lost_range": "possibly lost: WAL of timeline 1 from 0/100 to an end that is not known, on node1"}},
		"a stray wins, whose log the settled history had left": {0, func(v *View) {
			v.Cluster.Record.Tail, v.Cluster.Record.Timeline = nil, 2
			v.Cluster.Record.Term, v.Cluster.PrimaryTerm.Term = 3, 2
			v.Cluster.Ledger = append(v.Cluster.Ledger, LedgerEntry{Term: 2, Timeline: 2, Owner: "node3", Fork: 0x80})
		}, TailFetch{}, 0x100, map[string]string{
			"fork": "0/100", "lost_range": "possibly lost: WAL of timeline 2 from 0/80 to an end that is not known (the last renewal had flushed 0/180), on node3"}},
		"the term before was taken and not settled": {0x200, func(v *View) {
			v.Cluster.Record.Term = 3
			v.Cluster.Ledger = append(v.Cluster.Ledger, LedgerEntry{Term: 2, Timeline: 2, Owner: "node3", Parent: 1, Least: 0xE0})
		}, whole, 0x200, map[string]string{
			"fork": "0/200", "tail": "256 bytes fetched from node1, to 0/200",
			"lost_range": "possibly lost: WAL of timeline 1, 2 from 0/E0 to an end that is not known, on node3"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := handedOver(ModeAsync, c.end)
			if c.change != nil {
				c.change(&v)
			}
			e := SettleChange(v, 7, c.fork, c.fetch).Event
			if len(e.Facts) != len(c.want) || e.Loss == nil || e.Loss.Nothing != (c.want["lost"] != "") {
				t.Errorf("%+v, %+v", e.Facts, e.Loss)
			}
			for fact, want := range c.want {
				if e.Facts[fact] != want {
					t.Errorf("%s %q, want %q", fact, e.Facts[fact], want)
				}
			}
		})
	}
}

// The entry that a term was taken with is the one that it is settled with: our server has moved on since.
func TestTheLedgerKeepsWhereATermBegan(t *testing.T) {
	v := handedOver(ModeAsync, 0x200)
	taken := TakeChange(v, 2).Ledger
	if taken.Parent != 1 || taken.Least != 0x100 || taken.Fork != 0 {
		t.Errorf("taken with %+v", taken)
	}
	v.Cluster.Ledger = append(v.Cluster.Ledger, *taken)
	v.Server.Timeline, v.Server.Replayed = 2, 0x300
	if settled := SettleChange(v, 2, 0x200, TailFetch{}).Ledger; settled.Parent != 1 || settled.Least != 0x100 || settled.Fork != 0x200 {
		t.Errorf("settled with %+v", settled)
	}
}

// A surrender that does not know its end must not hide how much the last renewal had: the lag limit is judged by it.
func TestASurrenderWithoutAnEndKeepsTheLastRenewal(t *testing.T) {
	v := handedOver(ModeAsync, 0)
	for end, want := range map[LSN]LSN{0: 0x180, 0x200: 0x200} {
		if got := HandOverChange(v, ReasonServerExited, "", Tail{From: "node1", Timeline: 1, End: end}).PrimaryTerm.Flushed; got != want {
			t.Errorf("with end %s: flushed %s, want %s", end, got, want)
		}
	}
}
