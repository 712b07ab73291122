package simulation

import (
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// askChore asks something of a standby: a restart, a reload, or to be cloned anew.
func (w *world) askChore(f Fault) {
	kinds := []watchdog.OperationKind{watchdog.OperationRestart, watchdog.OperationReload, watchdog.OperationReinit}
	w.ask(watchdog.Operation{Kind: kinds[f.Other%len(kinds)], Member: w.standby(f).name, Deadline: watchdog.Duration(5 * time.Second)})
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

// restart stops a standby and starts it again.
func (o *operation) restart() {
	o.then(50*time.Millisecond, func() {
		o.n.pg.die("stopped to be restarted")
		o.start()
	})
}
