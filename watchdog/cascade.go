package watchdog

import (
	"cmp"
	"time"
)

// Cascades. A standby that follows another standby is left there: by its configuration, or because it was found so when it
// joined. It goes to the primary when its upstream dies, stands still or is taken out, and comes back when that is well again.
// It never attaches to a standby whose WAL is not of the record's own timeline: what a deposed primary still writes could reach
// it by that way, after it has promised to take nothing of a lower term.

// FollowPrimary as a member's follow: the primary, whatever the standby was found to follow.
const FollowPrimary = "primary"

const (
	stuckAfter = 10 * time.Second // an upstream that does not stream is left, though it answers its own standbys
	shunAfter  = 5 * time.Second  // an upstream that is well is left when it could not be streamed from for so long; no restart is tried
	calmFor    = 10 * time.Second // an upstream has been well for so long before a standby that follows another comes to it
	shunFor    = 5 * time.Minute  // … and is tried again
)

// Wished is the standby that ours is to follow, if there is one that lives, and that does not follow us.
func (v View) Wished() (Registered, bool) {
	if v.Cluster == nil || v.Cluster.Record == nil {
		return Registered{}, false
	}
	name := v.wishedName()
	member, alive := v.Cluster.Members[name]
	return member, alive && name != v.Me.Name && name != v.Cluster.Record.Primary && !v.circular(name)
}

func (v View) wishedName() string {
	switch name := cmp.Or(v.Me.Follow, v.Me.Admitted.Follow); name {
	case FollowPrimary:
		return ""
	default:
		return name
	}
}

// circular says whether that member follows us, directly or through others. What each is to follow stands in its key and does not
// change by itself, so that all members of a circle see it and follow the primary.
func (v View) circular(name string) bool {
	for range len(v.Cluster.Members) {
		switch {
		case name == v.Me.Name:
			return true
		case name == v.Cluster.Record.Primary:
			return false
		}
		name = v.Cluster.Members[name].Follow
	}
	return false
}

// foundUpstream is the standby that ours follows before we belong to the cluster.
func (v View) foundUpstream() string {
	for name, m := range v.Cluster.Members {
		if v.Server.Role == RoleStandby && m.Address == v.Server.Upstream && name != v.Me.Name && name != v.Cluster.Record.Primary {
			return name
		}
	}
	return ""
}

// streams says whether that member is heard, and its standby streams.
func (v View) streams(name string) bool {
	p := v.Peers[name]
	return p.HeardAt != 0 && v.Now.Since(p.HeardAt) <= v.Policy.Detection.D() && p.Role == RoleStandby && p.Streaming
}

// attachable: the term is settled, and the member streams on its timeline. Whoever has the record's timeline has it from the
// record's primary.
func (v View) attachable(name string) bool {
	r := v.Cluster.Record
	return r.Phase == PhaseNormal && v.streams(name) && v.Peers[name].Timeline == r.Timeline
}

// cascades keeps since when the standby that is to be followed has been well, or ill, and whether ours streams from one.
func (m Memory) cascades(v View) Memory {
	if v.Cluster == nil || v.Cluster.Record == nil {
		return m
	}
	up, wished := v.Wished()
	settled := v.Cluster.Record.Phase == PhaseNormal
	m.UpstreamIll = since(m.UpstreamIll, v.Now, wished && settled && !v.streams(up.Name))
	m.UpstreamWell = since(m.UpstreamWell, v.Now, wished && v.attachable(up.Name))
	primary, known := v.Cluster.Members[v.Cluster.Record.Primary]
	if settled && known && v.Server.Role == RoleStandby && v.Server.Streaming {
		m.Cascades = v.Server.Upstream != primary.Address
	}
	there := wished && v.Server.Upstream == up.Address
	failed := v.Flight.Kind == "" && v.Server.Role == RoleStandby && v.Flight.Failed == ActProd && v.Flight.WALGone
	silent := m.NotStreamingSince != 0 && v.Now.Since(m.NotStreamingSince) > shunAfter
	if there && settled && (failed || silent && m.UpstreamWell != 0) {
		m.Shunned = v.Now
	}
	return m
}

// followed is the server to follow: the primary, or the standby that is wished for. wait: it may be well in a moment.
func (v View) followed(m Memory, primary Upstream) (up Upstream, wait bool) {
	s, r := v.Server, v.Cluster.Record
	member, wished := v.Wished()
	if !wished || !v.spared() || m.Diverged || m.WALGone || s.Diverged || m.Shunned != 0 && v.Now.Since(m.Shunned) < shunFor {
		return primary, false
	}
	up = Upstream{Name: member.Name, Address: member.Address, API: member.API, Timeline: primary.Timeline, Fork: primary.Fork, Cascade: true}
	patience := v.Policy.Detection.D()
	if s.Streaming {
		patience = stuckAfter
	}
	detached := s.Upstream == ""
	switch {
	case m.UpstreamIll != 0 && v.Now.Since(m.UpstreamIll) > patience:
		return primary, false
	case s.Upstream == member.Address:
		return up, false
	case detached && v.attachable(member.Name):
		return up, false
	case detached && (r.Phase != PhaseNormal || v.Now.Since(m.Since) <= patience):
		return up, true
	case !detached && m.UpstreamWell != 0 && v.Now.Since(m.UpstreamWell) > calmFor &&
		max(v.Peers[member.Name].Received, v.Peers[member.Name].Replayed).Behind(max(s.Received, s.Replayed)) <= caughtUp:
		return up, false
	}
	return primary, false
}

// spared: neither a commit nor the settling of the term needs us at the primary itself, whose server counts nobody else.
func (v View) spared() bool {
	d, next := v.Cluster.Record.Durability, v.Cluster.Record.Next
	switch {
	case next != nil:
		return !next.Has(v.Me.Name)
	case d.Has(v.Me.Name) && len(d.Voters) <= d.K:
		return false
	}
	return v.Policy.Durability != ModeQuorum || v.besidesCascades() >= v.Policy.K
}

// besidesCascades counts the members that could be voters and follow the primary anyway.
func (v View) besidesCascades() (n int) {
	for name, m := range v.Cluster.Members {
		if name != v.Cluster.Record.Primary && m.Follow == "" && !m.Witness && !m.NoSync && !m.NoFailover {
			n++
		}
	}
	return n
}
