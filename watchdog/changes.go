package watchdog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// rev is a compare with a revision.
func rev(revision int64) *int64 { return &revision }

// event begins the event of a change to the record; the executor adds the wall clock and the writer's name.
func event(r Record, kind EventKind, message string) *Event {
	return &Event{Term: r.Term, Seq: r.Seq, Kind: kind, Reason: r.Reason, Message: message}
}

func (v View) change(r Record, kind EventKind, message string) Change {
	return Change{If: If{RecordRev: rev(v.Cluster.RecordRev)}, Record: &r, Event: event(r, kind, message)}
}

// asLeader adds that we must still hold the leader key.
func (v View) asLeader(c Change) Change {
	c.If.LeaderKey, c.If.LeaderRev = v.Cluster.LeaderKey, v.Cluster.LeaderCreateRev
	return c
}

// adoptChange creates the cluster beside our running primary.
func adoptChange(v View) Change {
	r := adopted(v)
	c := v.change(r, EventAdopted, fmt.Sprintf("adopted the running primary %s on timeline %d; standby.signal will lie beside it", v.Me.Name, r.Timeline))
	c.If.PrimaryTermRev, c.If.PrimaryRev, c.If.PolicyRev = rev(v.Cluster.PrimaryTermRev), rev(v.Cluster.PrimaryCreateRev), rev(v.Cluster.PolicyRev)
	v.holding(&c, r)
	c.Ledger = &LedgerEntry{Term: 1, Timeline: r.Timeline, Owner: v.Me.Name, Incarnation: v.Me.Incarnation}
	if v.Cluster.Policy == nil {
		policy := v.Policy
		c.Policy = &policy
	}
	return c
}

// restoreChange writes a lost record again, one term later. The compares say that nobody else has begun to.
func restoreChange(v View) Change {
	r := restored(v)
	c := v.change(r, EventRestored, fmt.Sprintf("the record was gone from etcd while %s held term %d: written again", v.Me.Name, v.Trust.Term))
	c.If.PrimaryTermRev, c.If.PrimaryRev = rev(v.Cluster.PrimaryTermRev), rev(v.Cluster.PrimaryCreateRev)
	v.holding(&c, r)
	c.Ledger = &LedgerEntry{Term: r.Term, Timeline: r.Timeline, Owner: v.Me.Name, Incarnation: v.Me.Incarnation}
	return c
}

// holding adds the keys by which we hold r's term.
func (v View) holding(c *Change, r Record) {
	c.PrimaryTerm = &PrimaryTerm{Term: r.Term, Holder: v.Me.Name, Incarnation: v.Me.Incarnation, Flushed: v.Server.Received, NextXID: v.Server.NextXID}
	c.TakePrimary = v.Me.Name
}

// RenewChange is one renewal: it compares our own last write, so that it fails when anybody has opened another term.
func RenewChange(trust Trust, me Identity, counter uint64, s Server) Change {
	return Change{
		If: If{PrimaryTermRev: rev(trust.Rev)},
		PrimaryTerm: &PrimaryTerm{
			Term: trust.Term, Holder: me.Name, Incarnation: me.Incarnation, Counter: counter, Flushed: s.Received, NextXID: s.NextXID,
		},
	}
}

// RetakeChange renews a term that is ours by the record, where this process does not know since when: T of silence may have passed,
// and an election be open, which leaves primary.term as it is. So it compares the record too.
func RetakeChange(v View) Change {
	c := RenewChange(Trust{Term: v.Cluster.Record.Term, Rev: v.Cluster.PrimaryTermRev}, v.Me, 1, v.Server)
	c.If.RecordRev = rev(v.Cluster.RecordRev)
	return c
}

// TakeChange takes the term that the record names us for, and enters the timeline that we are about to create.
func TakeChange(v View, timeline Timeline) Change {
	r := v.Cluster.Record.taken(v.Me)
	c := v.change(r, EventTaken, fmt.Sprintf("%s took term %d and will create timeline %d", v.Me.Name, r.Term, timeline))
	c.If.PrimaryTermRev = rev(v.Cluster.PrimaryTermRev)
	v.holding(&c, r)
	entry := v.entry(timeline)
	c.Ledger = &entry
	return c
}

// SettleChange says that our promoted server accepts writes, and what of the WAL before may be lost.
func SettleChange(v View, timeline Timeline, fork LSN, f TailFetch) Change {
	r := v.Cluster.Record.settled(timeline, fork)
	c := v.change(r, EventPromoted, fmt.Sprintf("%s accepts writes on timeline %d, which begins at %s", v.Me.Name, timeline, fork))
	entry := v.entry(timeline)
	loss := v.lossAt(entry, fork, f)
	entry.Fork = fork
	c.Ledger = &entry
	c.Event.Loss, c.Event.Facts = &loss, loss.facts(v.Cluster.Record.Tail, f, fork)
	c.ClearBallots = true
	c.PruneEvents = eventsKept
	return c
}

