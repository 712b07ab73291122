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

// due makes the sink's alert of the event, and says whether it is to be told.
func (r Route) due(cluster string, at Cursor, e Entry) (a Alert, due bool) {
	if e.Garbage != "" {
		return Alert{}, false
	}
	open := slices.Concat(at.Doubtful, at.Open)
	a = Of(cluster, e, open)
	if e.Kind == watchdog.EventUndelivered && e.Reason == watchdog.ReasonAlertsLost && e.Facts[factSink] == r.Name {
		a.Resolves = slices.Concat(a.Resolves, at.Doubtful) // which of them last, status says
		return a, true
	}
	return a, r.wants(a)
}

// factSink is the fact of an event that names the sink which it is about.
const factSink = "sink"
