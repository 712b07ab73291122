package watchdog

import (
	"fmt"
	"slices"
	"strings"
)

// caughtUp is how far behind a standby may be and still become a voter, in bytes: one segment of the usual size.
const caughtUp = 16 << 20

// wantsQuorum says whether the policy asks for what this server can do.
func (v View) wantsQuorum() bool {
	return v.Policy.Durability == ModeQuorum && v.Server.CountsAny()
}

// stamp is the term with which a standby's name is to be stamped, so that PostgreSQL itself counts no standby that strays to
// the primary of another term. 0: not at all, in async.
func (v View) stamp() Term {
	r := v.Cluster.Record
	if r.Durability.Mode == ModeQuorum || r.Next != nil || v.wantsQuorum() {
		return r.Term
	}
	return 0
}

// present says whether the member streams from us under this term's name and its sidecar is heard. It is judged by what our
// server last said, so that our own pause does not empty the list.
func (v View) present(name string) bool {
	p := v.Peers[name]
	window := v.Policy.Detection.D()
	return p.StreamedAt != 0 && v.Server.AnsweredAt.Since(p.StreamedAt) <= window && p.HeardAt != 0 && v.Now.Since(p.HeardAt) <= window
}

// eligible says whether the member may become a voter: it streams, is caught up, its sidecar lives, it could be promoted, and
// its tags allow it.
func (v View) eligible(name string) bool {
	if name == v.Me.Name || !v.present(name) || !v.Cluster.Record.Confirmed(name) || len(v.Peers[name].Vetoes) > 0 || v.Peers[name].NoSync {
		return false
	}
	i := slices.IndexFunc(v.Server.Standbys, func(d Downstream) bool { return d.Name == name && d.Term == v.Cluster.Record.Term })
	return i >= 0 && v.Server.Standbys[i].Streaming && v.Server.Standbys[i].Flushed.Behind(v.Server.Received) <= caughtUp
}

// standing are the voters that are to be: those that are eligible, and those in force that are still present and not tagged
// otherwise meanwhile.
func (v View) standing() []string {
	var names []string
	for name := range v.Cluster.Members {
		if v.eligible(name) || v.Cluster.Record.Durability.Has(name) && v.present(name) && !v.Peers[name].NoSync {
			names = append(names, name)
		}
	}
	if rest := without(names, []string{v.Cluster.Record.leaving()}); len(rest) >= v.Policy.K {
		names = rest
	}
	return sorted(names)
}

// short says that our server is primary in quorum, or is to be, and that fewer than k standbys could be voters.
func (v View) short() bool {
	return v.Cluster != nil && v.Cluster.Record != nil && v.holds() && v.wantsQuorum() && v.Server.Role == RolePrimary &&
		len(v.standing()) < v.Policy.K
}

// wantedDurability is what the policy and the standbys that there are ask for.
func (v View) wantedDurability(m Memory) Durability {
	now := v.Cluster.Record.Durability
	if !v.wantsQuorum() {
		return Durability{Mode: ModeAsync}
	}
	standing := v.standing()
	switch {
	case len(standing) >= v.Policy.K:
		return Durability{Mode: ModeQuorum, K: v.Policy.K, Voters: standing}
	case now.Mode == ModeQuorum && v.degrades(m):
		return Durability{Mode: ModeAsync}
	case now.Mode == ModeQuorum: // commits wait; who is there is let in, nobody is let go
		return Durability{Mode: ModeQuorum, K: now.K, Voters: union(now.Voters, standing)}
	}
	return now
}

// degrades: the policy lets commits wait no longer, and every earlier primary has fenced: its trust was over T after its term
// ended, which was before we saw ours.
func (v View) degrades(m Memory) bool {
	return v.Policy.WhenShort == ShortDegrade && m.ShortSince != 0 && v.Now.Since(m.ShortSince) >= v.Policy.DegradeAfter.D() &&
		v.Now.Since(m.TermSince) >= v.Policy.TTL.D()
}

