package watchdog

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"
)

// foreseen is the view of a primary, node1, with three standbys that answer.
func foreseen() View {
	v := View{
		Now: Instant(time.Hour), Policy: DefaultPolicy(), Me: Identity{Name: "node1", Site: "a"}, Peers: map[string]Peer{},
		Cluster: &Cluster{
			Record: &Record{
				Term: 3, Phase: PhaseNormal, Primary: "node1", Timeline: 1, Members: []string{"node1", "node2", "node3", "node4"},
				LastTaker: Holder{Name: "node1", Incarnation: "node1-disk", Term: 3}, Durability: Durability{Mode: ModeAsync},
			},
			PrimaryTerm: &PrimaryTerm{Term: 3, Holder: "node1", Flushed: 0x1000},
			Members:     map[string]Registered{},
		},
	}
	for i := range 4 {
		name := fmt.Sprintf("node%d", i+1)
		m := Member{Name: name, Incarnation: name + "-disk", Role: RoleStandby, Timeline: 1, Received: 0x1000, Replayed: 0x1000}
		if i == 0 {
			m.Role, m.Site = RolePrimary, "a"
		}
		v.Cluster.Members[name] = Registered{Member: m}
		v.Peers[name] = Peer{Member: m, HeardAt: v.Now}
	}
	return v
}

func change(v View, name string, how func(*Peer)) {
	p := v.Peers[name]
	how(&p)
	v.Peers[name] = p
}

func TestForesee(t *testing.T) {
	for _, test := range []struct {
		name            string
		change          func(View)
		crashed, silent string
		why             Reason
	}{
		{"equals: by name", func(View) {}, "node2", "node2", ReasonElected},
		{"more WAL", func(v View) { change(v, "node3", func(p *Peer) { p.Received++ }) }, "node3", "node3", ReasonElected},
		{"priority among equals", func(v View) { change(v, "node4", func(p *Peer) { p.Priority = 1 }) }, "node4", "node4", ReasonElected},
		{"the primary's site", func(v View) { change(v, "node4", func(p *Peer) { p.Site = "a" }) }, "node4", "node4", ReasonElected},
		{"a veto", func(v View) { change(v, "node2", func(p *Peer) { p.Vetoes = []Veto{VetoNoFailover} }) }, "node3", "node3", ReasonElected},
		{"one that does not run", func(v View) { change(v, "node2", func(p *Peer) { p.Role = RoleDown }) }, "node3", "node3", ReasonElected},
		{"one that does not answer", func(v View) { delete(v.Peers, "node2") }, "node3", "node3", ReasonElected},
		{"beyond the lag limit", func(v View) { v.Cluster.PrimaryTerm.Flushed += 2 << 20 }, "node2", "", ReasonWouldLose},
		{"nobody answers", func(v View) { clear(v.Peers) }, "", "", ReasonWaitingBallots},
		{"quorum with a voter too few", func(v View) {
			v.Cluster.Record.Durability = Durability{Mode: ModeQuorum, K: 1, Voters: []string{"node2", "node3"}}
			delete(v.Peers, "node3")
		}, "node2", "", ReasonWaitingBallots},
		{"quorum whose laggard voter is enough beside another", func(v View) {
			v.Cluster.Record.Durability = Durability{Mode: ModeQuorum, K: 1, Voters: []string{"node2", "node3"}}
			change(v, "node2", func(p *Peer) { p.Received, p.Replayed = 0x800, 0x800 })
		}, "node3", "node3", ReasonElected},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := foreseen()
			test.change(v)
			crashed, silent := Foresee(v)
			if crashed.Winner != test.crashed || silent.Winner != test.silent || silent.Why != test.why {
				t.Errorf("crashed %q, silent %q (%s); want %q, %q (%s)", crashed.Winner, silent.Winner, silent.Why, test.crashed, test.silent, test.why)
			}
			if r := v.Cluster.Record; r.Phase != PhaseNormal || r.Term != 3 || len(v.Cluster.Members) != 4 {
				t.Errorf("the view was changed: %+v", r)
			}
		})
	}
}

// TestBeforeTellsTheOrderOfRank: of any two neighbours in the ranking, what Before names is what differs first.
func TestBeforeTellsTheOrderOfRank(t *testing.T) {
	dice := rand.New(rand.NewSource(1))
	seen := map[Precedence]bool{}
	for range 2000 {
		pair := []Candidate{
			{Name: "a", Owner: Term(dice.Intn(2)), End: LSN(dice.Intn(2)), SameSite: dice.Intn(2) == 0, Priority: dice.Intn(2), Cascade: dice.Intn(2) == 0},
			{Name: "b", Owner: Term(dice.Intn(2)), End: LSN(dice.Intn(2)), SameSite: dice.Intn(2) == 0, Priority: dice.Intn(2), Cascade: dice.Intn(2) == 0},
		}
		rank(pair)
		by := pair[0].Before(pair[1])
		seen[by] = true
		swapped := slices.Clone(pair)
		switch by { // giving the second what the first has by that name, and more, turns the order
		case ByHistory:
			swapped[1].Owner = swapped[0].Owner + 1
		case ByPosition:
			swapped[1].End = swapped[0].End + 1
		case ByUpstream:
			swapped[0].Cascade, swapped[1].Cascade = true, false
		case BySite:
			swapped[0].SameSite, swapped[1].SameSite = false, true
		case ByPriority:
			swapped[1].Priority = swapped[0].Priority + 1
		case ByName:
			swapped[0].Name, swapped[1].Name = pair[1].Name, pair[0].Name
		}
		first := swapped[1]
		rank(swapped)
		if swapped[0].Name != first.Name {
			t.Fatalf("%+v: before by %s, and yet it does not decide", pair, by)
		}
	}
	if len(seen) != 6 {
		t.Errorf("only %v came up", seen)
	}
}
