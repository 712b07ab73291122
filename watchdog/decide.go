package watchdog

import "fmt"

// Decide judges the view. The same view gives the same decision.
//
// The order is the safety argument: a server that has lost its right is fenced before anything is read or written;
// then who we are to this cluster; then what our role in the record asks for.
func Decide(v View) Decision {
	m := remember(v)
	d := decide(v, m)
	if d.Memory == (Memory{}) {
		d.Memory = m
	}
	return d
}

func decide(v View, m Memory) Decision {
	if d, must := mustFence(v); must {
		return d
	}
	if v.Cluster == nil {
		return v.wait(ReasonStoreUnread, "etcd has not answered yet")
	}
	if d, unfit := unfitStore(v); unfit {
		return d
	}
	if v.Me.Admitted.SystemID == "" {
		return admit(v)
	}
	if v.Cluster.Record == nil {
		return missingRecord(v)
	}
	d := byRole(v, m)
	d.Actions = append(housekeeping(v), d.Actions...)
	return oneRecordChange(d)
}

// byRole is the heart: what the record asks of us.
func byRole(v View, m Memory) Decision {
	r := v.Cluster.Record
	var d Decision
	switch {
	case v.holds():
		return holder(v, m)
	case r.Phase == PhasePromoting && r.Primary == v.Me.Name && !r.Taken:
		d = heir(v, m)
	case r.Phase == PhaseElecting:
		d = voter(v)
	default:
		d = follower(v, m)
	}
	if v.leads() {
		d = lead(v, m, d)
	}
	return d
}

// mustFence is judged first, on our own disk and clock alone.
func mustFence(v View) (Decision, bool) {
	if v.Me.Admitted.SystemID == "" || v.Server.Gone || v.Flight.Kind == ActFence || v.Flight.Kind == ActHandOver {
		return Decision{}, false
	}
	writable := v.Server.Role == RolePrimary
	switch {
	case v.Trust.Term != 0 && v.Trust.Lost:
		return v.fence(ReasonOvertaken, false, "another term has begun"), true
	case v.Trust.Term != 0 && !v.Trust.Live(v.Policy, v.Now):
		return v.fence(ReasonTrustOver, false, "no renewal was acknowledged in time: etcd is out of reach, or was"), true
	case v.Trust.Term != 0 && v.Cluster != nil && v.Cluster.Record != nil && v.Cluster.Record.Term > v.Trust.Term && !v.holds():
		return v.fence(ReasonOvertaken, false, fmt.Sprintf("term %d has begun", v.Cluster.Record.Term)), true
	case v.Trust.Term == 0 && writable:
		return v.fence(ReasonStrayPrimary, false, "it accepts writes and we hold no term"), true
	}
	return Decision{}, false
}

// holds says whether the record gives the term to us, in this incarnation. A record that cannot be read, or is gone, takes
// nothing from the one who holds the term: its renewals compare their own key.
func (v View) holds() bool {
	r := v.Cluster.Record
	return r != nil && r.Phase != PhaseElecting && r.Primary == v.Me.Name && r.Taken && r.LastTaker.Incarnation == v.Me.Incarnation
}

func (v View) leads() bool {
	c := v.Cluster
	return v.Me.Registered && v.Me.CampaignKey != "" && c.LeaderKey == v.Me.CampaignKey && c.Record.Confirmed(v.Me.Name)
}

