package alert

import (
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Severity says how urgent an alert is.
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// rank orders severities; one that does not exist is 0.
func (s Severity) rank() int {
	return map[Severity]int{Info: 1, Warning: 2, Critical: 3}[s]
}

// Known says whether there is such a severity.
func (s Severity) Known() bool { return s.rank() > 0 }

// Reaches says whether a sink that wants least and above gets it.
func (s Severity) Reaches(least Severity) bool { return s.rank() >= least.rank() }

// Status says whether something is wrong now.
type Status string

// The statuses.
const (
	Firing   Status = "firing"   // it lasts, and another alert will resolve it
	Resolved Status = "resolved" // it ends the incidents in Resolves
	Notice   Status = "notice"   // it has happened, and nothing will resolve it
)

// Alert is an event as people are told of it. It is also the JSON that sinks send.
type Alert struct {
	Version  int                `json:"version"`  // of this form: 1
	ID       string             `json:"id"`       // cluster/term-seq: names the event, and no other has it; a delivery repeated has the same
	Key      string             `json:"key"`      // cluster/term/kind: names the incident
	Status   Status             `json:"status"`   //
	Severity Severity           `json:"severity"` // of a resolve: that of the worst incident that it ends
	Cluster  string             `json:"cluster"`
	Term     watchdog.Term      `json:"term"`
	Seq      uint64             `json:"seq"`
	Kind     watchdog.EventKind `json:"kind"`
	Reason   watchdog.Reason    `json:"reason"`
	Member   string             `json:"member"` // whose sidecar wrote the event
	Time     time.Time          `json:"time"`   // by that sidecar's wall clock
	Title    string             `json:"title"`
	Text     string             `json:"text"`
	Labels   map[string]string  `json:"labels"`
	Facts    map[string]string  `json:"facts,omitempty"`
	Resolves []Incident         `json:"resolves,omitempty"`
}

// Incident is an earlier alert that is over.
type Incident struct {
	Key      string             `json:"key"`
	Kind     watchdog.EventKind `json:"kind"`
	Term     watchdog.Term      `json:"term"`
	Severity Severity           `json:"severity"`
	Since    time.Time          `json:"since"`
	Labels   map[string]string  `json:"labels"`
}

// Test is an alert that tells of nothing, to see whether one arrives.
func Test(cluster, from string, now time.Time) Alert {
	const kind = watchdog.EventKind("test")
	text := fmt.Sprintf("A test alert of cluster %s, sent from %s by hand. Nothing is wrong.", cluster, from)
	return Alert{
		Version: 1, ID: fmt.Sprintf("%s/test-%d", cluster, now.UnixNano()), Key: cluster + "/0/test", Status: Notice, Severity: Info,
		Cluster: cluster, Kind: kind, Member: from, Time: now, Title: "[TEST] " + cluster + ": alerts arrive", Text: text,
		Labels: labels(cluster, 0, kind, Info),
	}
}
