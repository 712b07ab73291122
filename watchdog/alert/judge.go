package alert

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Of makes the alert of an event, for a sink that was told of these incidents and no end of theirs.
func Of(cluster string, e Entry, open []Incident) Alert {
	severity, lasts := judge(e.Event)
	a := Alert{
		Version: 1, ID: cluster + "/" + e.ID, Key: key(cluster, e.Event), Status: Notice, Severity: severity,
		Cluster: cluster, Term: e.Term, Seq: e.Seq, Kind: e.Kind, Reason: e.Reason, Member: e.Member, Time: e.Time, Facts: e.Facts,
	}
	if lasts {
		a.Status = Firing
	}
	for _, incident := range open {
		if !ends(e.Event, incident.Kind) {
			continue
		}
		if a.Severity.rank() < incident.Severity.rank() {
			a.Severity = incident.Severity
		}
		a.Status = Resolved
		a.Resolves = append(a.Resolves, incident)
	}
	a.describe(e.Event)
	return a
}

// describe adds what people and receivers know the alert by.
func (a *Alert) describe(e watchdog.Event) {
	a.Labels = labels(a.Cluster, e.Term, e.Kind, a.Severity)
	word := string(a.Severity)
	if a.Status == Resolved {
		word = string(Resolved)
	}
	a.Title = fmt.Sprintf("[%s] %s: %s", strings.ToUpper(word), a.Cluster, sentence(e))
	a.Text = text(e)
}

func key(cluster string, e watchdog.Event) string {
	return fmt.Sprintf("%s/%d/%s", cluster, e.Term, e.Kind)
}

// labels are what identifies an incident in Alertmanager: a resolve must have exactly those of what it ends.
func labels(cluster string, term watchdog.Term, kind watchdog.EventKind, s Severity) map[string]string {
	name := "Pgvigil"
	for part := range strings.SplitSeq(string(kind), "-") {
		if part != "" {
			name += strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return map[string]string{
		"alertname": name, "cluster": cluster, "term": strconv.FormatUint(uint64(term), 10), "kind": string(kind), "severity": string(s),
	}
}

// SeverityOf says how urgent an event is.
func SeverityOf(e watchdog.Event) Severity {
	severity, _ := judge(e)
	return severity
}

// judge says how urgent an event is, and whether what it tells of lasts until another event ends it. What an operator asked
// for wakes nobody.
func judge(e watchdog.Event) (s Severity, lasts bool) {
	switch e.Kind {
	case watchdog.EventHandOver:
		if e.Reason == watchdog.ReasonSwitchover || e.Reason == watchdog.ReasonRestart {
			return Info, true
		}
		return Critical, true
	case watchdog.EventSurrender:
		if e.Reason == watchdog.ReasonPutBack {
			return Warning, true
		}
		return Critical, true
	case watchdog.EventElection:
		return Critical, true
	case watchdog.EventNamed:
		if e.Reason == watchdog.ReasonOverruled {
			return Critical, true
		}
	case watchdog.EventDurability:
		if e.Reason == watchdog.ReasonDegrade {
			return Warning, true
		}
	case watchdog.EventRejoined:
		if e.Reason == watchdog.ReasonRewind || e.Reason == watchdog.ReasonClone {
			return Warning, false
		}
	case watchdog.EventRestored:
		return Warning, false
	case watchdog.EventOperation:
		if e.Reason == watchdog.ReasonOperationFailed {
			return Warning, false
		}
	case watchdog.EventDrill:
		if e.Facts["ok"] == "false" {
			return Warning, false
		}
	case watchdog.EventResumed:
		if e.Reason == watchdog.ReasonPauseOver {
			return Warning, false
		}
	case watchdog.EventUndelivered:
		if e.Reason == watchdog.ReasonAlertsLost {
			return Critical, false
		}
		return Warning, false
	case watchdog.EventFinding:
		if e.Reason == watchdog.ReasonFound && e.Facts["severity"] == "error" {
			return Warning, false
		}
	case watchdog.EventPossible, watchdog.EventProblem:
		return Critical, false
	}
	return Info, false
}

// ends says whether the event ends an incident of that kind.
func ends(e watchdog.Event, kind watchdog.EventKind) bool {
	switch e.Kind {
	case watchdog.EventPromoted, watchdog.EventAdopted, watchdog.EventRestored: // a primary is in place
		return kind != watchdog.EventDurability
	case watchdog.EventDurability: // a degrading is made good; what comes with a failover says nothing of it
		return kind == watchdog.EventDurability && e.Reason != watchdog.ReasonDegrade && e.Reason != watchdog.ReasonSettled
	}
	return false
}

func sentence(e watchdog.Event) string {
	if e.Message != "" {
		return e.Message
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s", e.Kind, e.Reason))
}

// text tells the event in full.
func text(e watchdog.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nterm %d, %s, because of %s, by %s at %s", sentence(e), e.Term, e.Kind, e.Reason, e.Member, e.Time.UTC().Format(time.RFC3339Nano))
	for _, c := range e.Candidates {
		fmt.Fprintf(&b, "\ncandidate %s at %s on timeline %d", c.Name, c.End, c.Timeline)
		for i, v := range c.Vetoes {
			b.WriteString([]string{", barred: ", ", "}[min(i, 1)] + string(v))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Facts)) {
		fmt.Fprintf(&b, "\n%s: %s", strings.ReplaceAll(name, "_", " "), e.Facts[name])
	}
	return b.String()
}
