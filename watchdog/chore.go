package watchdog

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Chores are operations on one member, which that member's own sidecar carries out: restart, reload, reinit, and to leave the
// cluster, whose list of members only the primary's sidecar changes. The restart of
// the primary is a hand-over: a server becomes writable by adoption or promotion only, and never again on the same timeline.

// chores says by which action a sidecar does what is asked of a standby.
var chores = map[OperationKind]ActionKind{
	OperationRestart: ActRestart, OperationReload: ActReload, OperationReinit: ActClone,
	OperationRemove: ActLeave,
}

// leaveWait bounds the wait until the primary has taken a member out of the voters.
const leaveWait = 30 * time.Second

// askChore refuses a chore that cannot be, with an error for people.
func askChore(c Cluster, o Operation) error {
	r := c.Record
	_, alive := c.Members[o.Member]
	switch {
	case !alive && !slices.Contains(r.Members, o.Member):
		return fmt.Errorf("%s is no member: there are %s", o.Member, strings.Join(r.Members, ", "))
	case !alive && o.Kind != OperationRemove:
		return fmt.Errorf("the sidecar of %s is not there to carry it out", o.Member)
	case o.Kind.leaves() && o.Member == r.Primary:
		return fmt.Errorf("%s is the primary: hand over first (pgvigil switchover)", o.Member)
	case o.Kind.leaves():
		return mayLeave(*r, o.Member)
	}
	return nil
}

// mayLeave refuses to let a voter go that the others could not do without.
func mayLeave(r Record, name string) error {
	d := r.Durability
	switch {
	case r.Next != nil:
		return fmt.Errorf("term %d is not settled yet: wait until it is", r.Term)
	case d.Mode == ModeQuorum && d.Has(name) && len(d.Voters) <= d.K:
		return fmt.Errorf("%s is a voter, and commits need %d of %s: bring another standby back first, or lower k (pgvigil config set)",
			name, d.K, strings.Join(d.Voters, ", "))
	}
	return nil
}

// leaves says whether the member that it is about is to be no voter.
func (k OperationKind) leaves() bool { return k == OperationReinit || k == OperationRemove }

// leaving is the member that is to be no voter, by an operator's wish.
func (r Record) leaving() string {
	if o := r.Operation; o != nil && o.Term == r.Term && o.Kind.leaves() {
		return o.Member
	}
	return ""
}

// ownChore is what is asked of our own server.
func (v View) ownChore() (o Operation, kind ActionKind, asked bool) {
	r := v.Cluster.Record
	if r.Operation == nil || r.Operation.Member != v.Me.Name || r.Operation.Term != r.Term || r.Phase != PhaseNormal {
		return o, "", false
	}
	kind, asked = chores[r.Operation.Kind]
	return *r.Operation, kind, asked
}

// end takes the operation out of the record.
func (v View) end(why Reason, message string) Decision {
	d := v.wait(why, message)
	d.Actions = []Action{v.apply(endChange(v, why, message))}
	return d
}

// chore goes on with what is asked of our standby. Once it is done, the standby follows as ever, until it streams again.
func (v View) chore(m Memory) (Decision, bool) {
	o, kind, asked := v.ownChore()
	if !asked {
		return Decision{}, false
	}
	f, r := v.Flight, v.Cluster.Record
	up, known := v.upstream()
	late := o.Deadline != 0 && v.Now.Since(m.AskedSince) > o.Deadline.D()
	failed := func(why string) (Decision, bool) {
		return v.end(ReasonOperationFailed, fmt.Sprintf("%s of %s: %s", o.Kind, v.Me.Name, why)), true
	}
	switch {
	case f.Failed == kind && f.FailedAt >= m.AskedSince:
		return failed(v.Server.Problem)
	case m.Chored && (kind == ActReload || f.Said != ""):
		return v.end(ReasonOperationDone, fmt.Sprintf("%s of %s: %s", o.Kind, v.Me.Name, f.Said)), true
	case m.Chored && v.Server.Streaming:
		return v.end(ReasonOperationDone, fmt.Sprintf("%s of %s: done, and it streams from %s", o.Kind, v.Me.Name, r.Primary)), true
	case late:
		return failed(fmt.Sprintf("not done, or not streaming again, within %s", o.Deadline.D()))
	case m.Chored:
		return Decision{}, false
	case o.Kind.leaves() && r.Durability.Has(v.Me.Name):
		if v.Now.Since(m.AskedSince) > leaveWait {
			return failed("the primary does not do without it as a voter")
		}
		return v.wait(ReasonChore, "waiting until it is no voter any more"), true
	case !known && kind != ActReload && kind != ActLeave:
		return v.wait(ReasonUpstreamUnknown, r.Primary+" has no live sidecar: its address is not known"), true
	}
	return v.toward(kind, ReasonChore, fmt.Sprintf("%s, as %s asked", o.Kind, o.By), up), true
}