// eventsKept caps the history in etcd, which is also the outbox of alerts. What recurs without a failover prunes it too.
const eventsKept = 1000

// HandOverChange surrenders the term that we hold, our server fenced, and names the heir if there is one. It compares the
// record, our own last renewal, and that the heir's member key is still the one we saw.
func HandOverChange(v View, reason Reason, heir string, tail Tail) Change {
	var c Change
	if !tail.Whole && v.Cluster.Record.Durability.Mode == ModeQuorum {
		heir = "" // whose ballots have what was acknowledged is for an election to find
	}
	if heir == "" {
		r := v.Cluster.Record.electing(reason, v.passedOverIfWinner())
		c = v.change(r, EventSurrender, fmt.Sprintf("%s gave up term %d: %s; nobody could be named", v.Me.Name, r.Term-1, reason))
	} else {
		r := v.Cluster.Record.handedOver(reason, heir, tail)
		c = v.change(r, EventHandOver, fmt.Sprintf("%s handed over to %s: %s", v.Me.Name, heir, reason))
		c.If.MemberRevs = map[string]int64{heir: v.Cluster.Members[heir].CreateRev}
	}
	c.Event.Facts, c.Event.TimingsMS = map[string]string{}, map[string]float64{}
	if o := v.Cluster.Record.Operation; o != nil {
		c.Event.Facts["operation"] = o.ID
	}
	c.If.PrimaryTermRev = rev(v.lastRenewal())
	own := PrimaryTerm{Term: v.Cluster.Record.Term, Holder: v.Me.Name, Incarnation: v.Me.Incarnation, Flushed: tail.End, Surrendered: true}
	if renewed := v.Cluster.PrimaryTerm; renewed != nil {
		own.NextXID = max(renewed.NextXID, v.Server.NextXID)
		if own.Flushed == 0 { // where the end is not known, so far at least
			own.Flushed = renewed.Flushed
		}
	}
	c.PrimaryTerm = &own
	c.DropPrimary = true
	return c
}

// lastRenewal is the revision that our own last renewal left, where this process knows it: a read may be older.
func (v View) lastRenewal() int64 {
	if v.Trust.Term == v.Cluster.Record.Term && v.Trust.Rev > v.Cluster.PrimaryTermRev {
		return v.Trust.Rev
	}
	return v.Cluster.PrimaryTermRev
}

// passedOverIfWinner: a winner that gives its unsettled term up is passed over in the next.
func (v View) passedOverIfWinner() string {
	if v.Cluster.Record.Phase == PhasePromoting {
		return v.Me.Name
	}
	return ""
}

// declineChange gives back a naming that we have not taken.
func declineChange(v View, reason Reason) Change {
	r := v.Cluster.Record.electing(reason, v.Me.Name)
	return v.change(r, EventSurrender, fmt.Sprintf("%s was named for term %d and cannot take it: %s", v.Me.Name, r.Term-1, reason))
}

// electionChange opens the next term, by the leader. It compares primary.term, so that a renewal in the last moment wins.
func electionChange(v View, reason Reason, passedOver, message string) Change {
	r := v.Cluster.Record.electing(reason, passedOver)
	c := v.asLeader(v.change(r, EventElection, message))
	c.If.PrimaryTermRev = rev(v.Cluster.PrimaryTermRev)
	c.DropPrimary = true
	return c
}

// nameChange names the winner, by the leader. It compares the ballots that it was judged on.
func nameChange(v View, choice Choice) Change {
	r := v.Cluster.Record.naming(choice.Winner, choice.Tail, choice.Why)
	c := v.asLeader(v.change(r, EventNamed, fmt.Sprintf("%s won term %d with %s on timeline %d", choice.Winner, r.Term, choice.Best.End, choice.Best.Timeline)))
	c.onBallots(v, r.Term, v.Cluster.Ballots, choice)
	if o := v.Cluster.Record.Operation; o != nil {
		c.Event.Facts = map[string]string{"operation": o.ID, "asked for by": o.By}
	}
	return c
}

