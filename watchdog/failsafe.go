package watchdog

import (
	"slices"
	"time"
)

// Failsafe: etcd is lost (DESIGN.md §7). A primary whose renewals fail may go on as long as nobody can take over meanwhile.
// It asks the other members, and counts its trust from the send of a round of questions that was answered well enough.
//
// Proof. A member that answers yes takes no part in any election, neither opening one, nor voting, nor winning, for T on its own
// clock from its answer on, which is later than the primary's send; it keeps that over a restart of its sidecar. It says no
// if it has promised a higher term, or has seen one.
//
//   - async: every other member of the record's list must say yes, and that it cannot reach etcd either. An election is opened
//     by a leader, who is on the list, or completed by ballots of members on the list: with all of them abstaining until the
//     primary has fenced ((D + F)(1 + ρ) ≤ T(1 − ρ), as for a renewal), nobody else is writable before. A list that was
//     changed since our last read was changed by ourselves; a term that was opened since was opened by a member that had not
//     yet answered, and says no now: it has seen the higher term.
//   - quorum: k voters are enough, whether they reach etcd or not. An election needs |V| − k + 1 exact ballots, and only |V| − k
//     voters are left to give one. A ballot that was given before the question makes its voter say no. So among any k that say
//     yes none has hung up, and none does until its answer lapses.
//
// What it does not promise: that a primary goes on whose members are dead as well as etcd. In async one dead member ends it;
// in quorum k living voters carry it.

// FailsafeQuestion is what a primary that has lost etcd asks the other members.
type FailsafeQuestion struct {
	Cluster     string `json:"cluster"`
	Primary     string `json:"primary"`
	Incarnation string `json:"incarnation"`
	Term        Term   `json:"term"`
	Mode        Mode   `json:"mode"`
}

// FailsafeAnswer says whether the member lets the primary go on.
type FailsafeAnswer struct {
	Member string `json:"member"`
	Yes    bool   `json:"yes"`
	Why    string `json:"why,omitempty"` // of a no
}

// AnswerFailsafe judges the question by what we have seen and promised. unreachable: etcd did not answer us just now either.
func AnswerFailsafe(v View, q FailsafeQuestion, unreachable bool) FailsafeAnswer {
	no := func(why string) FailsafeAnswer { return FailsafeAnswer{Member: v.Me.Name, Why: why} }
	own := v.Me.Admitted
	switch {
	case v.Cluster == nil || v.Cluster.Record == nil:
		return no("the record was never read")
	case max(own.Promised, own.Advance, own.Term) > q.Term:
		return no("a higher term was seen or promised")
	case v.Cluster.Record.Term != q.Term || v.Cluster.Record.Primary != q.Primary || !v.Cluster.Record.Taken ||
		v.Cluster.Record.LastTaker.Incarnation != q.Incarnation:
		return no("the record that was last read gives the term to another")
	case v.Cluster.Record.Phase == PhaseElecting:
		return no("an election is open")
	case !v.Cluster.Record.Confirmed(v.Me.Name):
		return no("not a confirmed member")
	case q.Mode != ModeQuorum && !unreachable:
		return no("etcd is in reach from here")
	}
	return FailsafeAnswer{Member: v.Me.Name, Yes: true}
}

// AbstainFor is how long a member takes no part in elections after it has answered yes: T, on its own clock, that may run
// fast.
func (p Policy) AbstainFor() time.Duration {
	return time.Duration(float64(p.TTL.D()) * (1 + p.ClockError))
}

// FailsafeHolds says whether the answers let the primary of the record go on.
func FailsafeHolds(r Record, me string, yes []string) bool {
	if r.Durability.Mode == ModeQuorum {
		n := 0
		for _, name := range r.Durability.Voters {
			if name != me && slices.Contains(yes, name) {
				n++
			}
		}
		return n >= r.Durability.K
	}
	for _, name := range r.Members {
		if name != me && !slices.Contains(yes, name) {
			return false
		}
	}
	return true
}