// chorePrimary goes on with what is asked of our server, which is primary.
func (v View) chorePrimary(o Operation, m Memory) Decision {
	f := v.Flight
	kind := ActReload
	if o.Kind == OperationRestart {
		kind = ActSwitchOver
	}
	switch {
	case f.Failed == kind && f.FailedAt >= m.AskedSince:
		return v.end(ReasonOperationFailed, fmt.Sprintf("%s of %s: %s", o.Kind, v.Me.Name, v.Server.Problem))
	case f.Done == kind && f.DoneAt >= m.AskedSince: // and the term is still ours: there was nothing to restart for
		return v.end(ReasonOperationDone, fmt.Sprintf("%s of %s: %s", o.Kind, v.Me.Name, f.Said))
	case o.Kind == OperationReload:
		return v.do(ActReload, ReasonChore, "reload, as "+o.By+" asked")
	}
	heir, choice, why := v.switchHeir(o)
	switch {
	case o.InPlace:
		why = "asked for"
	case why != "" && v.Now.Since(m.AskedSince) < v.Policy.Detection.D():
		return v.wait(ReasonChore, "not yet: "+why)
	case why == "":
		d := v.do(ActSwitchOver, ReasonSwitchover, fmt.Sprintf("handing over to %s, and restarted as a standby of it, as %s asked", heir.Name, o.By))
		d.Actions[0].Heir, d.Actions[0].Candidates = heir.Name, choice.Ranked
		return d
	}
	d := v.do(ActSwitchOver, ReasonRestart, fmt.Sprintf("restarting in place (%s), as %s asked: the next term is taken by %s itself", why, o.By, v.Me.Name))
	d.Actions[0].Heir, d.Actions[0].Candidates = v.Me.Name, choice.Ranked
	return d
}

// removal takes a member off the list, our server being the primary, once its sidecar has left or is gone. Until then, and as
// long as it is a voter, we go on as ever.
func (v View) removal(o Operation, m Memory) (Decision, bool) {
	r := v.Cluster.Record
	_, alive := v.Cluster.Members[o.Member]
	switch {
	case (alive || r.Durability.Has(o.Member)) && o.Deadline != 0 && v.Now.Since(m.AskedSince) > o.Deadline.D():
		return v.end(ReasonOperationFailed, fmt.Sprintf("remove of %s: it has not left, or is needed as a voter, after %s", o.Member, o.Deadline.D())), true
	case alive || r.Durability.Has(o.Member) || r.Next != nil:
		return Decision{}, false
	}
	message := fmt.Sprintf("remove of %s: done; the members are %s now", o.Member, strings.Join(without(r.Members, []string{o.Member}), ", "))
	change := endChange(v, ReasonOperationDone, message)
	change.Record.Members = without(r.Members, []string{o.Member})
	change.If.PrimaryTermRev = rev(v.Trust.Rev)
	d := v.wait(ReasonOperationDone, message)
	d.Actions = []Action{v.apply(change)}
	return d, true
}

// LeaveChange takes our own keys away.
func LeaveChange(me Identity) Change {
	return Change{WithdrawnBy: me.Name, Resign: me.CampaignKey != ""}
}

// abandoned says that nobody is left to carry the operation out: the leader ends it.
func (v View) abandoned(m Memory) (why string) {
	o := v.Cluster.Record.Operation
	if o == nil || o.Member == "" || v.Cluster.Record.Phase != PhaseNormal {
		return ""
	}
	if _, alive := v.Cluster.Members[o.Member]; !alive && o.Kind != OperationRemove {
		return "the sidecar of " + o.Member + " is gone"
	}
	if o.Deadline != 0 && v.Now.Since(m.AskedSince) > o.Deadline.D()+v.Policy.TTL.D() {
		return fmt.Sprintf("nothing came of it within %s", o.Deadline.D())
	}
	return ""
}
