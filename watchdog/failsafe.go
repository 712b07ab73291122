package watchdog

import (
	"slices"
	"time"
)

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
