package watchdog

import (
	"fmt"
	"time"
)

// A switchover that is asked for in advance stands in the record as scheduled, and blocks nothing: it becomes the operation
// under way when its time has come. The primary's sidecar begins it by its own wall clock. Nothing that is promised depends
// on that clock: it only says when something begins that may begin at any time.

// scheduleLate is for how long after its time a scheduled operation is begun still: an outage of etcd or of the primary's
// sidecar may have held it up, and planned work does not start by surprise hours later.
const scheduleLate = 5 * time.Minute

// schedulingTime is how the time of a scheduled operation is told.
const schedulingTime = "2006-01-02 15:04:05 -0700"

// Title is the operation in a few words.
func (o Operation) Title() string {
	text := string(o.Kind) + " " + o.ID
	if o.To != "" {
		text += " to " + o.To
	}
	return text
}

// String is a scheduled operation as people are told of it.
func (o Operation) String() string {
	return fmt.Sprintf("%s, asked for by %s, is scheduled for %s", o.Title(), o.By, o.At.Format(schedulingTime))
}

// askSchedule refuses, with an error for people, what cannot be scheduled, or cannot be asked for beside what is.
func askSchedule(r Record, o Operation) error {
	switch {
	case !o.At.IsZero() && (o.Kind != OperationSwitchover || o.DryRun):
		return fmt.Errorf("only a switchover can be scheduled")
	case r.Scheduled != nil && o.Kind == OperationSwitchover && !o.DryRun:
		return fmt.Errorf("%s: withdraw it first (pgvigil switchover --cancel)", r.Scheduled)
	}
	return nil
}

// AskWithdraw takes the scheduled operation of that id out of the record again. It refuses, with an error for people, where
// it does not stand there.
func AskWithdraw(c Cluster, id, by string) (Change, error) {
	switch r := c.Record; {
	case r == nil:
		return Change{}, fmt.Errorf("the cluster has no record that can be read: %s", c.GarbageList())
	case r.Scheduled == nil || r.Scheduled.ID != id:
		return Change{}, fmt.Errorf("operation %s is not scheduled any more: see pgvigil history", id)
	}
	return unschedule(c, ReasonWithdrawn, fmt.Sprintf("%s withdrew the %s", by, c.Record.Scheduled.Title())), nil
}

// unschedule takes the scheduled operation out of the record.
func unschedule(c Cluster, why Reason, message string) Change {
	next := c.Record.next(c.Record.Reason)
	e := event(next, EventOperation, message)
	e.Reason, e.Facts = why, map[string]string{"operation": next.Scheduled.ID}
	next.Scheduled = nil
	return Change{If: If{RecordRev: rev(c.RecordRev)}, Record: &next, Event: e}
}

// schedule begins the scheduled operation when its time has come, or drops it; our server is the primary.
func (v View) schedule() (Decision, bool) {
	r := v.Cluster.Record
	o := r.Scheduled
	if o == nil || !v.Trust.Live(v.Policy, v.Now) || v.Trust.Failsafe {
		return Decision{}, false
	}
	var why Reason
	var message string
	late := v.Wall.Sub(o.At)
	switch {
	case o.Term != r.Term:
		why, message = ReasonOperationFailed, fmt.Sprintf("the %s is dropped: it was asked for in term %d, which is over", o.Title(), o.Term)
	case late > scheduleLate:
		why, message = ReasonOperationFailed, fmt.Sprintf("the %s is dropped: it could not be begun within %s of its time", o.Title(), scheduleLate)
	case late < 0 || r.Operation != nil:
		return Decision{}, false
	default:
		why, message = ReasonDue, fmt.Sprintf("the %s that %s asked for is due", o.Title(), o.By)
	}
	change := unschedule(*v.Cluster, why, message)
	if why == ReasonDue {
		begun := *o
		change.Record.Operation = &begun
	}
	d := v.wait(why, message)
	d.Actions = []Action{v.apply(change)}
	return d, true
}
