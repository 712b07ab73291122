package simulation

import (
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// How each fault is done and undone. Those that last count how many hold a thing broken where they can meet.

func (w *world) hang(n *node, lasting time.Duration) {
	if !n.pg.runs() {
		return
	}
	n.pg.hung = true
	life := n.life[server]
	w.after(lasting, func() {
		if n.life[server] == life {
			n.pg.hung = false
			n.pg.connect()
			n.pg.ship()
		}
	})
}

func (w *world) close(n *node, lasting time.Duration) {
	n.pg.closed = true
	life := n.life[server]
	w.after(lasting, func() {
		if n.life[server] == life {
			n.pg.closed = false
		}
	})
}

func (w *world) stopSidecar(n *node, lasting time.Duration) {
	if !n.running || n.sidecarStopped {
		return
	}
	n.sidecarStopped = true
	life := n.life[sidecar]
	w.after(lasting, func() {
		if n.life[sidecar] == life {
			n.sidecarStopped = false
			n.thaw()
		}
	})
}

// killGuard: the sidecar replaces it at once. That neither of the two lives is outside of what is promised.
func (w *world) killGuard(n *node) {
	if n.guardian.pid == 0 || !n.running || n.sidecarStopped || n.frozen || n.powerless {
		return
	}
	n.exempt = max(n.exempt, w.now+int64(w.policy.TTL.D())*2)
	n.guardDies()
}

// freeze stops the whole machine; its clock may not see it.
func (w *world) freeze(n *node, lasting time.Duration, unseen bool) {
	if n.frozen || n.powerless {
		return
	}
	n.frozen, n.hiddenPause, n.frozenAt = true, unseen, w.now
	w.after(lasting, func() { w.unfreeze(n) })
}

func (w *world) unfreeze(n *node) {
	if !n.frozen {
		return
	}
	n.frozen = false
	paused := w.now - n.frozenAt
	n.exempt = max(n.exempt, w.now+int64(w.policy.FenceTime.D())+int64(100*time.Millisecond))
	if n.hiddenPause {
		n.hidden += paused
		n.exempt = max(n.exempt, w.now+paused+int64(w.policy.TTL.D()))
	}
	n.thaw()
	n.pg.ship()
}

// losePower ends every process of the host. It comes back, and its sidecar with it; nobody starts the server.
func (w *world) losePower(n *node, lasting time.Duration) {
	if n.powerless || w.healed {
		return
	}
	w.unfreeze(n)
	for other := range maxHosts {
		w.cutLink(n.index, other, 1)
		w.cutLink(other, n.index, 1)
	}
	n.powerless = true
	n.crashSidecar(lasting + time.Second)
	n.life[guard]++
	n.guardian = guardian{set: n.guardian.set + 1}
	n.pg.powerLoss()
	n.held = nil
	w.after(lasting, func() { w.restorePower(n) })
}

func (w *world) restorePower(n *node) {
	if !n.powerless {
		return
	}
	n.powerless = false
	n.bootedAt, n.hidden, n.base = w.now, 0, int64(time.Second)
	for other := range maxHosts {
		w.cutLink(n.index, other, -1)
		w.cutLink(other, n.index, -1)
	}
	w.after(200*time.Millisecond, n.startSidecar)
}

func (w *world) stallDisk(n *node, lasting time.Duration) {
	n.diskStalled = true
	w.after(lasting, func() { n.diskStalled = false })
}

func (w *world) cut(a, b int, lasting time.Duration, there, back bool) {
	if a == b || w.healed {
		return
	}
	change := func(by int) {
		if there {
			w.cutLink(a, b, by)
		}
		if back {
			w.cutLink(b, a, by)
		}
	}
	change(1)
	w.after(lasting, func() {
		if !w.healed {
			change(-1)
		}
	})
}

func (w *world) slow(a, b int, lasting time.Duration) {
	w.net.slow[a][b]++
	w.net.slow[b][a]++
	w.after(lasting, func() {
		if !w.healed {
			w.net.slow[a][b]--
			w.net.slow[b][a]--
		}
	})
}

func (w *world) isolate(n *node, lasting time.Duration) {
	w.cutFromPeers(n, lasting)
	w.cut(n.index, w.etcdHost(), lasting, true, true)
}

func (w *world) cutFromPeers(n *node, lasting time.Duration) {
	for _, other := range w.nodes {
		w.cut(n.index, other.index, lasting, true, true)
	}
}

// blink cuts everybody from etcd for a moment.
func (w *world) blink(lasting time.Duration) {
	for _, n := range w.nodes {
		w.cut(n.index, w.etcdHost(), lasting, true, true)
	}
}

// loseEtcdThenBlink cuts the primary from etcd for long, and meanwhile everybody for a moment: the others cannot reach etcd
// just when they are asked, and count its silence all the same.
func (w *world) loseEtcdThenBlink(f Fault) {
	w.cut(w.primary(f).index, w.etcdHost(), f.For+8*time.Second, true, true)
	w.after(between(w.rng, time.Second, 4*time.Second), func() { w.blink(600 * time.Millisecond) })
}

func (w *world) etcdDown(lasting time.Duration) {
	if w.etcd.down {
		return
	}
	w.etcd.down = true
	w.after(lasting, w.etcdBack)
}

func (w *world) etcdBack() {
	if w.etcd.down {
		w.etcd.back()
	}
}

func (w *world) revoke(n *node) {
	if l := w.etcd.leases[n.lease]; l != nil && !l.gone && !w.etcd.down {
		w.etcd.revoke(l)
	}
}

func (w *world) breakWatch(n *node, lasting time.Duration) {
	n.watchBroken = true
	w.after(lasting, func() { w.mendWatch(n) })
}

func (w *world) mendWatch(n *node) {
	n.watchBroken = false
	if n.watchMissed {
		n.watchMissed = false
		n.toSidecar(n.readNow)
	}
}

// stray is somebody else who writes primary_conninfo and reloads: a configuration management that knows better.
func (w *world) stray(n *node, to int) {
	p := n.pg
	if p.mode != standby || to == n.index {
		return
	}
	for _, other := range w.nodes {
		if other.pg.mode == primary && other.pg.term < w.check.top.term {
			to = other.index // one that is deposed: the worst that it could be
		}
	}
	p.set = conninfo{upstream: to, strange: true}
	p.reload()
}

// strayVoter isolates the primary, and has somebody else lead the first voter that hung up on it back, over a link that works
// for that one again. Only the term on the names keeps the primary from counting it.
func (w *world) strayVoter(p *node, lasting time.Duration) {
	w.cut(p.index, w.etcdHost(), lasting+5*time.Second, true, true)
	whole := map[*node]bool{p: true}
	change := func(n *node, by int) {
		w.cutLink(p.index, n.index, by)
		w.cutLink(n.index, p.index, by)
	}
	mend := func(n *node) {
		if !whole[n] && !w.healed {
			whole[n] = true
			change(n, -1)
		}
	}
	for _, n := range w.nodes {
		if n != p {
			change(n, 1)
			w.after(lasting+2*time.Second, func() { mend(n) })
		}
	}
	w.onBallot = func(n *node) {
		w.onBallot = nil
		w.after(between(w.rng, time.Millisecond, 20*time.Millisecond), func() {
			mend(n)
			if n != p && n.pg.mode == standby {
				n.pg.set = conninfo{upstream: p.index, strange: true}
				n.pg.reload()
			}
		})
	}
}

// lowerSettings: the standby's max_connections is lower than the primary's; a promotion would end it. (It can only be so
// while it runs, or it would not have started.)
func (w *world) lowerSettings(n *node, lasting time.Duration) {
	n.settingsLow = true
	w.after(lasting*3, func() { n.settingsLow = false })
}

func (w *world) pauseReplay(n *node, lasting time.Duration) {
	p := n.pg
	p.paused = true
	w.after(lasting, func() {
		p.paused = false
		if p.mode == standby {
			p.drain()
		}
	})
}

// changePolicy is an operator's config set.
func (w *world) changePolicy(change func(*watchdog.Policy)) {
	if w.etcd.down || w.etcd.c.Policy == nil {
		return
	}
	policy := *w.etcd.c.Policy
	change(&policy)
	w.etcd.c.Revision++
	w.etcd.c.Policy, w.etcd.c.PolicyRev, w.etcd.read = &policy, w.etcd.c.Revision, nil
	w.etcd.wakeWatches()
}

// pause and resume are an operator's, by the production code. The leader ends what is not resumed.
func (w *world) pause(lasting time.Duration) {
	p := watchdog.Pause{By: "dba", Since: time.Unix(0, w.now), For: watchdog.Duration(lasting)}
	if c, err := watchdog.AskPause(*w.etcd.snapshot(), p, false); err == nil && !w.etcd.down {
		w.etcd.apply(&c, 0, w.etcd.c.Revision)
	}
}

func (w *world) resume() {
	if c, paused := watchdog.AskResume(*w.etcd.snapshot(), "dba"); paused && !w.etcd.down {
		w.etcd.apply(&c, 0, w.etcd.c.Revision)
	}
}

func otherMode(m watchdog.Mode) watchdog.Mode {
	if m == watchdog.ModeAsync {
		return watchdog.ModeQuorum
	}
	return watchdog.ModeAsync
}

// restoreStore puts a backup of etcd in the place of what it holds: that of the fault before. Nobody brings the newer back.
func (w *world) restoreStore(time.Duration) {
	now := *w.etcd.snapshot()
	if old := w.backup; old != nil && old.Record != nil {
		w.etcd.c.Revision++
		w.etcd.c.Record, w.etcd.c.PrimaryTerm, w.etcd.c.Ledger = old.Record, old.PrimaryTerm, old.Ledger
		w.etcd.c.RecordRev, w.etcd.c.PrimaryTermRev = w.etcd.c.Revision, w.etcd.c.Revision
		w.etcd.read = nil
		w.etcd.wakeWatches()
	}
	w.backup = &now
}

// heal undoes every fault that lasts.
func (w *world) heal() {
	w.healed, w.winnerLost = true, 0
	w.etcdBack()
	for a := range maxHosts {
		for b := range maxHosts {
			w.net.slow[a][b] = 0
		}
	}
	for _, n := range w.nodes {
		n.crashNext, n.diskStalled, n.settingsLow = false, false, false
		w.unfreeze(n)
		w.restorePower(n)
		w.mendWatch(n)
		if n.sidecarStopped {
			n.sidecarStopped = false
			n.thaw()
		}
		n.pg.hung, n.pg.closed, n.pg.paused = false, false, false
		if n.pg.mode == standby {
			n.pg.drain()
			n.pg.connect()
		}
	}
	for a := range maxHosts {
		for b := range maxHosts {
			if w.net.cut[a][b] > 0 {
				w.cutLink(a, b, -w.net.cut[a][b])
			}
		}
	}
}
