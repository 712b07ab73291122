package simulation

import (
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// askSwitchover is an operator's command, to one of the members or to the best.
func (w *world) askSwitchover(f Fault) {
	o := watchdog.Operation{Kind: watchdog.OperationSwitchover, Bound: watchdog.Duration(f.For), DryRun: f.Node == 1 && f.Other == 1}
	if f.Other > 0 {
		o.To = w.nodes[f.Other].name
	}
	w.ask(o)
}

// ask puts an operation into the record, by the production code.
func (w *world) ask(o watchdog.Operation) {
	c := w.etcd.snapshot()
	if w.etcd.down || c.Record == nil {
		return
	}
	o.ID, o.By = fmt.Sprintf("op-%d", w.steps), "operator"
	change, err := watchdog.AskChange(*c, o)
	if err != nil {
		w.trace("ASKED", "%v", err)
		return
	}
	w.etcd.apply(&change, 0, c.Revision)
}

// shutDown ends the server as a fast shutdown does: no session writes any more, and the WAL with the shutdown's own record goes
// to every standby that still listens.
func (p *postgres) shutDown(then func()) {
	life := p.n.life[server]
	p.waiting, p.stopping = nil, true
	p.wal = append(p.wal, entry{uid: p.uid, timeline: p.wal.timeline(), term: p.term})
	p.syncWAL()
	var poll func()
	poll = func() {
		switch {
		case p.n.life[server] != life:
			return
		case !p.hung && p.shipped():
			p.die("shut down")
			then()
		default:
			p.n.after(server, 5*time.Millisecond, poll)
		}
	}
	poll()
}

func (p *postgres) shipped() bool {
	for _, s := range p.senders {
		if s.acked < len(p.wal) {
			return false
		}
	}
	return p.flushed == len(p.wal)
}

// switchOver shuts the server down and hands over to the heir; where the shutdown takes longer than its bound, to ourselves.
func (o *operation) switchOver() {
	n, p := o.n, o.n.pg
	asked := *o.v.Cluster.Record.Operation
	if p.mode != primary || !p.runs() || p.hung {
		o.failed("the server does not answer")
		return
	}
	if asked.DryRun {
		o.then(time.Millisecond, o.done)
		return
	}
	o.then(20*time.Millisecond, func() {
		ended := false
		end := func(reason watchdog.Reason, heir string) {
			if ended || o.over {
				return
			}
			ended = true
			o.then(time.Millisecond, func() { o.shutDownDone(reason, heir) })
		}
		n.after(sidecar, asked.Bound.D(), func() {
			if !ended && !o.over {
				n.kill(sidecar, func() { end(watchdog.ReasonPutBack, n.name) })
			}
		})
		reason := watchdog.ReasonSwitchover
		if asked.Kind == watchdog.OperationRestart && o.a.Heir == n.name {
			reason = watchdog.ReasonRestart
		}
		p.shutDown(func() { end(reason, o.a.Heir) })
	})
}

func (o *operation) shutDownDone(reason watchdog.Reason, heir string) {
	n := o.n
	if !n.pg.gone() {
		o.failed("the server was started by somebody meanwhile")
		return
	}
	n.epoch++
	n.server.PID, n.server.Role, n.server.Gone, n.guardPID = 0, watchdog.RoleDown, true, 0
	n.guardian.armed, n.guardian.pid = 0, 0
	o.v.Trust = n.trust
	o.handOverPlanned(reason, heir)
}

// handOverPlanned hands over, to the heir as long as it is there, else to ourselves.
func (o *operation) handOverPlanned(reason watchdog.Reason, heir string) {
	n := o.n
	tail := watchdog.Tail{From: n.name, API: n.address, Token: n.name, Timeline: o.v.Cluster.Record.Timeline, Whole: true, Exact: true, End: lsn(len(n.pg.wal))}
	change := n.world.edited(n, watchdog.HandOverChange(o.v, reason, heir, tail))
	o.change(change, func(_ int64, out outcome) {
		switch out {
		case applied:
			n.trust, n.renewTerm, n.fencedFor = watchdog.Trust{}, 0, ""
			o.done()
		case compareLost:
			o.judgeAnew(reason, heir)
		default:
			o.failed("hand-over not acknowledged")
		}
	})
}

// judgeAnew reads what has changed: the members, or that another has ended the term.
func (o *operation) judgeAnew(reason watchdog.Reason, heir string) {
	n := o.n
	n.fetch(o.v.Policy.RenewalDeadline.D(), func(c *watchdog.Cluster) {
		if o.over {
			return
		}
		if c == nil || c.Record == nil || c.Record.Term != o.a.Term || c.Record.Primary != n.name {
			o.failed("another has ended the term")
			return
		}
		copied := *c
		o.v.Cluster, o.v.Trust = &copied, n.trust
		if _, there := c.Members[heir]; !there {
			reason, heir = watchdog.ReasonPutBack, n.name
		}
		o.then(time.Millisecond, func() { o.handOverPlanned(reason, heir) })
	})
}
