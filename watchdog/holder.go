package watchdog

import (
	"fmt"
	"slices"
	"strings"
)

// holder decides for the one that has taken the term, its server writable, on its way there, or dead.
func holder(v View, m Memory) Decision {
	d := holderServer(v, m)
	if v.Trust.Term != v.Cluster.Record.Term && v.Server.Gone {
		d.Renew = 0
	}
	return d
}

func holderServer(v View, m Memory) Decision {
	s, r := v.Server, v.Cluster.Record
	busy := v.Flight.Kind != "" && v.Flight.Kind != ActSynchronise // which is no reason to wait: its server may have died meanwhile
	promoting := r.Phase == PhasePromoting
	switch {
	case busy && v.Flight.Kind != ActPromote:
		return v.wait(ReasonOperating, string(v.Flight.Kind))
	case promoting && v.Now.Since(m.Since) > v.Policy.PromoteWait.D() && !s.Gone:
		return v.fence(ReasonNoProgress, false, "named, taken, and not promoted within promote_wait")
	case promoting && v.Flight.Failed == ActPromote && v.Flight.NotPossible && !s.Gone:
		return v.fence(ReasonNoProgress, false, "named, taken, and it cannot be promoted: "+s.Problem)
	case busy:
		return v.wait(ReasonOperating, string(v.Flight.Kind))
	case v.still() && (s.Gone || s.Restarting || s.Role == RoleDown || s.Role == RoleStandby):
		return v.standStill()
	case s.Gone:
		return handOver(v, m)
	case s.Restarting:
		return v.fence(ReasonServerCrashed, true, "PostgreSQL restarts itself after a backend's crash, and comes up as a standby")
	case s.Role == "" || s.PID == 0 && s.Role != RoleDown:
		return v.wait(ReasonServerUnknown, "the server was not looked at yet")
	case s.PID == 0:
		return v.fence(ReasonLeftBehind, true, "the postmaster has exited")
	case promoting && (s.Role == RoleStandby || s.Role == RolePrimary) && v.Me.GuardReady && v.retry(ActPromote):
		return v.do(ActPromote, ReasonResume, "going on with the promotion")
	case promoting:
		return v.wait(ReasonNotReady, "taken, and waiting for the server or the guard")
	case s.Role == RoleStandby:
		return v.fence(ReasonServerCrashed, false, "the server came up as a standby")
	default:
		return serving(v, m)
	}
}

// serving: our server is primary, or does not say.
func serving(v View, m Memory) Decision {
	heir := ChooseHeir(v)
	if why, detail := v.sick(m); why != "" {
		switch {
		case heir.Winner == "":
			return v.wait(ReasonHungNoHeir, detail+", and no standby could take over")
		case v.still() && why != ReasonGuardMissing:
			return v.wait(ReasonPaused, detail+"; the cluster is paused, and nothing is done about it until it is resumed")
		}
		return v.fence(why, why != ReasonGuardMissing, detail)
	}
	if v.Server.Role != RolePrimary {
		return v.wait(ReasonServerUnknown, strings.TrimSuffix("the server does not answer our queries; "+v.Server.Problem, "; "))
	}
	if o := v.Cluster.Record.Operation; o != nil && v.Flight.Kind == "" {
		if d, operates := v.operate(*o, m); operates {
			return d
		}
	}
	if d, due := v.schedule(); due && v.Flight.Kind == "" {
		return d
	}
	d := v.wait(ReasonHolding, "")
	if !v.Server.Latched {
		d.Actions = append(d.Actions, v.action(ActLatch))
	}
	if members := v.members(); !slices.Equal(members, v.Cluster.Record.Members) && v.Trust.Live(v.Policy, v.Now) {
		d.Actions = append(d.Actions, v.apply(confirmChange(v, members)))
	}
	if actions, why, detail := v.keepDurability(m); why != "" && v.Flight.Kind == "" && v.retry(ActSynchronise) {
		d.Actions, d.Reason, d.Detail = append(d.Actions, actions...), why, detail
	}
	return d
}

// sick: evidence that a living server cannot serve. Too many connections, a slow query or a refused password are life.
func (v View) sick(m Memory) (Reason, string) {
	hang := v.Policy.HangAfter.D()
	silent := func(at Instant) bool { return at != 0 && v.Now.Since(max(at, v.Server.StartedAt)) > hang }
	switch {
	case silent(v.Server.AnsweredAt):
		return ReasonServerHangs, fmt.Sprintf("no answer on the kept connection for %s", v.Now.Since(v.Server.AnsweredAt))
	case silent(v.Server.ConnectedAt):
		return ReasonServerHangs, fmt.Sprintf("no answer to a new connection for %s", v.Now.Since(v.Server.ConnectedAt))
	case v.Server.StoredAt != 0 && v.Now.Since(v.Server.StoredAt) > 2*hang:
		return ReasonStorageSick, fmt.Sprintf("no write to its storage has finished for %s", v.Now.Since(v.Server.StoredAt))
	case m.GuardlessSince != 0 && v.Now.Since(m.GuardlessSince) > v.Policy.RenewalDeadline.D():
		return ReasonGuardMissing, "no guard process can be kept alive"
	}
	return "", ""
}

// members is the record's list and every live member that streams from us, or from a member on the list.
func (v View) members() []string {
	members := slices.Clone(v.Cluster.Record.Members)
	streams := map[string]bool{}
	for _, d := range v.Server.Standbys {
		streams[d.Name] = d.Streaming
	}
	ours := map[string]bool{v.Me.Address: true} // and those of standbys that a cascade may follow
	for name, m := range v.Cluster.Members {
		ours[m.Address] = ours[m.Address] || v.Cluster.Record.Confirmed(name)
	}
	for name, m := range v.Cluster.Members {
		if m.SystemID == v.Cluster.Record.SystemID && (m.Witness || streams[name] || v.Peers[name].Streaming && ours[v.Peers[name].Upstream]) {
			members = append(members, name)
		}
	}
	return sorted(members)
}

// handOver: our server is verified gone, and the term is ours to give away.
func handOver(v View, m Memory) Decision {
	if !v.retry(ActHandOver) {
		return v.wait(ReasonRetryLater, "the hand-over failed a moment ago")
	}
	if v.Cluster.Record.Phase == PhasePromoting {
		return v.do(ActHandOver, ReasonNoProgress, "the promotion failed: the leader opens the next election")
	}
	choice := ChooseHeir(v)
	if o := v.askedToHandOver(); o != nil {
		choice = choice.preferring(o.To)
	}
	if choice.Winner == "" && v.unheard() && v.Now.Since(m.Since) < v.Policy.Detection.D() {
		return v.wait(ReasonWaitingHeard, "the server is gone; listening for standbys that could take over")
	}
	d := v.do(ActHandOver, ReasonServerExited, "the server is gone, and verified so")
	d.Actions[0].Heir, d.Actions[0].Candidates = choice.Winner, choice.Ranked
	return d
}

// unheard: a confirmed member is registered and no heartbeat of it has been answered yet.
func (v View) unheard() bool {
	for name := range v.Cluster.Members {
		if name != v.Me.Name && v.Cluster.Record.Confirmed(name) && v.Peers[name].AnsweredAt == 0 {
			return true
		}
	}
	return false
}

// retry says whether an operation of that kind may be tried now: at once the first time, then with a growing pause.
func (v View) retry(kind ActionKind) bool {
	f := v.Flight
	if f.Failed != kind {
		return true
	}
	pause := retryPause << min(f.Failures, 6)
	return v.Now.Since(f.FailedAt) >= pause
}
