package watchdog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Choice is what an election or hand-over came to. Without a Winner, Why says what stands in the way.
type Choice struct {
	Winner string
	Best   Candidate // the highest position, vetoed or not: what the winner must reach
	Tail   *Tail     // what the winner lacks, and where it lies
	Ranked []Candidate
	Why    Reason
	Lacks  string // whom the election waits for
}

// Precedence is a rule of the order of choice: why one candidate comes before another that nothing bars either.
type Precedence string

// The rules.
const (
	ByHistory  Precedence = "history"  // its timeline belongs to a later term
	ByPosition Precedence = "position" // it has more WAL
	ByUpstream Precedence = "upstream" // it streams from the primary itself, and the other from a standby
	BySite     Precedence = "site"     // the policy prefers its site
	ByPriority Precedence = "priority"
	ByName     Precedence = "name"
)

// order is the order of choice, written here and nowhere else (F23, F27): the first rule by which two candidates differ decides.
// What could be lost comes before every wish, so that tags only decide between those that hold the same WAL. better is more
// than 0 where a is the better one.
var order = []struct {
	by     Precedence
	better func(a, b Candidate) int
}{
	{ByHistory, func(a, b Candidate) int { return cmp.Compare(a.Owner, b.Owner) }},
	{ByPosition, func(a, b Candidate) int { return cmp.Compare(a.End, b.End) }},
	{ByUpstream, func(a, b Candidate) int { return compareBool(b.Cascade, a.Cascade) }},
	{BySite, func(a, b Candidate) int { return compareBool(a.SameSite, b.SameSite) }},
	{ByPriority, func(a, b Candidate) int { return cmp.Compare(a.Priority, b.Priority) }},
	{ByName, func(a, b Candidate) int { return cmp.Compare(b.Name, a.Name) }},
}

// rank orders candidates best first.
func rank(candidates []Candidate) {
	slices.SortFunc(candidates, func(a, b Candidate) int {
		for _, rule := range order {
			if better := rule.better(b, a); better != 0 {
				return better
			}
		}
		return 0
	})
}

// Before says by what first comes before second.
func (first Candidate) Before(second Candidate) Precedence {
	for _, rule := range order {
		if rule.better(first, second) != 0 {
			return rule.by
		}
	}
	return ByName
}

func byPosition(a, b Candidate) int {
	return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.End, b.End))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// firstFree returns the best candidate that nothing bars.
func firstFree(ranked []Candidate) (Candidate, bool) {
	for _, c := range ranked {
		if len(c.Vetoes) == 0 {
			return c, true
		}
	}
	return Candidate{}, false
}

// ChooseHeir picks who takes over from us, by what heartbeats and our own view of the standbys show. Positions need not be
// exact: the tail gives the heir what it lacks.
func ChooseHeir(v View) Choice {
	r := v.Cluster.Record
	var candidates []Candidate
	for name, m := range v.Cluster.Members {
		if name == v.Me.Name || m.Witness {
			continue
		}
		candidates = append(candidates, v.heir(m, *r))
	}
	v.raise(candidates)
	rank(candidates)
	choice := Choice{Ranked: candidates, Why: ReasonNoCandidate}
	if best, ok := firstFree(candidates); ok {
		choice.Winner, choice.Best, choice.Why = best.Name, best, ReasonElected
	}
	return choice
}

// preferring has the member of that name win, if nothing bars it.
func (c Choice) preferring(name string) Choice {
	for _, candidate := range c.Ranked {
		if candidate.Name == name && len(candidate.Vetoes) == 0 {
			c.Winner, c.Best = name, candidate
		}
	}
	return c
}

// raise: a standby has at least what another streams from it, though it said so a moment before the other.
func (v View) raise(candidates []Candidate) {
	for range candidates { // through as many standbys as there are
		for i := range candidates {
			address := v.Cluster.Members[candidates[i].Name].Address
			for _, below := range candidates {
				if p := v.Peers[below.Name]; p.Streaming && p.Upstream == address && below.Timeline == candidates[i].Timeline {
					candidates[i].End = max(candidates[i].End, below.End)
				}
			}
		}
	}
}

