package watchdog

import (
	"fmt"
	"time"
)

// Pools says that connection pools were, or may have been, paused for an operation. It is written before the first of them is
// paused and stands, whoever dies, until all are known to be resumed.
type Pools struct {
	Operation string `json:"operation"`
	By        string `json:"by"` // the member whose sidecar paused them
}

// PausePoolsChange says that the pools are about to be paused for the operation that the record holds, by the one who carries
// it out.
func PausePoolsChange(v View) Change {
	next := v.Cluster.Record.next(v.Cluster.Record.Reason)
	next.Pools = &Pools{Operation: next.Operation.ID, By: v.Me.Name}
	return poolsChange(*v.Cluster, next, next.Operation.ID, ReasonPoolsPaused, "connection pools are paused, for the "+next.Operation.Title())
}

// PoolsResumedChange says that all pools are known to be resumed, by member.
func PoolsResumedChange(c Cluster, member string) Change {
	operation := c.Record.Pools.Operation
	next := c.Record.next(c.Record.Reason)
	next.Pools = nil
	return poolsChange(c, next, operation, ReasonPoolsResumed, fmt.Sprintf("connection pools are resumed by %s", member))
}

func poolsChange(c Cluster, next Record, operation string, why Reason, message string) Change {
	e := event(next, EventPools, message)
	e.Reason, e.Facts = why, map[string]string{"operation": operation}
	return Change{If: If{RecordRev: rev(c.RecordRev)}, Record: &next, Event: e}
}

// PoolsPatience is how long the pools may stay paused once the operation has left the record, before any member resumes them
// and not only the new primary's: clients get errors then, and do not wait for a primary that does not come.
const PoolsPatience = 10 * time.Second

// PoolsToResume says whether our sidecar is to resume the pools. writable: our server is the primary and accepts writes; since:
// for how long we have seen them paused for an operation that is over.
func (r Record) PoolsToResume(writable bool, since time.Duration) bool {
	return r.PoolsOwed() && (writable && r.Phase == PhaseNormal || since >= PoolsPatience)
}

// PoolsOwed says that the pools are paused for an operation that is under way no more.
func (r Record) PoolsOwed() bool {
	return r.Pools != nil && (r.Operation == nil || r.Operation.ID != r.Pools.Operation)
}
