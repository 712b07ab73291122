package main

import (
	"fmt"
	"slices"
	"time"
)

// failingLong is for how long a sink of alerts may fail before status speaks of it: a receiver is restarted in less.
const failingLong = time.Minute

// alertProblems are sinks that have been failing for long, as the leader says, who delivers.
func alertProblems(r report) (found []problem) {
	i := slices.IndexFunc(r.Members, func(row memberRow) bool { return row.Leader })
	if i < 0 {
		return nil
	}
	for _, s := range r.Members[i].sinks {
		failing := time.Duration(s.FailingMS) * time.Millisecond
		if failing < failingLong {
			continue
		}
		what := fmt.Sprintf("alerts have not reached sink %s for %s, and %d events wait: %s", s.Sink, ago(failing), s.Waiting, s.Error)
		if s.Lost > 0 {
			what += fmt.Sprintf("; up to %d are lost to it", s.Lost)
		}
		found = append(found, problem{degraded, r.Members[i].Name, what, "see its receiver, and on " + r.Members[i].Name + " pgvigil alert test --sink " + s.Sink})
	}
	return found
}