// heir weighs one member: its last heartbeat where there is one, else its key.
func (v View) heir(m Registered, r Record) Candidate {
	member := m.Member
	peer, heard := v.Peers[m.Name]
	heard = heard && peer.HeardAt != 0 && v.Now.Since(peer.HeardAt) <= v.Policy.Detection.D()
	if heard {
		member = peer.Member
	}
	end := max(member.Received, member.Replayed)
	for _, d := range v.Server.Standbys {
		if d.Name == m.Name {
			end = max(end, d.Flushed)
		}
	}
	c := Candidate{
		Name: m.Name, Owner: v.Cluster.OwnerOf(member.Timeline), Timeline: member.Timeline, End: end,
		Priority: member.Priority, SameSite: v.Policy.wantsSite(member.Site, v.Me.Site),
		Cascade: member.Upstream != "" && member.Upstream != v.Me.Address, Vetoes: slices.Clone(member.Vetoes),
	}
	veto := func(when bool, why Veto) {
		if when && !slices.Contains(c.Vetoes, why) {
			c.Vetoes = append(c.Vetoes, why)
		}
	}
	veto(!heard, VetoAPIUnreachable)
	veto(!r.Confirmed(m.Name), VetoNotConfirmed)
	veto(member.Role != RoleStandby, VetoNotRunning)
	veto(member.SystemID != r.SystemID || c.Owner != v.Cluster.OwnerOf(r.Timeline), VetoForeignHistory)
	return c
}

// Count judges the ballots of the record's term. It needs no clock but for the bounds: how long the election has been open.
func Count(v View, m Memory) Choice {
	r := v.Cluster.Record
	if r.Durability.Mode == ModeQuorum {
		return v.countQuorum(v.Cluster.Ballots, m)
	}
	candidates, fenced := v.ballots(*r, v.Cluster.Ballots)
	rank(candidates)
	choice := Choice{Ranked: candidates}
	exact := exactOf(candidates)
	open := v.Now.Since(m.Since)
	waited := open >= v.Policy.BallotWait.D()
	switch {
	case len(exact) == 0:
		choice.Why = ReasonWaitingBallots
		return choice
	case !fenced && !waited && v.missingBallots(*r):
		choice.Why = ReasonWaitingBallots
		return choice
	}
	choice.Best = exact[0]
	if !fenced && v.losesTooMuch(choice.Best) && (v.Policy.LagLimitWait == 0 || open < v.Policy.LagLimitWait.D()) {
		for i := range choice.Ranked {
			choice.Ranked[i].Vetoes = append(choice.Ranked[i].Vetoes, VetoTooFarBehind)
		}
		choice.Why = ReasonWouldLose
		return choice
	}
	v.vetoStrays(exact)
	winner, ok := firstFree(exact)
	if !ok && waited {
		winner, ok = firstFree(liftPassedOver(exact))
	}
	if !ok {
		choice.Why = ReasonNoCandidate
		return choice
	}
	choice.Winner, choice.Why = winner.Name, ReasonElected
	if byPosition(winner, choice.Best) < 0 {
		choice.Tail = v.tailOf(v.Cluster.Ballots[choice.Best.Name], winner, fenced)
	}
	return choice
}

// countQuorum judges ballots by the rule of quorum durability, however the election was opened: exact ballots of Quorum
// voters hold every commit that was acknowledged, and so does that of the last server that wrote under a term, given after its
// verified fence. Nobody else need be waited for, and no lag limit is asked: nothing is lost.
func (v View) countQuorum(cast map[string]Cast, m Memory) Choice {
	r := v.Cluster.Record
	candidates, fenced := v.ballots(*r, cast)
	rank(candidates)
	exact := exactOf(candidates)
	choice := Choice{Ranked: candidates, Why: ReasonWaitingBallots}
	missing := without(r.Durability.Voters, namesOf(exact))
	if needs := r.Durability.Quorum(); !fenced && len(r.Durability.Voters)-len(missing) < needs {
		choice.Lacks = fmt.Sprintf("%d of %s are needed, and %s have given no exact ballot; without them an acknowledged commit could be lost",
			needs, strings.Join(r.Durability.Voters, ", "), strings.Join(missing, ", "))
		return choice
	}
	choice.Best, choice.Why = exact[0], ReasonNoCandidate
	v.vetoStrays(exact)
	winner, ok := firstFree(exact)
	if !ok && v.Now.Since(m.Since) >= v.Policy.BallotWait.D() {
		winner, ok = firstFree(liftPassedOver(exact))
	}
	if !ok {
		return choice
	}
	choice.Winner, choice.Why = winner.Name, ReasonElected
	if byPosition(winner, choice.Best) < 0 {
		choice.Tail = v.tailOf(cast[choice.Best.Name], winner, fenced)
	}
	return choice
}

// vetoStrays bars those whose own history leaves the best one's before their end: no tail makes theirs the same. exact is
// ranked.
func (v View) vetoStrays(exact []Candidate) {
	for i, c := range exact {
		if fork := v.Cluster.ForkAfter(c.Timeline); c.Owner < exact[0].Owner && (fork == 0 || c.End > fork) {
			exact[i].Vetoes = append(slices.Clone(c.Vetoes), VetoForeignHistory)
		}
	}
}

