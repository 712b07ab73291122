package simulation

import (
	"math/rand/v2"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// node is a host with its processes: PostgreSQL, the sidecar, the guard.
type node struct {
	world   *world
	name    string
	address string
	index   int
	r       *rand.Rand
	life    [layers]uint32
	held    []event // of processes that are stopped

	// the clock
	rate     float64
	base     int64
	bootedAt int64
	hidden   int64         // time that the clock has not seen
	skew     time.Duration // of its wall clock

	// the host
	frozen, hiddenPause bool
	frozenAt            int64
	exempt              int64 // true time until which async may let commits through: the declared window after a pause
	powerless           bool
	sidecarStopped      bool
	diskStalled         bool
	settingsLow         bool
	noRewind            bool // neither checksums nor hints: a clone is the only way
	noFailover          bool
	noSync              bool
	priority            int
	site                string
	found               int    // whom its server follows at the beginning, by index
	follow              string // whom it is to follow by its configuration
	crashNext           bool   // the sidecar dies at its next crash point
	pids                int
	diverged            bool // the receiver was told so

	pg           *postgres
	journal      journal
	lease        int64
	seenRevision int64
	guardian     guardian
	running      bool // the sidecar's process lives

	watchPending, watchBroken, watchMissed bool

	state
}

// journal is the member's own disk.
type journal struct {
	admitted watchdog.Admission
	lease    int64
	abstain  watchdog.Instant
	boot     int64
	tailLeft watchdog.Term
}

// guardian is the second process.
type guardian struct {
	pid    int              // whose server it watches; 0: it does not run
	armed  watchdog.Instant // 0: it rests
	set    uint64           // grows when it is armed anew
	firing bool
}

func (n *node) stopped(l layer) bool {
	return n.frozen || n.powerless || l == sidecar && n.sidecarStopped
}

// fsync is how long the disk takes.
func (n *node) fsync() time.Duration {
	if chance(n.r, 0.01) {
		return between(n.r, 10*time.Millisecond, 200*time.Millisecond)
	}
	return between(n.r, 300*time.Microsecond, 4*time.Millisecond)
}

// thaw lets everything happen that waited.
func (n *node) thaw() {
	held := n.held
	n.held = nil
	for _, e := range held {
		if n.life[e.layer] == e.life {
			e.at = n.world.now
			n.world.queue.push(e)
		}
	}
}

// postmasterExits is seen at once by the sidecar, and by nobody if it does not run.
func (n *node) postmasterExits() {
	n.after(sidecar, between(n.r, 200*time.Microsecond, 3*time.Millisecond), n.postmasterExited)
}

// sidecarLooks asks for an observation soon.
func (n *node) sidecarLooks(d time.Duration) {
	if n.running {
		n.after(sidecar, d, n.observe)
	}
}

// arm sets the instant at which the guard fences unless it is armed anew.
func (n *node) arm(deadline watchdog.Instant) {
	g := &n.guardian
	if g.pid == 0 || g.armed == deadline || g.firing {
		return
	}
	g.armed = deadline
	g.set++
	set := g.set
	n.after(guard, deadline.Since(n.local()), func() { n.guardWakes(set) })
}

func (n *node) guardWakes(set uint64) {
	g := &n.guardian
	switch left := g.armed.Since(n.local()); {
	case g.set != set || g.armed == 0 || g.pid == 0:
	case left > 0: // the host slept, and its clock did not see it
		n.after(guard, left+time.Millisecond, func() { n.guardWakes(set) })
	default:
		n.world.trace(n.name, "the guard fences")
		g.firing = true
		n.kill(guard, func() { g.armed, g.firing = 0, false; n.sidecarLooks(time.Millisecond) })
	}
}

// kill ends the server, verified, within the policy's fence time.
func (n *node) kill(by layer, then func()) {
	p, pid := n.pg, n.pg.pid
	n.after(by, between(n.r, time.Millisecond, n.world.policy.FenceTime.D()*8/10), func() {
		if p.pid == pid || p.orphans {
			p.die("fenced")
		}
		then()
	})
}
