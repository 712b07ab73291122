package watchdog

// Foresee says who would take over if the primary were lost now: crashed, if its server died and its sidecar named the heir;
// silent, if its host were lost and the others voted. It is asked of the primary's own view (Me is the primary, Peers are those
// that have answered) and answers by the functions that would decide it, so that what is foretold and what comes differ only by
// what happens in between.
func Foresee(v View) (crashed, silent Choice) {
	crashed = ChooseHeir(v)
	lost := *v.Cluster
	r := lost.Record.electing(ReasonSilence, "")
	lost.Record, lost.Ballots = &r, map[string]Cast{}
	for name, m := range lost.Members {
		if peer, heard := v.Peers[name]; heard && peer.HeardAt != 0 && name != v.Me.Name && !m.Witness {
			lost.Ballots[name] = Cast{Ballot: peer.wouldVote(r.Term, m.Incarnation, v.Me.Address)}
		}
	}
	v.Cluster = &lost
	return crashed, Count(v, Memory{Since: v.Now.Add(-v.Policy.BallotWait.D())})
}

// wouldVote is the ballot that the member would give, if it hung up now.
func (p Peer) wouldVote(term Term, incarnation, primary string) Ballot {
	b := Ballot{
		Term: term, Member: p.Name, Incarnation: incarnation, Timeline: p.Timeline, End: max(p.Received, p.Replayed), Exact: true,
		Vetoes: append([]Veto(nil), p.Vetoes...), Priority: p.Priority, Site: p.Site, API: p.API,
		Cascade: p.Upstream != "" && p.Upstream != primary,
	}
	if p.Role != RoleStandby && !p.HasVeto(VetoNotRunning) {
		b.Vetoes = append(b.Vetoes, VetoNotRunning)
	}
	return b
}
