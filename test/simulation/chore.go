package simulation

import (
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// askChore asks something of a standby: a restart, a reload, to be cloned anew, or to leave the cluster.
func (w *world) askChore(f Fault) {
	kinds := []watchdog.OperationKind{watchdog.OperationRestart, watchdog.OperationReload, watchdog.OperationReinit, watchdog.OperationRemove}
	w.ask(watchdog.Operation{Kind: kinds[(f.Other+f.Node)%len(kinds)], Member: w.standby(f).name, Deadline: watchdog.Duration(5 * time.Second)})
}

// askRestartOfPrimary asks for a restart of who the record says is primary, by a hand-over or in place.
func (w *world) askRestartOfPrimary(f Fault) {
	if r := w.etcd.c.Record; r != nil {
		w.ask(watchdog.Operation{
			Kind: watchdog.OperationRestart, Member: r.Primary, InPlace: f.Other%2 == 0, Bound: watchdog.Duration(f.For),
			Deadline: watchdog.Duration(20 * time.Second),
		})
	}
}

// leave takes the member's keys away and ends its sidecar. Somebody starts it again, and it joins.
func (o *operation) leave() {
	o.change(watchdog.LeaveChange(o.v.Me), func(int64, outcome) { o.n.crashSidecar(between(o.n.r, time.Second, 8*time.Second)) })
}

// restart stops a standby and starts it again.
func (o *operation) restart() {
	o.then(50*time.Millisecond, func() {
		o.n.pg.die("stopped to be restarted")
		o.start()
	})
}