// unfitStore refuses a store that cannot be read, is another, or lies behind what our own disk has seen.
func unfitStore(v View) (Decision, bool) {
	c, own := v.Cluster, v.Me.Admitted
	switch {
	case own.StoreID != "" && c.StoreID != own.StoreID:
		return v.wait(ReasonStoreForeign, fmt.Sprintf("etcd's cluster id is %s, and this member belongs to %s: check etcd.endpoints", c.StoreID, own.StoreID)), true
	case c.RecordRev != 0 && c.Record == nil:
		return v.wait(ReasonRecordGarbage, "the record in etcd cannot be read: nothing is decided until it is mended: "+c.GarbageList()), true
	case len(c.Garbage) > 0 && c.PrimaryTermRev != 0 && c.PrimaryTerm == nil:
		return v.wait(ReasonRecordGarbage, "a key in etcd cannot be read: nothing is decided until it is mended: "+c.GarbageList()), true
	case c.Record != nil && own.SystemID != "" && c.Record.SystemID != own.SystemID:
		return v.wait(ReasonForeignSystem, fmt.Sprintf("the record is of system %s and this member belongs to %s: check cluster and etcd.endpoints", c.Record.SystemID, own.SystemID)), true
	case c.Record != nil && (c.Record.Term < max(own.Term, own.Promised) || c.Record.Term == own.Term && c.Record.Seq < own.Seq):
		return v.wait(ReasonStoreBehind, fmt.Sprintf("etcd's record is of term %d seq %d, and this member has seen term %d seq %d: was etcd restored from a backup?",
			c.Record.Term, c.Record.Seq, max(own.Term, own.Promised), own.Seq)), true
	}
	return Decision{}, false
}

// missingRecord: only the primary under unexpired trust may write it again, one term later.
func missingRecord(v View) Decision {
	c := v.Cluster
	if v.ReadAt < v.Trust.From || c.Revision < v.Trust.Rev {
		return v.wait(ReasonStoreUnread, "etcd is to be read again: our own change is younger than the last read")
	}
	ours := c.PrimaryTermRev == 0 || c.PrimaryTermRev == v.Trust.Rev
	if v.Trust.Live(v.Policy, v.Now) && v.Server.Role == RolePrimary && ours && v.Me.Registered {
		change := restoreChange(v)
		d := v.wait(ReasonRestore, "the record is gone from etcd while we hold the term: writing it again")
		d.Actions = []Action{v.apply(change)}
		return d
	}
	d := v.wait(ReasonRecordMissing, "the record is gone from etcd, and only a primary that still holds its term may write it again")
	if !v.Me.Registered {
		d.Actions = register(v)
	}
	return d
}

// wait does nothing, and keeps the trust that we have.
func (v View) wait(why Reason, detail string) Decision {
	return Decision{Reason: why, Detail: detail, Renew: v.renewable()}
}

// renewable is the term to go on renewing: ours, for as long as nobody took it and our server is not gone.
func (v View) renewable() Term {
	changing := v.Flight.Kind == ActPromote || v.Flight.Kind == ActSwitchOver // its server may be gone on the way
	if v.Trust.Lost || v.Server.Gone && !changing || v.Flight.Kind == ActFence {
		return 0
	}
	return v.Trust.Term
}

func (v View) do(kind ActionKind, why Reason, detail string) Decision {
	d := v.wait(why, detail)
	d.Actions = []Action{v.action(kind)}
	return d
}

func (v View) action(kind ActionKind) Action {
	a := Action{Kind: kind}
	if v.Cluster != nil && v.Cluster.Record != nil {
		a.Term, a.RecordRev = v.Cluster.Record.Term, v.Cluster.RecordRev
	}
	return a
}

func (v View) apply(c Change) Action {
	a := v.action(ActApply)
	a.Change = &c
	return a
}

// fence is the one way to a server's end. Its trust is not renewed while it goes.
func (v View) fence(why Reason, crashed bool, detail string) Decision {
	d := v.do(ActFence, why, detail)
	d.Actions[0].Crashed = crashed
	d.Renew = 0
	return d
}

// oneRecordChange keeps the first change of the record and drops the others: they were all judged on one revision.
func oneRecordChange(d Decision) Decision {
	var kept []Action
	changed := false
	for _, a := range d.Actions {
		if a.Change != nil && a.Change.Record != nil {
			if changed {
				continue
			}
			changed = true
		}
		kept = append(kept, a)
	}
	d.Actions = kept
	return d
}
