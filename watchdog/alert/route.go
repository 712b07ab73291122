package alert

import (
	"slices"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Route is a sink under its name, with what is to reach it.
type Route struct {
	Name    string
	Sink    Sink
	Least   Severity             // it gets this and above
	Only    []watchdog.EventKind // of these kinds alone; none: of all
	Except  []watchdog.EventKind // and of none of these
	Timeout time.Duration        // of one delivery
}

// wants says whether the alert is to reach the sink. The end of what it was told always is.
func (r Route) wants(a Alert) bool {
	if len(a.Resolves) > 0 {
		return true
	}
	return a.Severity.Reaches(r.Least) && (len(r.Only) == 0 || slices.Contains(r.Only, a.Kind)) && !slices.Contains(r.Except, a.Kind)
}

// step is the next thing that the event comes to for a sink whose cursor stands at: the alert that is due, nil if none is, and
// where the cursor stands once it is told. The event is done with when that is behind it; at the end of a pause comes first what
// the pause has hushed, one at a time.
func (r Route) step(cluster string, at Cursor, e Entry) (due *Alert, next Cursor) {
	if e.Garbage == "" && e.Kind == watchdog.EventResumed && len(at.Hushed) > 0 {
		first := at.Hushed[0]
		at.Hushed = at.Hushed[1:]
		return &first, at
	}
	next = at.to(e)
	if e.Garbage != "" {
		return nil, next
	}
	a := Of(cluster, e, slices.Concat(at.Doubtful, at.Open))
	next.Hushed = slices.DeleteFunc(slices.Clone(at.Hushed), func(h Alert) bool { return ends(e.Event, h.Kind) })
	if e.Kind == watchdog.EventUndelivered && e.Reason == watchdog.ReasonAlertsLost && e.Facts[factSink] == r.Name {
		a.Resolves = slices.Concat(a.Resolves, at.Doubtful) // which of them last, status says
		return &a, next
	}
	switch e.Kind {
	case watchdog.EventPaused:
		next.Paused = true
	case watchdog.EventResumed:
		next.Paused = false
	default:
		if at.Paused && r.wants(a) && hushed(a) {
			return nil, next.hush(a)
		}
	}
	if !r.wants(a) {
		return nil, next
	}
	return &a, next
}

// hushed says whether the alert waits while the cluster is paused. What is critical does not, nor the end of what was told, nor
// that alerts are lost.
func hushed(a Alert) bool {
	return a.Severity != Critical && len(a.Resolves) == 0 && a.Kind != watchdog.EventUndelivered
}

// factSink is the fact of an event that names the sink which it is about.
const factSink = "sink"
