package watchdog

import (
	"fmt"
	"slices"
	"strings"
)

// The rule of `quorum` durability (DESIGN.md §5). A commit is acknowledged once any K of the voters have it on disk, and an
// election needs an exact ballot of Quorum voters: any K and any |V| − K + 1 of the same voters share a member, so some
// ballot holds every acknowledged commit. Server and record are not changed at one instant, so what is kept at every
// instant is
//
//	Quorum(record) + K(server) > |voters of the server ∪ voters of the record|
//
// for each pair that can be in force together, and for every setting of the server whose commits are not yet covered by a
// barrier.

// Sync is what a primary's server enforces: a commit waits for any K of the voters. The zero value: for nobody.
type Sync struct {
	K       int
	Voters  []string // sorted
	Term    Term     // with which the voters' names are stamped, so that a stray standby of another term does not count
	Foreign bool     // the server has a value of somebody else's
}

// Quorum is how many exact ballots of the voters an election needs.
func (d Durability) Quorum() int { return len(d.Voters) - d.K + 1 }

// Has says whether the member is a voter.
func (d Durability) Has(name string) bool { return slices.Contains(d.Voters, name) }

// String is the durability as people are told of it.
func (d Durability) String() string {
	if d.Mode != ModeQuorum {
		return string(ModeAsync)
	}
	return fmt.Sprintf("quorum %d of %s", d.K, strings.Join(d.Voters, ", "))
}

// Equal says whether both ask for the same.
func (d Durability) Equal(other Durability) bool {
	return d.Mode == other.Mode && d.K == other.K && slices.Equal(sorted(slices.Clone(d.Voters)), sorted(slices.Clone(other.Voters)))
}

// Sync is the server's side of it.
func (d Durability) Sync(term Term) Sync {
	if d.Mode != ModeQuorum {
		return Sync{}
	}
	return Sync{K: d.K, Voters: sorted(slices.Clone(d.Voters)), Term: term}
}

// Equal says whether both make a commit wait for the same.
func (s Sync) Equal(other Sync) bool {
	return s.K == other.K && s.Foreign == other.Foreign && (s.K == 0 || s.Term == other.Term && slices.Equal(s.Voters, other.Voters))
}

// Covers says whether an election by d finds every commit that a server with s acknowledges. `async` promises nothing, so
// that every setting is good enough for it.
func (d Durability) Covers(s Sync) bool {
	return d.Mode != ModeQuorum || d.Quorum()+s.K > len(union(s.Voters, d.Voters))
}

// coversAllOf says whether an election by d finds every commit that one by old finds, whatever the server's setting was: as
// many more ballots as there are more voters.
func (d Durability) coversAllOf(old Durability) bool {
	return d.Mode != ModeQuorum || old.Mode == ModeQuorum && d.Quorum() >= old.Quorum()+len(without(d.Voters, old.Voters))
}

// Step is one step from the durability in force toward the one that is wanted. The zero value: there is nothing to do.
type Step struct {
	Record  *Durability // write this to the record
	Server  *Sync       // make the server enforce this
	Barrier bool        // wait until what the server enforces now is covered
}

// PlanStep returns the next step, given what the record says, what the server enforces, and whether that is covered: whether
// K of its voters have flushed past a position that was taken after the setting had reached every process of the server. A
// step changes one side, and leaves every election able to find every acknowledged commit. Following the steps reaches what
// is wanted.
func PlanStep(record Durability, server Sync, covered bool, want Durability) Step {
	p := newPlanner(record, server, want)
	next, move := p.shortest()
	switch {
	case !move:
		return Step{}
	case next.server != p.at.server:
		s := p.servers[next.server]
		return Step{Server: &s}
	}
	d := p.records[next.record]
	if !covered && !d.coversAllOf(record) {
		return Step{Barrier: true}
	}
	return Step{Record: &d}
}

// planner searches the few configurations between here and there: every voter of both at the old k and at the new one.
type planner struct {
	records []Durability
	servers []Sync
	at, to  place
}

// place is a pair of configurations, by index.
type place struct{ record, server int }

func newPlanner(record Durability, server Sync, want Durability) *planner {
	all := union(record.Voters, want.Voters)
	p := &planner{}
	term := server.Term
	p.at = place{p.record(record), p.server(server)}
	for _, d := range []Durability{record, {Mode: ModeQuorum, K: record.K, Voters: all}, {Mode: ModeQuorum, K: want.K, Voters: all}, want} {
		if d.Mode == ModeQuorum && d.K == 0 || d.K > len(d.Voters) {
			continue
		}
		p.record(d)
		p.server(d.Sync(term))
	}
	p.to = place{p.record(want), p.server(want.Sync(term))}
	return p
}

func (p *planner) record(d Durability) int {
	i := slices.IndexFunc(p.records, d.Equal)
	if i < 0 {
		i, p.records = len(p.records), append(p.records, d)
	}
	return i
}

func (p *planner) server(s Sync) int {
	i := slices.IndexFunc(p.servers, s.Equal)
	if i < 0 {
		i, p.servers = len(p.servers), append(p.servers, s)
	}
	return i
}

// shortest returns the first move of a shortest path, breadth first. Of equals the one that changes the record first.
func (p *planner) shortest() (place, bool) {
	first := map[place]place{p.at: p.at}
	for queue := []place{p.at}; len(queue) > 0; queue = queue[1:] {
		here := queue[0]
		if here == p.to {
			return first[here], here != p.at
		}
		for _, next := range p.moves(here) {
			if _, seen := first[next]; seen {
				continue
			}
			first[next] = first[here]
			if here == p.at {
				first[next] = next
			}
			queue = append(queue, next)
		}
	}
	return p.at, false
}

// moves are the pairs that one change of either side leads to. What the server enforced before a change of the server is
// covered by the barrier that comes before the record relies on it.
func (p *planner) moves(from place) (to []place) {
	for i, d := range p.records {
		if i != from.record && d.Covers(p.servers[from.server]) {
			to = append(to, place{i, from.server})
		}
	}
	for i, s := range p.servers {
		if i != from.server && p.records[from.record].Covers(s) {
			to = append(to, place{from.record, i})
		}
	}
	return to
}

func union(a, b []string) []string { return sorted(append(slices.Clone(a), b...)) }

func without(names, others []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
}