// overruleChange opens the next term and names its winner in one, by the leader: enough voters have hung up on the old primary.
// It compares their ballots, and ends the renewals of the primary, which may live, by writing primary.term itself; a renewal
// in the last moment only has it read again.
func overruleChange(v View, choice Choice, message string) Change {
	r := v.Cluster.Record.overruled(choice.Winner, choice.Tail)
	c := v.asLeader(v.change(r, EventNamed, message))
	c.onBallots(v, r.Term, v.Cluster.Advance, choice)
	c.DropPrimary = true
	if t := v.Cluster.PrimaryTerm; t != nil {
		ended := *t
		ended.Surrendered = true
		c.PrimaryTerm, c.If.PrimaryTermRev = &ended, rev(v.Cluster.PrimaryTermRev)
	}
	return c
}

// onBallots compares the ballots that the choice was judged on, and that the winner is still the member that we saw.
func (c *Change) onBallots(v View, term Term, cast map[string]Cast, choice Choice) {
	c.If.MemberRevs = map[string]int64{choice.Winner: v.Cluster.Members[choice.Winner].CreateRev}
	c.If.BallotTerm, c.If.BallotRevs = term, map[string]int64{}
	for name, ballot := range cast {
		c.If.BallotRevs[name] = ballot.ModRev
	}
	c.Event.Candidates = choice.Ranked
}

// durabilityChange puts another durability in force, by the primary's sidecar under its own unbroken term.
func durabilityChange(v View, d Durability, m Memory) Change {
	now, why := v.Cluster.Record.Durability, ReasonVoters
	message := fmt.Sprintf("durability is %s, and was %s", d, now)
	switch {
	case v.Cluster.Record.Next != nil && d.Equal(*v.Cluster.Record.Next):
		why = ReasonSettled
	case d.Mode == ModeAsync && v.wantsQuorum():
		why = ReasonDegrade
		message = fmt.Sprintf("degraded to async after %s with fewer than %d standbys: a failover may lose commits until there are %d again",
			v.Now.Since(m.ShortSince).Round(time.Second), v.Policy.K, v.Policy.K)
	}
	c := v.change(v.Cluster.Record.enforcing(why, d), EventDurability, message)
	c.If.PrimaryTermRev = rev(v.Trust.Rev)
	c.PruneEvents = eventsKept
	return c
}

// BallotChange puts a ballot, or its withdrawal: never a deletion, so that an earlier put that was delayed on its way finds
// another revision than it compares and does nothing.
func BallotChange(v View, b Ballot) Change {
	before := v.Cluster.Ballots[b.Member]
	if b.Term != v.Cluster.Record.Term {
		before = v.Cluster.Advance[b.Member]
	}
	return Change{
		If:     If{RecordRev: rev(v.Cluster.RecordRev), BallotTerm: b.Term, BallotRevs: map[string]int64{b.Member: before.ModRev}},
		Ballot: &b,
	}
}

// confirmChange makes the list of members what the primary sees.
func confirmChange(v View, members []string) Change {
	c := v.change(v.Cluster.Record.confirming(members), EventMembers, fmt.Sprintf("members: %v", members))
	c.If.PrimaryTermRev = rev(v.Trust.Rev)
	c.PruneEvents = eventsKept
	return c
}

// registerChange creates our member key.
func registerChange(v View, self Member, replaces int64) Change {
	return Change{If: If{MemberRevs: map[string]int64{v.Me.Name: replaces}}, Member: &self}
}

func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// ErrTrustPolicy: the policy's times of trust hold for all members at one instant, or two primaries could live at once.
var ErrTrustPolicy = errors.New("ttl, fence_deadline, fence_time and clock_error say how long a primary is trusted, and are not changed while one is: they are those of the member that creates the cluster")

// PolicyChange puts another policy in force for all members, with the event that tells what changes.
func PolicyChange(c Cluster, next Policy) (Change, error) {
	if err := next.Validate(); err != nil {
		return Change{}, err
	}
	old := *c.Policy
	if old.TTL != next.TTL || old.FenceDeadline != next.FenceDeadline || old.FenceTime != next.FenceTime || old.ClockError != next.ClockError {
		return Change{}, ErrTrustPolicy
	}
	differences, err := PolicyDiff(old, next)
	if err != nil {
		return Change{}, err
	}
	words, facts := []string{}, map[string]string{}
	for _, d := range differences {
		words, facts[d.Key] = append(words, d.String()), d.change()
	}
	change := TellChange(c, EventPolicy, ReasonPolicy, "policy: "+strings.Join(words, ", "))
	change.Policy, change.If.PolicyRev = &next, rev(c.PolicyRev)
	change.Event.Facts = facts
	return change, nil
}

// TellChange writes an event that changes nothing else: the record's sequence number gives it its place.
func TellChange(c Cluster, kind EventKind, why Reason, message string) Change {
	r := c.Record.next(c.Record.Reason)
	e := event(r, kind, message)
	e.Reason = why
	return Change{If: If{RecordRev: rev(c.RecordRev)}, Record: &r, Event: e}
}
