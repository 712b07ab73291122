package watchdog

import "fmt"

// admit decides for a member whose own disk belongs to no cluster. Whatever it finds, PostgreSQL is left as it is.
func admit(v View) Decision {
	c := v.Cluster
	if other, taken := c.Members[v.Me.Name]; taken && other.Incarnation != v.Me.Incarnation {
		return v.refuse(ReasonNameInUse, fmt.Sprintf("the name %q is in use by a live member at %s: give this one another name, or stop that one and wait for its lease to end",
			v.Me.Name, other.Address))
	}
	if v.Server.SystemID == "" {
		return v.wait(ReasonServerUnknown, "waiting for the server beside us to say what it is: "+v.Server.Problem)
	}
	if c.Record == nil {
		return adoptOrWait(v)
	}
	r := c.Record
	holder := r.LastTaker.Name == v.Me.Name && r.LastTaker.Incarnation == v.Me.Incarnation
	switch {
	case r.SystemID != v.Server.SystemID:
		return v.refuse(ReasonForeignSystem, fmt.Sprintf("this server's system identifier is %s, and the cluster's is %s: it is not a copy of the same database; check data_dir and cluster",
			v.Server.SystemID, r.SystemID))
	case v.Server.Role == RolePrimary && !holder:
		return v.refuse(ReasonTwoPrimaries, fmt.Sprintf("this server accepts writes, and the cluster's primary is %q: stop this server and make it a standby of that one, or check cluster and data_dir",
			r.Primary))
	case v.Server.Role != RoleStandby && v.Server.Role != RolePrimary && !v.Server.Gone:
		return v.wait(ReasonServerUnknown, "waiting for the server beside us to say what it is: "+v.Server.Problem)
	case !v.Me.Registered:
		d := v.wait(ReasonRegister, "registering")
		d.Actions = register(v)
		return d
	}
	if holder && v.Server.Role == RolePrimary && v.Trust.Term != r.Term {
		// Adopted, and the answer or this process was lost before our disk had noted it: the term is still ours if this
		// renewal goes through.
		renew := RetakeChange(v)
		renew.TakePrimary = v.Me.Name
		d := v.wait(ReasonAdopt, "the record names us already: renewing the term before we rely on it")
		d.Actions = []Action{v.apply(renew)}
		return d
	}
	a := Admission{SystemID: r.SystemID, StoreID: c.StoreID, Term: r.Term, Seq: r.Seq, Follow: v.foundUpstream()}
	if holder {
		a.Held = r.LastTaker.Term
	}
	d := v.do(ActAdmit, ReasonJoin, "joining the cluster")
	d.Actions[0].Admission = a
	return d
}

// adoptOrWait: no record. Only a sidecar beside a running primary creates it.
func adoptOrWait(v View) Decision {
	switch {
	case v.Server.Role != RolePrimary:
		return v.wait(ReasonNoPrimaryYet, "no record in etcd yet: start a sidecar beside the primary, which creates it")
	case v.Cluster.PrimaryTermRev != 0 || len(v.Cluster.Ledger) > 0:
		return v.refuse(ReasonRecordMissing, "etcd holds other keys of this cluster but no record: it was deleted, or the cluster's name is in use; look before you let this primary in")
	case !v.Me.Registered:
		d := v.wait(ReasonRegister, "registering")
		d.Actions = register(v)
		return d
	case !v.Me.GuardReady:
		return v.wait(ReasonGuardMissing, "no guard, no primary: waiting for the guard process")
	}
	d := v.wait(ReasonAdopt, "adopting the running primary")
	d.Actions = []Action{v.apply(adoptChange(v))}
	return d
}

func (v View) refuse(why Reason, message string) Decision {
	d := v.do(ActRefuse, why, message)
	d.Actions[0].Error = message
	return d
}
