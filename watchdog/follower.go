package watchdog

import (
	"fmt"
	"time"
)

// follower decides for a member while another is primary or named.
func follower(v View, m Memory) Decision {
	s := v.Server
	if d, votes := inAdvance(v, m); votes {
		return d
	}
	switch {
	case v.Flight.Kind != "":
		return v.wait(ReasonOperating, string(v.Flight.Kind))
	}
	if d, chore := v.chore(m); chore {
		return d
	}
	switch {
	case v.leftAlone(m):
		return v.restPaused()
	case s.Role == RoleDown && !s.Gone:
		return v.fence(ReasonLeftBehind, true, "the postmaster has exited and left processes behind")
	}
	up, known := v.upstream()
	switch {
	case !known:
		return v.wait(ReasonUpstreamUnknown, fmt.Sprintf("%s has no live sidecar: its address is not known", v.Cluster.Record.Primary))
	case s.Gone:
		return rejoin(v, m, up)
	case s.Role == RoleStandby:
		up, wait := v.followed(m, up)
		if wait {
			return v.wait(ReasonWaitingUpstream, "following "+up.Name+" again as soon as that streams on the new timeline")
		}
		return follow(v, m, up)
	case s.Role == RoleStarting && s.Latched && v.Cluster.Record.Phase == PhaseNormal:
		if next, wait := v.followed(m, up); !wait {
			up = next
		}
		return opening(v, m, up)
	default:
		return v.wait(ReasonServerUnknown, "waiting for the server to accept sessions: "+s.Problem)
	}
}

// upstream is the server that the record names, with what the record knows of its timeline once it is settled.
func (v View) upstream() (Upstream, bool) {
	r := v.Cluster.Record
	member, ok := v.Cluster.Members[r.Primary]
	if !ok {
		return Upstream{}, false
	}
	up := Upstream{Name: r.Primary, Address: member.Address, API: member.API, Term: v.stamp()}
	if r.Phase == PhaseNormal {
		up.Timeline, up.Fork = r.Timeline, r.Fork
	}
	return up, true
}

// follow: our server is a running standby.
func follow(v View, m Memory, up Upstream) Decision {
	s, settled := v.Server, v.Cluster.Record.Phase == PhaseNormal
	canReload := s.ReloadsConninfo()
	elsewhere := s.Upstream != up.Address || s.Stamp != up.Term
	switch {
	case elsewhere && !settled && !canReload:
		return v.wait(ReasonWaitingPromote, "repointing needs a restart here: waiting until the new primary accepts sessions")
	case elsewhere && !v.retry(ActRepoint):
		return v.wait(ReasonRetryLater, "repointing failed a moment ago")
	case elsewhere:
		d := v.toward(ActRepoint, ReasonRepoint, "following "+up.Name, up)
		d.Memory = m
		d.Memory.NotStreamingSince = 0 // from the other one
		return d
	case settled && v.replayedPastFork():
		return v.takeBack(m)
	case s.Streaming:
		return v.wait(ReasonFollowing, "following "+up.Name)
	case !settled:
		return v.wait(ReasonWaitingPromote, "waiting for "+up.Name+" to be promoted")
	}
	return lagging(v, m, up)
}

// The patience with a standby that has its upstream and does not stream: prodded first, then restarted, and where its own
// history leaves the primary's, taken down the ladder.
const (
	prodAfter     = 300 * time.Millisecond
	prodEvery     = time.Second
	restartAfter  = 6 * time.Second
	divergedAfter = 2 * time.Second
	startEvery    = time.Second
	askAfter      = 3 * time.Second
)

func lagging(v View, m Memory, up Upstream) Decision {
	silent := v.Now.Since(m.NotStreamingSince)
	detail := fmt.Sprintf("not streaming from %s for %s", up.Name, silent.Round(100*time.Millisecond))
	fork := v.Cluster.ForkAfter(v.Server.Timeline)
	diverged := fork != 0 && max(v.Server.Received, v.Server.Replayed) > fork
	switch {
	case m.WALGone && silent > divergedAfter:
		return v.clone(up.Name + " no longer has the WAL that it needs next")
	case diverged && silent > divergedAfter || v.Server.Diverged:
		return v.takeBack(m)
	case silent > prodAfter && v.Now.Since(m.ProddedAt) > prodEvery:
		d := v.toward(ActProd, ReasonProd, detail, up)
		d.Actions[0].Restart = silent > restartAfter && v.Flight.Failures == 0 && silent < 2*restartAfter
		d.Memory = m
		d.Memory.ProddedAt = v.Now
		return d
	default:
		return v.wait(ReasonNotStreaming, detail)
	}
}