// flushed counts the voters that have flushed past the position, by what our server says of those that stream under this
// term's name.
func (v View) flushed(voters []string, past LSN) (n int) {
	for _, d := range v.Server.Standbys {
		if d.Term == v.Cluster.Record.Term && d.Flushed >= past && slices.Contains(voters, d.Name) {
			n++
		}
	}
	return n
}

// keepDurability takes the next step toward the durability that is wanted: on the server, in the record, or none while a
// barrier is awaited. Only the primary's sidecar takes such steps.
func (v View) keepDurability(m Memory) (actions []Action, why Reason, detail string) {
	r, enforced := v.Cluster.Record, v.Server.Sync
	switch {
	case !v.Trust.Live(v.Policy, v.Now) || v.Trust.Term != r.Term || v.Trust.Failsafe:
		return nil, "", ""
	case r.Phase == PhaseNormal && r.Next != nil:
		return v.settleDurability(m)
	case r.Durability.Mode == ModeAsync && !v.wantsQuorum() && (enforced.K == 0 || enforced.Foreign):
		return nil, "", "" // the user's own setting is the user's
	case enforced.K != 0 && enforced.Term != r.Term:
		return v.synchronise(r.Durability.Sync(r.Term))
	}
	enforced.Term = r.Term
	want := v.wantedDurability(m)
	covered := v.Server.SyncFrom != 0 && v.flushed(enforced.Voters, v.Server.SyncFrom) >= enforced.K
	step := PlanStep(r.Durability, enforced, covered, want)
	switch {
	case step.Server != nil:
		return v.synchronise(*step.Server)
	case step.Barrier && v.Server.SyncFrom == 0:
		return v.synchronise(enforced)
	case step.Barrier:
		return nil, ReasonSynchronise, fmt.Sprintf("waiting until %d of %s have flushed past %s", enforced.K, strings.Join(enforced.Voters, ", "), v.Server.SyncFrom)
	case step.Record != nil:
		return []Action{v.apply(durabilityChange(v, *step.Record, m))}, ReasonVoters, ""
	}
	if m.ShortSince != 0 {
		return nil, ReasonBlocked, v.blocked()
	}
	return nil, "", ""
}

// settleDurability puts the next voters in force once k of them have flushed past the fork on the new timeline. A winner that
// lacks them has not failed: its commits wait, and it degrades where the policy has it.
func (v View) settleDurability(m Memory) (actions []Action, why Reason, detail string) {
	r := v.Cluster.Record
	next := *r.Next
	switch {
	case !v.Server.Sync.Equal(next.Sync(r.Term)):
		return v.synchronise(next.Sync(r.Term))
	case v.flushed(next.Voters, r.Fork+1) >= next.K:
		return []Action{v.apply(durabilityChange(v, next, m))}, ReasonSettled, ""
	case v.short() && v.degrades(m):
		return []Action{v.apply(durabilityChange(v, Durability{Mode: ModeAsync}, m))}, ReasonDegrade, ""
	}
	return nil, ReasonSettling, fmt.Sprintf("writable on timeline %d; waiting until %d of %s have its WAL, until then commits wait and %d of %s stay the voters",
		r.Timeline, next.K, strings.Join(next.Voters, ", "), r.Durability.Quorum(), strings.Join(r.Durability.Voters, ", "))
}

func (v View) synchronise(s Sync) ([]Action, Reason, string) {
	a := v.action(ActSynchronise)
	a.Sync = s
	return []Action{a}, ReasonSynchronise, ""
}

// blocked says what a person must know of commits that wait.
func (v View) blocked() string {
	d := v.Cluster.Record.Durability
	if d.Mode != ModeQuorum {
		return fmt.Sprintf("async until %d standbys are caught up: the policy asks for quorum", v.Policy.K)
	}
	text := fmt.Sprintf("commits wait: %d of %s are needed, and there are %s", d.K, strings.Join(d.Voters, ", "), orNone(v.standing()))
	if v.Policy.WhenShort == ShortDegrade {
		return text + fmt.Sprintf("; after %s the policy degrades to async", v.Policy.DegradeAfter.D())
	}
	return text + "; bring a standby back, or let the policy degrade (when_short)"
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
