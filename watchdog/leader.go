package watchdog

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// lead adds what the leader owes the cluster to what the member owes itself.
func lead(v View, m Memory, d Decision) Decision {
	var duty Decision
	switch r := v.Cluster.Record; {
	case v.abstains():
		return d
	case m.pauseOver(v):
		duty = v.endPause()
	case v.abandoned(m) != "":
		duty = v.end(ReasonOperationFailed, v.abandoned(m))
	case r.Phase == PhaseElecting:
		duty = leadElection(v, m)
	case r.Taken:
		duty = leadVoters(v, m)
		if len(duty.Actions) == 0 {
			duty = leadSilence(v, m)
		}
	default:
		duty = leadNaming(v, m)
	}
	if len(duty.Actions) == 0 {
		if duty.Reason == ReasonWouldLose || duty.Reason == ReasonNoCandidate {
			d.Reason = duty.Reason // what a person must know outranks that our own ballot is given
		}
		if duty.Detail != "" {
			d.Detail = strings.TrimPrefix(d.Detail+"; "+duty.Detail, "; ")
		}
		return d
	}
	d.Actions = append(duty.Actions, d.Actions...)
	d.Reason, d.Detail = duty.Reason, duty.Detail
	return d
}

// leadSilence opens an election when the one that took the term has been silent for T, on our own clock, successful reads
// all along.
func leadSilence(v View, m Memory) Decision {
	r := v.Cluster.Record
	if r.Primary == v.Me.Name || m.SilentSince == 0 || v.still() {
		return Decision{}
	}
	silent := v.ReadAt.Since(m.SilentSince)
	if silent < v.Policy.TTL.D() || r.Durability.Mode == ModeQuorum && v.hears(m) {
		return Decision{} // in quorum a primary that lives without etcd goes on, by failsafe
	}
	passedOver := ""
	if r.Phase == PhasePromoting {
		passedOver = r.Primary
	}
	message := fmt.Sprintf("%s was silent for %s: its trust is over", r.Primary, silent.Round(time.Millisecond))
	return Decision{Reason: ReasonSilence, Detail: message, Actions: []Action{v.apply(electionChange(v, ReasonSilence, passedOver, message))}}
}

// leadVoters ends the term of a primary on which a quorum of its voters has hung up, whether its trust is over or not.
func leadVoters(v View, m Memory) Decision {
	r := v.Cluster.Record
	if r.Durability.Mode != ModeQuorum || r.Primary == v.Me.Name || v.still() || len(v.Cluster.Advance) == 0 {
		return Decision{}
	}
	choice := v.countQuorum(v.Cluster.Advance, m)
	if choice.Winner == "" {
		return Decision{}
	}
	message := fmt.Sprintf("%s was silent to %s, who hung up; %s wins with %s on timeline %d",
		r.Primary, strings.Join(ballotsOf(v.Cluster.Advance), ", "), choice.Winner, choice.Best.End, choice.Best.Timeline)
	return Decision{Reason: ReasonOverruled, Detail: message, Actions: []Action{v.apply(overruleChange(v, choice, message))}}
}

// leadNaming passes a winner over that does not take the term: nobody holds one, so nothing need be waited for but it.
func leadNaming(v View, m Memory) Decision {
	r := v.Cluster.Record
	_, alive := v.Cluster.Members[r.Primary]
	if r.Primary == v.Me.Name || alive && v.Now.Since(m.Since) <= v.Policy.BallotWait.D()+time.Second {
		return Decision{}
	}
	message := fmt.Sprintf("%s was named and did not take term %d", r.Primary, r.Term)
	return Decision{Reason: ReasonNoProgress, Detail: message, Actions: []Action{v.apply(electionChange(v, ReasonNoProgress, r.Primary, message))}}
}