// opening: our server recovers and accepts no sessions yet. Each while the upstream is asked whether it still has the WAL that
// is needed next: a server that was rewound may have come too late for it (F60).
func opening(v View, m Memory, up Upstream) Decision {
	closed := v.Now.Since(m.ClosedSince)
	switch {
	case m.WALGone:
		return v.clone(up.Name + " no longer has the WAL that it needs next")
	case closed > askAfter && v.Now.Since(m.ProddedAt) > askAfter:
		d := v.toward(ActProd, ReasonProd, fmt.Sprintf("no sessions for %s", closed.Round(100*time.Millisecond)), up)
		d.Memory = m
		d.Memory.ProddedAt = v.Now
		return d
	default:
		return v.wait(ReasonServerUnknown, "waiting for the server to accept sessions: "+v.Server.Problem)
	}
}

// replayedPastFork: it has replayed WAL past the place where the settled history leaves its timeline. A receiver may stream for
// a moment all the same, up to there.
func (v View) replayedPastFork() bool {
	fork := v.Cluster.ForkAfter(v.Server.Timeline)
	return fork != 0 && v.Server.Timeline != 0 && v.Server.Replayed > fork
}

// takeBack rewinds a diverged standby to the primary's history, or clones it where it cannot be rewound.
func (v View) takeBack(m Memory) Decision {
	up, _ := v.upstream()
	d := v.toward(ActRewind, ReasonRewind, fmt.Sprintf("its history leaves the primary's at %s", v.Cluster.ForkAfter(v.Server.Timeline)), up)
	if m.NoRewind {
		d.Actions[0].Kind, d.Reason = ActClone, ReasonClone
	}
	d.Memory = m
	d.Memory.Diverged = true
	if !v.retry(d.Actions[0].Kind) {
		return v.wait(ReasonRetryLater, d.Detail)
	}
	return d
}

// rejoin is the ladder of a stopped server: start it, else rewind it, else clone it anew.
func rejoin(v View, m Memory, up Upstream) Decision {
	r := v.Cluster.Record
	switch {
	case r.Tail != nil && r.Tail.From == v.Me.Name:
		return v.wait(ReasonServingTail, "the WAL here may be needed by "+up.Name)
	case r.Phase != PhaseNormal:
		return v.wait(ReasonWaitingPromote, "waiting for "+up.Name+" to be promoted")
	}
	kind, why := ActStart, ReasonRejoin
	switch {
	case m.WALGone:
		return v.clone(up.Name + " no longer has the WAL that it needs next")
	case m.Diverged && m.NoRewind:
		return v.clone("it cannot be rewound")
	case m.Diverged:
		kind, why = ActRewind, ReasonRewind
	}
	if kind == ActStart && m.StartTried != 0 && v.Now.Since(m.StartTried) < startEvery {
		return v.wait(ReasonRetryLater, "the server was started a moment ago and has ended: see its log")
	}
	if !v.retry(kind) {
		return v.wait(ReasonRetryLater, string(kind)+" failed a moment ago: "+v.Server.Problem)
	}
	if kind == ActStart {
		next, wait := v.followed(m, up)
		if wait {
			return v.wait(ReasonWaitingUpstream, "starting as soon as "+next.Name+" streams on the new timeline")
		}
		up = next
	}
	return v.toward(kind, why, "rejoining "+up.Name, up)
}

// clone is the ladder's last rung: a copy of the primary.
func (v View) clone(why string) Decision {
	up, _ := v.upstream()
	switch {
	case !v.Policy.Clone:
		return v.wait(ReasonStuck, why+", and cloning is not allowed by the policy: copy the primary by hand")
	case !v.retry(ActClone):
		return v.wait(ReasonRetryLater, "clone failed a moment ago: "+v.Server.Problem)
	default:
		return v.toward(ActClone, ReasonClone, why, up)
	}
}

func (v View) toward(kind ActionKind, why Reason, detail string, up Upstream) Decision {
	d := v.do(kind, why, detail)
	d.Actions[0].Upstream = up
	return d
}
