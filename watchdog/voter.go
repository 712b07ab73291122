package watchdog

// voter decides for a member while an election is open. Whoever was primary has been fenced before this is reached.
func voter(v View) Decision {
	s := v.Server
	given, cast := v.Cluster.Ballots[v.Me.Name]
	switch {
	case v.Flight.Kind != "":
		return v.wait(ReasonOperating, string(v.Flight.Kind))
	case s.Role == RoleDown && !s.Gone:
		return v.fence(ReasonLeftBehind, true, "the postmaster has exited and left processes behind")
	case v.abstains():
		return v.wait(ReasonAbstains, v.abstention())
	case cast && given.Exact && !given.Withdrawn && given.Incarnation == v.Me.Incarnation && s.Role == RoleStandby && v.sameVetoes(given.Ballot): // an unknown position is looked for again
		return v.wait(ReasonBalloted, "waiting for the election to be decided")
	case s.Gone && v.retry(ActStart):
		return v.do(ActStart, ReasonStartToVote, "starting detached, to know where the WAL ends")
	case s.Role == RoleStandby && v.retry(ActBallot):
		d := v.do(ActBallot, ReasonVote, "promising the term, hanging up, and giving the exact position")
		d.Actions[0].Ballot = v.Cluster.Record.Term
		return d
	case v.Flight.Failed != "":
		return v.wait(ReasonRetryLater, string(v.Flight.Failed)+" failed a moment ago")
	default:
		return v.wait(ReasonServerUnknown, "waiting for the server to accept sessions")
	}
}