// leadElection names the winner once the ballots allow it.
func leadElection(v View, m Memory) Decision {
	choice := Count(v, m)
	if o := v.Cluster.Record.Operation; o != nil && o.Kind == OperationFailover && o.Term == v.Cluster.Record.Term {
		choice = v.byHand(*o, choice)
		if choice.Winner == "" { // another may be named
			return Decision{Reason: ReasonOperationFailed, Detail: choice.Lacks, Actions: []Action{v.apply(v.asLeader(endChange(v, ReasonOperationFailed, choice.Lacks)))}}
		}
	}
	if choice.Winner == "" {
		return Decision{Reason: choice.Why, Detail: strings.TrimSuffix(fmt.Sprintf("election of term %d: %s: %s", v.Cluster.Record.Term, choice.Why, choice.Lacks), ": ")}
	}
	return Decision{
		Reason: ReasonElected, Detail: fmt.Sprintf("%s wins term %d", choice.Winner, v.Cluster.Record.Term),
		Actions: []Action{v.apply(nameChange(v, choice))},
	}
}

// housekeeping keeps our keys and our disk's note of the record; none of it changes a role.
func housekeeping(v View) []Action {
	var actions []Action
	r, own := v.Cluster.Record, v.Me.Admitted
	if r.Term > own.Term || r.Term == own.Term && r.Seq > own.Seq {
		a := v.action(ActAdmit)
		own.Term, own.Seq = r.Term, r.Seq
		a.Admission = own
		actions = append(actions, a)
	}
	if !v.Me.Registered || v.retagged() {
		return append(actions, register(v)...)
	}
	return append(actions, campaign(v)...)
}

// retagged: our key shows other tags than ours.
func (v View) retagged() bool {
	key, there := v.Cluster.Members[v.Me.Name]
	me := v.Me
	return there && key.Incarnation == me.Incarnation && tags{key.Priority, key.Site, key.Follow, key.NoFailover, key.NoSync} != tags{me.Priority, me.Site, v.wishedName(), me.NoFailover, me.NoSync}
}

// tags are what configuration says of a member's place among the others.
type tags struct {
	priority           int
	site, follow       string
	noFailover, noSync bool
}

// register creates our member key, or replaces the one that this same incarnation left under another lease.
func register(v View) []Action {
	old, exists := v.Cluster.Members[v.Me.Name]
	if exists && old.Incarnation != v.Me.Incarnation {
		return nil
	}
	a := v.apply(registerChange(v, v.Self(), old.CreateRev))
	return []Action{a}
}

// campaign: the leader lives away from the primary's host whenever another member can lead.
func campaign(v View) []Action {
	r := v.Cluster.Record
	beside := r.Primary == v.Me.Name
	others := slices.ContainsFunc(r.Members, func(name string) bool {
		_, alive := v.Cluster.Members[name]
		return alive && name != v.Me.Name
	})
	campaigning := false
	for name := range v.Cluster.Campaigns {
		campaigning = campaigning || name != v.Me.Name
	}
	switch {
	case v.Me.CampaignKey == "" && r.Confirmed(v.Me.Name) && !(beside && (others || campaigning)):
		return []Action{v.apply(Change{Campaign: v.Me.Name})}
	case v.Me.CampaignKey != "" && beside && campaigning:
		return []Action{v.apply(Change{Resign: true})}
	}
	return nil
}

// Self is what we tell the others of ourselves.
func (v View) Self() Member {
	s := v.Server
	m := Member{
		Name: v.Me.Name, Incarnation: v.Me.Incarnation, Address: v.Me.Address, API: v.Me.API, SystemID: s.SystemID, Role: s.Role,
		Timeline: s.Timeline, Received: s.Received, Replayed: s.Replayed, Upstream: s.Upstream, Streaming: s.Streaming,
		Vetoes: slices.Clone(s.Vetoes), Problem: s.Problem, Activity: string(v.Flight.Kind), ServerVersion: s.ServerVersion,
		Priority: v.Me.Priority, Site: v.Me.Site, NoFailover: v.Me.NoFailover, NoSync: v.Me.NoSync, Follow: v.wishedName(), PrimaryTerm: v.Trust.Term, RewindReady: s.NoRewind,
	}
	if v.Me.NoFailover {
		m.Vetoes = append(m.Vetoes, VetoNoFailover)
	}
	if !v.Me.GuardReady {
		m.Vetoes = append(m.Vetoes, VetoGuardMissing)
	}
	return m
}

// GarbageList names the keys that cannot be read, with why.
func (c Cluster) GarbageList() string {
	var parts []string
	for key, why := range c.Garbage {
		parts = append(parts, key+": "+why)
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}
