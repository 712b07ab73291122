package simulation

import (
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// state is what a sidecar's process knows, as in watchdog/sidecar. It dies with the process.
type state struct {
	server    watchdog.Server
	epoch     uint64
	mustLook  bool
	cluster   *watchdog.Cluster
	readAt    watchdog.Instant
	readGap   bool
	reads     uint64
	mustRead  uint64
	reading   bool
	readAgain bool
	applying  bool
	applyFrom watchdog.Instant
	trust     watchdog.Trust
	renewTerm watchdog.Term
	counter   uint64
	leaseFrom watchdog.Instant
	leased    bool
	renewing  bool
	sentTrue  int64 // true time of the send behind the trust
	guardPID  int
	peers     map[string]watchdog.Peer
	flight    watchdog.Flight
	operation *operation
	landed    struct {
		kind watchdog.ActionKind
		at   watchdog.Instant
	}
	memory    watchdog.Memory
	decision  watchdog.Decision
	decided   bool
	fencedFor watchdog.Reason
	storing   watchdog.Instant
	abstain   watchdog.Instant
	asking    bool

	turning  bool
	nextTurn watchdog.Instant
}

// startSidecar begins a process, which takes back what the one before left.
func (n *node) startSidecar() {
	if n.running || n.powerless {
		return
	}
	n.life[sidecar]++
	n.state = state{peers: map[string]watchdog.Peer{}}
	n.running, n.sidecarStopped = true, false
	n.watchPending = false
	n.world.trace(n.name, "sidecar starts")
	n.takeBack()
	n.wake()
	n.readLoop()
	n.observeLoop()
	n.knockLoop()
	n.storageLoop()
	n.renewLoop()
	n.guardLoop()
	n.heartbeatLoop()
}

// crashSidecar ends the process. systemd starts it again.
func (n *node) crashSidecar(again time.Duration) {
	if !n.running {
		return
	}
	n.world.trace(n.name, "sidecar dies")
	n.life[sidecar]++
	n.running = false
	if n.operation != nil {
		n.operation.over = true
	}
	n.state = state{}
	n.world.after(again, n.startSidecar)
}

// takeBack resumes trust from the guard's deadline alone.
func (n *node) takeBack() {
	j := &n.journal
	n.state.server = n.look()
	now := n.local()
	n.server.AnsweredAt, n.server.ConnectedAt, n.server.StartedAt = now, now, now
	if held := j.admitted.Held; held != 0 && n.server.PID != 0 {
		switch g := &n.guardian; {
		case n.world.planted(trustWithoutGuard):
			n.life[guard]++
			n.guardPID, *g = n.server.PID, guardian{pid: n.server.PID, set: g.set + 1}
			n.trust = watchdog.Trust{Term: held, Until: now.Add(n.world.policy.FenceDeadline.D())}
			n.renewTerm = held
		case g.pid == n.server.PID && g.armed != 0:
			n.guardPID = n.server.PID
			n.trust = watchdog.Trust{Term: held, Until: g.armed}
			n.renewTerm = held
		}
	}
	if n.world.planted(promiseForgotten) {
		j.admitted.Promised, j.admitted.Advance = 0, 0
	}
	switch {
	case n.world.planted(abstentionForgotten):
	case j.abstain == 0:
	case j.boot == n.bootedAt:
		n.abstain = j.abstain
	default:
		n.abstain = now.Add(n.world.policy.AbstainFor())
	}
	if l := j.lease; l != 0 {
		sent := now
		n.request(n.policy().RenewalDeadline.D(), func() {
			if !n.world.etcd.keep(l) {
				l = 0
			}
		}, func(arrived bool) {
			if arrived && l != 0 && !n.leased {
				n.lease, n.leased, n.leaseFrom = l, true, sent
				n.readNow()
			}
		})
	}
}

func (n *node) policy() watchdog.Policy {
	if c := n.cluster; c != nil && c.Policy != nil {
		return *c.Policy
	}
	return n.world.policy
}

// wake has the loop take a turn.
func (n *node) wake() {
	if !n.turning {
		n.turning = true
		n.after(sidecar, between(n.r, 50*time.Microsecond, 2*time.Millisecond), n.turn)
	}
}

// turn is one decision, by the production code, and its setting in motion.
func (n *node) turn() {
	n.turning = false
	v := n.view()
	n.readGap = false
	d := n.world.decide(n, v)
	if !n.decided || d.Reason != n.decision.Reason {
		n.world.reached[d.Reason]++
		n.world.trace(n.name, "%s: %s", d.Reason, d.Detail)
	}
	n.decision, n.decided, n.memory, n.renewTerm = d, true, d.Memory, d.Renew
	if d.Renew == 0 && v.Server.Gone && v.Trust.Term != 0 {
		n.trust = watchdog.Trust{}
	}
	life := n.life[sidecar]
	for i := range d.Actions {
		if n.life[sidecar] == life {
			n.begin(v, d, d.Actions[i])
		}
	}
	if n.life[sidecar] == life {
		n.plan()
	}
}

// plan sets the timer for the next turn.
func (n *node) plan() {
	d := time.Second
	if left := n.trust.Left(n.policy(), n.local()); n.trust.Term != 0 && left > 0 {
		d = min(d, left+time.Millisecond)
	}
	if c := n.cluster; n.flight.Kind == "" && c != nil && c.Record != nil &&
		(c.Record.Phase != watchdog.PhaseNormal || n.flight.Failed != "" || n.server.Gone) {
		d = min(d, 100*time.Millisecond)
	}
	at := n.local().Add(d)
	if n.nextTurn != 0 && n.nextTurn <= at && n.nextTurn > n.local() {
		return
	}
	n.nextTurn = at
	n.after(sidecar, d, func() {
		if n.nextTurn == at {
			n.nextTurn = 0
			if !n.turning {
				n.turn()
			}
		}
	})
}

// view gathers what the decision may depend on.
func (n *node) view() watchdog.View {
	now := n.local()
	v := watchdog.View{
		Now: now, Wall: time.Unix(0, n.world.now).Add(n.skew), Policy: n.policy(), Server: n.server, Trust: n.trust, Cluster: n.cluster, ReadAt: n.readAt, ReadGap: n.readGap,
		Abstain: n.abstain, Peers: n.peers, Flight: n.flight, Memory: n.memory,
	}
	v.Me = n.identity()
	v.Me.Admitted = n.journal.admitted
	v.Server.StoredAt = now
	if n.storing != 0 {
		v.Server.StoredAt = n.storing
	}
	if c := n.cluster; c != nil && n.leased {
		own, registered := c.Members[n.name]
		v.Me.Registered = registered && own.Incarnation == v.Me.Incarnation
		v.Me.CampaignKey = c.Campaigns[n.name]
	}
	return v
}

// self is what the sidecar says of itself.
func (n *node) self() watchdog.Member {
	return watchdog.View{
		Now: n.local(), Server: n.server, Trust: n.trust, Flight: n.flight,
		Me: n.identity(),
	}.Self()
}

// identity is what the sidecar's configuration and guard say.
func (n *node) identity() watchdog.Identity {
	return watchdog.Identity{
		Name: n.name, Incarnation: n.name + "-disk", Address: n.address, API: n.address, GuardReady: n.guardPID != 0 && n.guardPID == n.server.PID,
		NoFailover: n.noFailover, NoSync: n.noSync, Priority: n.priority, Site: n.site, Follow: n.follow,
	}
}