// sameVetoes says whether a ballot says of its member's vetoes what the member says now.
func (v View) sameVetoes(b Ballot) bool {
	was, now := slices.Clone(b.Vetoes), v.Self().Vetoes
	slices.Sort(was)
	slices.Sort(now)
	return slices.Equal(was, now)
}

// exactOf are the candidates whose end of WAL is known exactly.
func exactOf(candidates []Candidate) []Candidate {
	return slices.DeleteFunc(slices.Clone(candidates), func(c Candidate) bool { return slices.Contains(c.Vetoes, VetoPositionless) })
}

func namesOf(candidates []Candidate) (names []string) {
	for _, c := range candidates {
		names = append(names, c.Name)
	}
	return names
}

func ballotsOf(cast map[string]Cast) (names []string) {
	for name, b := range cast {
		if !b.Withdrawn {
			names = append(names, name)
		}
	}
	return sorted(names)
}

// ballots weighs each ballot of the term that a confirmed member gave. fenced: the last taker's exact ballot, given after its
// verified fence, is among them, and stands for all: nothing was acknowledged that it does not show. One that took its term and
// never wrote under it shows only that nobody did, and what was acknowledged before is what it had been named to reach: that
// must be on one of the ballots.
func (v View) ballots(r Record, cast map[string]Cast) (candidates []Candidate, fenced bool) {
	site := cmp.Or(v.Cluster.Members[r.LastTaker.Name].Site, r.LastTaker.Site) // its key is gone with its host
	reached := false
	for name, b := range cast {
		if b.Withdrawn {
			continue
		}
		c := Candidate{
			Name: name, Owner: v.Cluster.OwnerOf(b.Timeline), Timeline: b.Timeline, End: b.End,
			Priority: b.Priority, SameSite: v.Policy.wantsSite(b.Site, site),
			Cascade: b.Cascade, Vetoes: slices.Clone(b.Vetoes),
		}
		if !b.Exact {
			c.Vetoes = append(c.Vetoes, VetoPositionless)
		}
		if !r.Confirmed(name) {
			c.Vetoes = append(c.Vetoes, VetoNotConfirmed)
		}
		if member, alive := v.Cluster.Members[name]; !alive || member.Incarnation != b.Incarnation {
			c.Vetoes = append(c.Vetoes, VetoNotRunning)
		}
		if name == r.PassedOver {
			c.Vetoes = append(c.Vetoes, VetoPassedOver)
		}
		last := r.LastTaker
		if b.Exact && (c.Name == last.ReachFrom || byPosition(c, Candidate{Owner: v.Cluster.OwnerOf(last.ReachTimeline), End: last.Reach}) >= 0) {
			reached = true
		}
		if b.Fenced && b.Exact && name == last.Name && b.Incarnation == last.Incarnation {
			fenced, reached = true, reached || c.Owner == last.Term
		}
		candidates = append(candidates, c)
	}
	return candidates, fenced && reached
}

// missingBallots: a confirmed member is alive and has not given its ballot.
func (v View) missingBallots(r Record) bool {
	for name, m := range v.Cluster.Members {
		if name == r.LastTaker.Name && r.Reason == ReasonSilence {
			continue // its lease may outlive its silence (F7); it is not reachable
		}
		if b, given := v.Cluster.Ballots[name]; (!given || b.Withdrawn) && !m.Witness && r.Confirmed(name) {
			return true
		}
	}
	return false
}

// losesTooMuch: the best position is further behind the last renewal's than the lag limit.
func (v View) losesTooMuch(best Candidate) bool {
	t := v.Cluster.PrimaryTerm
	return t != nil && best.End.Behind(t.Flushed) > uint64(v.Policy.LagLimit)
}

// liftPassedOver forgives a winner that made no progress, when there is nobody else.
func liftPassedOver(candidates []Candidate) []Candidate {
	lifted := slices.Clone(candidates)
	for i := range lifted {
		lifted[i].Vetoes = slices.DeleteFunc(slices.Clone(lifted[i].Vetoes), func(veto Veto) bool { return veto == VetoPassedOver })
	}
	return lifted
}

// tailOf says where the winner fetches what it lacks: the best ballot's member.
func (v View) tailOf(b Cast, winner Candidate, fenced bool) *Tail {
	return &Tail{
		From: b.Member, API: b.API, Token: b.Token, Timeline: b.Timeline, Start: winner.End, End: b.End, Exact: true,
		Whole: fenced && b.Member == v.Cluster.Record.LastTaker.Name,
	}
}
