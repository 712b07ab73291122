package watchdog

import "slices"

// The record's transitions. Each returns the next record and leaves the old one as it is.

// adopted is the first record, beside a running primary.
func adopted(v View) Record {
	return Record{
		SystemID: v.Server.SystemID, Term: 1, Seq: 1, Phase: PhaseNormal, Primary: v.Me.Name, Taken: true,
		LastTaker: Holder{Name: v.Me.Name, Incarnation: v.Me.Incarnation, Term: 1, Site: v.Me.Site, NoSync: v.Me.NoSync}, Timeline: v.Server.Timeline,
		Members: []string{v.Me.Name}, Durability: Durability{Mode: ModeAsync}, Reason: ReasonAdopt,
	}
}

func (r Record) next(reason Reason) Record {
	r.Seq++
	r.Reason = reason
	r.Members = slices.Clone(r.Members)
	return r
}

// confirming changes the list of members.
func (r Record) confirming(members []string) Record {
	r = r.next(ReasonConfirm)
	r.Members = members
	return r
}

// electing opens an election for the next term. passedOver is the winner that made no progress, if that is why.
func (r Record) electing(reason Reason, passedOver string) Record {
	r = r.next(reason)
	r.Term++
	r.Phase, r.Primary, r.Taken, r.Tail, r.PassedOver, r.Operation = PhaseElecting, "", false, nil, passedOver, nil
	return r
}

// handedOver opens the next term and names its heir at once.
func (r Record) handedOver(reason Reason, heir string, tail Tail) Record {
	r = r.electing(reason, "")
	r.Phase, r.Primary, r.Tail = PhasePromoting, heir, &tail
	r.Next = r.nextDurability(heir)
	return r
}

// overruled opens the next term and names its winner at once: enough voters have hung up on the old primary.
func (r Record) overruled(winner string, tail *Tail) Record {
	r = r.electing(ReasonOverruled, "")
	r.Phase, r.Primary, r.Tail = PhasePromoting, winner, tail
	r.Next = r.nextDurability(winner)
	return r
}

// nextDurability is what the winner's server is to enforce from its first commit on; nil in async. A winner that is a voter
// is replaced among them by the last server that took a term; an outsider leaves the voters as they are. The old voters stay
// in force until k of the next have flushed past the fork, and until then the winner's own copy counts as one more:
// Quorum + K + 1 > |both|. That server does not take the place if it is tagged no_sync, unless fewer than k would be left: the
// term could never be settled then.
func (r Record) nextDurability(winner string) *Durability {
	d := r.Durability
	if d.Mode != ModeQuorum {
		return nil
	}
	next := Durability{Mode: ModeQuorum, K: d.K, Voters: sorted(slices.Clone(d.Voters))}
	if !d.Has(winner) {
		return &next
	}
	var place, after []string
	if !r.LastTaker.NoSync || len(d.Voters) <= d.K {
		place = []string{r.LastTaker.Name}
	}
	if r.Next != nil { // an unsettled term's: its winner took the place that another had
		after = r.Next.Voters
	}
	for _, more := range [][]string{union(place, after), place, nil} {
		next.Voters = without(union(d.Voters, more), []string{winner})
		next.K = min(d.K, len(next.Voters))
		if d.Quorum()+next.K+1 > len(union(next.Voters, d.Voters)) && (next.K == d.K || more == nil) {
			break
		}
	}
	return &next
}

// enforcing changes the durability in force; what was to come after it has come, or is void.
func (r Record) enforcing(reason Reason, d Durability) Record {
	r = r.next(reason)
	r.Durability, r.Next = d, nil
	return r
}

// naming ends the election of this term.
func (r Record) naming(winner string, tail *Tail, why Reason) Record {
	r = r.next(why)
	r.Phase, r.Primary, r.Tail, r.Operation = PhasePromoting, winner, tail, nil
	r.Next = r.nextDurability(winner)
	return r
}

// taken says that the one named has the term now.
func (r Record) taken(by Identity) Record {
	r = r.next(ReasonNamed)
	r.Taken, r.LastTaker = true, Holder{Name: r.Primary, Incarnation: by.Incarnation, Term: r.Term, Site: by.Site, NoSync: by.NoSync}
	if r.Tail != nil {
		r.LastTaker.ReachTimeline, r.LastTaker.Reach, r.LastTaker.ReachFrom = r.Tail.Timeline, r.Tail.End, r.Tail.From
	}
	return r
}

// settled says that the one named is writable, on that timeline. In quorum the old voters stay in force beside the next.
func (r Record) settled(timeline Timeline, fork LSN) Record {
	r = r.next(ReasonPromoted)
	r.Phase, r.Timeline, r.Fork, r.Tail, r.PassedOver = PhaseNormal, timeline, fork, nil, ""
	return r
}

// restored is the record of the next term, written again by the primary that finds it lost.
func restored(v View) Record {
	r := adopted(v)
	r.Term, r.Seq, r.Reason = v.Trust.Term+1, v.Me.Admitted.Seq+1, ReasonRestore
	r.LastTaker.Term = r.Term
	return r
}
