package simulation

import (
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// kinds is every fault, with how often it is drawn and whether it is a reason for a failover.
var kinds = []struct {
	name   string
	weight int
	benign bool
	inject func(w *world, f Fault)
}{
	{"postmaster-killed", 6, false, func(w *world, f Fault) { w.nodes[f.Node].pg.die("postmaster and backends killed") }},
	{"primary-killed", 5, false, func(w *world, f Fault) { w.primary(f).pg.die("postmaster and backends killed") }},
	{"backends-left", 4, false, func(w *world, f Fault) { w.primary(f).pg.orphan(f.For) }},
	{"backend-crashes", 4, false, func(w *world, f Fault) { w.primary(f).pg.crashRestart() }},
	{"server-hangs", 3, false, func(w *world, f Fault) { w.hang(w.nodes[f.Node], f.For) }},
	{"primary-hangs", 2, false, func(w *world, f Fault) { w.hang(w.primary(f), f.For+2*time.Second) }},
	{"postmaster-stopped", 2, false, func(w *world, f Fault) { w.close(w.primary(f), f.For+2*time.Second) }},
	{"sidecar-killed", 5, false, func(w *world, f Fault) { w.nodes[f.Node].crashSidecar(f.For) }},
	{"standby-sidecar-killed", 1, true, func(w *world, f Fault) { w.standby(f).crashSidecar(f.For) }},
	{"primary-sidecar-killed", 4, false, func(w *world, f Fault) { w.primary(f).crashSidecar(f.For) }},
	{"sidecar-stopped", 3, false, func(w *world, f Fault) { w.stopSidecar(w.nodes[f.Node], f.For) }},
	{"primary-sidecar-stopped", 3, false, func(w *world, f Fault) { w.stopSidecar(w.primary(f), f.For) }},
	{"crash-between-steps", 8, false, func(w *world, f Fault) { w.nodes[f.Node].crashNext = true }},
	{"guard-killed", 2, true, func(w *world, f Fault) { w.killGuard(w.nodes[f.Node]) }},
	{"host-frozen", 4, false, func(w *world, f Fault) { w.freeze(w.nodes[f.Node], f.For, false) }},
	{"primary-host-frozen", 4, false, func(w *world, f Fault) { w.freeze(w.primary(f), f.For*2, false) }},
	{"host-paused-unseen", 2, false, func(w *world, f Fault) { w.freeze(w.nodes[f.Node], f.For, true) }},
	{"host-lost", 4, false, func(w *world, f Fault) { w.losePower(w.nodes[f.Node], f.For) }},
	{"primary-host-lost", 4, false, func(w *world, f Fault) { w.losePower(w.primary(f), f.For*2) }},
	{"disk-stalls", 3, false, func(w *world, f Fault) { w.stallDisk(w.nodes[f.Node], f.For) }},
	{"link-cut", 4, false, func(w *world, f Fault) { w.cut(f.Node, f.Other, f.For, true, true) }},
	{"link-half-open", 4, false, func(w *world, f Fault) { w.cut(f.Node, f.Other, f.For, true, false) }},
	{"link-slow", 4, false, func(w *world, f Fault) { w.slow(f.Node, f.Other, f.For) }},
	{"host-isolated", 4, false, func(w *world, f Fault) { w.isolate(w.nodes[f.Node], f.For) }},
	{"primary-isolated", 5, false, func(w *world, f Fault) { w.isolate(w.primary(f), f.For*2) }},
	{"primary-cut-from-peers", 4, false, func(w *world, f Fault) { w.cutFromPeers(w.primary(f), f.For*2) }},
	{"etcd-unreachable", 4, false, func(w *world, f Fault) { w.cut(f.Node, w.etcdHost(), f.For, true, true) }},
	{"etcd-unreachable-to-primary", 3, false, func(w *world, f Fault) { w.cut(w.primary(f).index, w.etcdHost(), f.For*2, true, true) }},
	{"etcd-answers-lost", 4, false, func(w *world, f Fault) { w.cut(w.etcdHost(), f.Node, f.For, true, false) }},
	{"etcd-requests-lost", 3, false, func(w *world, f Fault) { w.cut(f.Node, w.etcdHost(), f.For, true, false) }},
	{"etcd-slow", 4, false, func(w *world, f Fault) { w.slow(f.Node, w.etcdHost(), f.For) }},
	{"etcd-quorum-lost", 3, false, func(w *world, f Fault) { w.etcdDown(f.For * 2) }},
	{"etcd-leader-changes", 4, false, func(w *world, f Fault) { w.etcdDown(min(f.For, 900*time.Millisecond)) }},
	{"etcd-hiccups", 1, true, func(w *world, f Fault) { w.etcdDown(min(f.For, 100*time.Millisecond)) }},
	{"lease-revoked", 4, true, func(w *world, f Fault) { w.revoke(w.nodes[f.Node]) }},
	{"watch-broken", 4, true, func(w *world, f Fault) { w.breakWatch(w.nodes[f.Node], f.For) }},
	{"standby-killed", 4, true, func(w *world, f Fault) { w.standby(f).pg.die("standby killed") }},
	{"started-by-hand", 3, false, func(w *world, f Fault) { w.nodes[f.Node].pg.start() }},
	{"conninfo-overwritten", 3, false, func(w *world, f Fault) { w.stray(w.nodes[f.Node], f.Other) }},
	{"settings-lowered", 3, true, func(w *world, f Fault) { w.lowerSettings(w.nodes[f.Node], f.For) }},
	{"replay-paused", 2, true, func(w *world, f Fault) { w.pauseReplay(w.nodes[f.Node], f.For) }},
	{"store-restored", 0, false, func(w *world, f Fault) { w.restoreStore(f.For) }},
	{"primary-deaf", 3, false, func(w *world, f Fault) { w.stopSidecar(w.primary(f), f.For); w.close(w.primary(f), f.For) }},
	{"voter-strays", 1, false, func(w *world, f Fault) { w.strayVoter(w.primary(f), f.For) }},
	{"winner-lost", 3, false, func(w *world, f Fault) { w.winnerLost = f.For }},
	{"etcd-slow-to-primary", 2, false, func(w *world, f Fault) { w.slow(w.primary(f).index, w.etcdHost(), f.For) }},
	{"etcd-blinks", 2, false, func(w *world, f Fault) { w.blink(min(f.For, 600*time.Millisecond)) }},
	{"etcd-lost-to-primary-then-blinks", 1, false, func(w *world, f Fault) { w.loseEtcdThenBlink(f) }},
	{"standby-etcd-unreachable", 1, true, func(w *world, f Fault) { w.cut(w.standby(f).index, w.etcdHost(), f.For, true, true) }},
	{"standby-etcd-answers-lost", 1, true, func(w *world, f Fault) { w.cut(w.etcdHost(), w.standby(f).index, f.For, true, false) }},
	{"switchover-asked", 4, false, func(w *world, f Fault) { w.askSwitchover(f) }},
	{"durability-changed", 1, false, func(w *world, f Fault) {
		w.changePolicy(func(p *watchdog.Policy) { p.Durability = otherMode(p.Durability) })
	}},
	{"k-changed", 1, false, func(w *world, f Fault) { w.changePolicy(func(p *watchdog.Policy) { p.K = 1 + f.Other%2 }) }},
	{"chore-asked", 3, true, func(w *world, f Fault) { w.askChore(f) }},
	{"primary-restart-asked", 1, false, func(w *world, f Fault) { w.askRestartOfPrimary(f) }},
	{"paused", 2, true, func(w *world, f Fault) { w.pause(3 * f.For) }},
	{"resumed", 1, true, func(w *world, _ Fault) { w.resume() }},
}

// kindsFor lists each kind as often as it is to be drawn.
func kindsFor(s Shape, planted bug) []string {
	var list []string
	for _, k := range kinds {
		weight := k.weight
		if s.Benign && !k.benign {
			weight = 0
		}
		for range weight + extraWeight(planted, k.name) {
			list = append(list, k.name)
		}
	}
	return list
}

// inject carries a fault out. One that finds nothing to hit does nothing.
func (w *world) inject(f Fault) {
	for i := range kinds {
		if kinds[i].name == f.Kind {
			w.trace("FAULT", "%s", f)
			w.injected++
			w.harmed = w.harmed || !kinds[i].benign
			kinds[i].inject(w, f)
			return
		}
	}
}

// primary is whoever is a running primary, the last taker of a term first; the fault's node where there is none.
func (w *world) primary(f Fault) *node {
	best := w.nodes[f.Node]
	for _, n := range w.nodes {
		if n.pg.mode == primary && !n.pg.gone() && (best.pg.mode != primary || n.pg.term > best.pg.term) {
			best = n
		}
	}
	return best
}

// standby is the fault's node, or the next that is not the primary of the highest term.
func (w *world) standby(f Fault) *node {
	first := w.primary(f)
	for i := range w.nodes {
		if n := w.nodes[(f.Node+i)%len(w.nodes)]; n != first {
			return n
		}
	}
	return first
}
