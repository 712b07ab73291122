package watchdog

import "fmt"

// Ballots in advance (DESIGN.md §4). A voter that hears neither its primary's sidecar nor its server promises the next term
// before anybody has opened it, hangs up, and publishes its exact position. Once a quorum has, no commit of the old term can
// be acknowledged any more, whatever the old primary's clock, sidecar or network does, and the leader opens the term and names
// the winner in one transaction. Until then the ballot may be withdrawn: acknowledged first, reconnected after.

// inAdvance decides for a member that has voted in advance, or should.
func inAdvance(v View, m Memory) (Decision, bool) {
	r, s := v.Cluster.Record, v.Server
	promised := v.Me.Admitted.Advance > r.Term
	if !promised && !(!v.still() && r.Durability.Mode == ModeQuorum && r.Durability.Has(v.Me.Name) && r.Taken && v.silent(m)) {
		return Decision{}, false
	}
	given, cast := v.Cluster.Advance[v.Me.Name]
	detail := fmt.Sprintf("%s and its server are silent", r.Primary)
	switch {
	case v.Flight.Kind != "":
		return v.wait(ReasonOperating, string(v.Flight.Kind)), true
	case promised && v.hears(m) && v.retry(ActWithdraw):
		d := v.do(ActWithdraw, ReasonWithdraw, r.Primary+" is heard again")
		d.Actions[0].Ballot = v.Me.Admitted.Advance
		return d, true
	case v.still():
		return v.wait(ReasonPaused, detail+", and the cluster is paused"), true
	case s.Role == RoleDown && !s.Gone:
		return v.fence(ReasonLeftBehind, true, "the postmaster has exited and left processes behind"), true
	case v.abstains():
		return v.wait(ReasonAbstains, v.abstention()), true
	case cast && given.Exact && !given.Withdrawn && given.Incarnation == v.Me.Incarnation && s.Role == RoleStandby && v.sameVetoes(given.Ballot):
		return v.wait(ReasonBalloted, detail+": waiting for a quorum of ballots, or to hear it again"), true
	case s.Gone && v.retry(ActStart):
		return v.do(ActStart, ReasonStartToVote, "starting detached, to know where the WAL ends"), true
	case s.Role == RoleStandby && v.retry(ActBallot):
		d := v.do(ActBallot, ReasonSuspect, detail+": promising the next term in advance")
		d.Actions[0].Ballot = r.Term + 1
		return d, true
	case v.Flight.Failed != "":
		return v.wait(ReasonRetryLater, string(v.Flight.Failed)+" failed a moment ago"), true
	}
	return v.wait(ReasonServerUnknown, "waiting for the server to accept sessions"), true
}

// heardAt is when the primary's sidecar last answered or refused, or its server answered; at the least when we first saw its
// term, so that nobody is suspected who had no time to answer.
func (v View) heardAt(m Memory) Instant {
	p := v.Peers[v.Cluster.Record.Primary]
	return max(p.AnsweredAt, p.ServerAt, m.TermSince)
}

// silent: heartbeat and server have been silent for the detection window, the server having been knocked at meanwhile. A
// refused or reset connection is not silence: the host lives, and its guard answers for it.
func (v View) silent(m Memory) bool {
	heard := v.heardAt(m)
	return heard != 0 && v.Now.Since(heard) > v.Policy.Detection.D() && v.Peers[v.Cluster.Record.Primary].KnockedAt > heard
}

// hears: the primary's sidecar says that it holds the term, or its server answers.
func (v View) hears(m Memory) bool {
	p, window := v.Peers[v.Cluster.Record.Primary], v.Policy.Detection.D()
	recent := func(at Instant) bool { return at != 0 && v.Now.Since(at) <= window }
	return !v.silent(m) && (recent(p.HeardAt) && p.PrimaryTerm == v.Cluster.Record.Term || recent(p.ServerAt))
}

// abstains: while etcd was lost we told the primary that we would take no part in an election for so long.
func (v View) abstains() bool { return v.Now < v.Abstain }

func (v View) abstention() string {
	return fmt.Sprintf("etcd was lost and the primary was told to go on: taking no part in elections for another %s", v.Abstain.Since(v.Now))
}
