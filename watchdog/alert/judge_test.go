package alert_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// event is one of a term, a second after the one before; history numbers them.
func event(term watchdog.Term, kind watchdog.EventKind, reason watchdog.Reason) watchdog.Event {
	return watchdog.Event{Term: term, Kind: kind, Reason: reason, Member: "node1", Message: "it happened"}
}

// history tells a sink of events, one after the other, and returns their alerts.
func history(events ...watchdog.Event) (told []alert.Alert) {
	var open []alert.Incident
	for i, e := range events {
		e.Seq, e.Time = uint64(i+1), time.Unix(int64(1000+i), 0).UTC()
		a := alert.Of("c", alert.Entry{Event: e, ID: fmt.Sprintf("%d-%d", e.Term, e.Seq)}, open)
		open = slices.DeleteFunc(open, func(i alert.Incident) bool {
			return slices.ContainsFunc(a.Resolves, func(over alert.Incident) bool { return over.Key == i.Key })
		})
		if a.Status == alert.Firing {
			open = append(open, alert.Incident{Key: a.Key, Kind: a.Kind, Term: a.Term, Severity: a.Severity, Since: a.Time, Labels: a.Labels})
		}
		told = append(told, a)
	}
	return told
}

func TestHowUrgentTheLastEventIsAndWhatItResolves(t *testing.T) {
	adopted := event(1, watchdog.EventAdopted, watchdog.ReasonAdopt)
	degraded := event(1, watchdog.EventDurability, watchdog.ReasonDegrade)
	handOver := event(2, watchdog.EventHandOver, watchdog.ReasonServerExited)
	taken := event(2, watchdog.EventTaken, watchdog.ReasonNamed)
	promoted := event(2, watchdog.EventPromoted, watchdog.ReasonPromoted)
	for _, test := range []struct {
		name     string
		told     []alert.Alert
		severity alert.Severity
		status   alert.Status
		resolves string
	}{
		{"a cluster is adopted", history(adopted), alert.Info, alert.Notice, ""},
		{"a crash hands over", history(adopted, handOver), alert.Critical, alert.Firing, ""},
		{"a switchover hands over", history(event(2, watchdog.EventHandOver, watchdog.ReasonSwitchover)), alert.Info, alert.Firing, ""},
		{"nobody could be named", history(event(2, watchdog.EventSurrender, watchdog.ReasonServerExited)), alert.Critical, alert.Firing, ""},
		{"a switchover is put back", history(event(2, watchdog.EventSurrender, watchdog.ReasonPutBack)), alert.Warning, alert.Firing, ""},
		{"an election is opened", history(event(2, watchdog.EventElection, watchdog.ReasonSilence)), alert.Critical, alert.Firing, ""},
		{"voters overrule the primary", history(event(2, watchdog.EventNamed, watchdog.ReasonOverruled)), alert.Critical, alert.Firing, ""},
		{"an election names its winner", history(event(2, watchdog.EventNamed, watchdog.ReasonElected)), alert.Info, alert.Notice, ""},
		{"the heir takes the term", history(handOver, taken), alert.Info, alert.Notice, ""},
		{"the heir accepts writes", history(adopted, handOver, taken, promoted), alert.Critical, alert.Resolved, "c/2/hand-over"},
		{"a switchover is done", history(event(2, watchdog.EventHandOver, watchdog.ReasonSwitchover), promoted), alert.Info, alert.Resolved, "c/2/hand-over"},
		{"the heir failed, and an election ended it", history(adopted, handOver, event(3, watchdog.EventSurrender, watchdog.ReasonNoProgress),
			event(4, watchdog.EventElection, watchdog.ReasonNoProgress), event(4, watchdog.EventNamed, watchdog.ReasonElected), event(4, watchdog.EventPromoted, "")),
			alert.Critical, alert.Resolved, "c/2/hand-over c/3/surrender c/4/election"},
		{"what an earlier promotion resolved is over", history(handOver, promoted, event(3, watchdog.EventElection, ""), event(3, watchdog.EventPromoted, "")),
			alert.Critical, alert.Resolved, "c/3/election"},
		{"a promotion out of nothing", history(adopted, promoted), alert.Info, alert.Notice, ""},
		{"standbys are short", history(adopted, degraded), alert.Warning, alert.Firing, ""},
		{"they are back", history(adopted, degraded, event(1, watchdog.EventDurability, watchdog.ReasonVoters)), alert.Warning, alert.Resolved, "c/1/durability"},
		{"they are back after a failover", history(degraded, handOver, promoted, event(2, watchdog.EventDurability, watchdog.ReasonSettled),
			event(2, watchdog.EventDurability, watchdog.ReasonVoters)), alert.Warning, alert.Resolved, "c/1/durability"},
		{"a failover does not bring them back", history(degraded, handOver, promoted), alert.Critical, alert.Resolved, "c/2/hand-over"},
		{"voters change in good times", history(degraded, event(1, watchdog.EventDurability, watchdog.ReasonVoters), event(1, watchdog.EventDurability, watchdog.ReasonVoters)),
			alert.Info, alert.Notice, ""},
		{"a primary is rewound", history(event(1, watchdog.EventRejoined, watchdog.ReasonRewind)), alert.Warning, alert.Notice, ""},
		{"WAL may be lost", history(event(1, watchdog.EventPossible, "")), alert.Critical, alert.Notice, ""},
		{"a person is needed", history(event(1, watchdog.EventProblem, "")), alert.Critical, alert.Notice, ""},
		{"the record was lost", history(event(2, watchdog.EventRestored, "")), alert.Warning, alert.Notice, ""},
		{"a switchover failed", history(event(1, watchdog.EventOperation, watchdog.ReasonOperationFailed)), alert.Warning, alert.Notice, ""},
		{"somebody asked for one", history(event(1, watchdog.EventOperation, watchdog.ReasonAsked)), alert.Info, alert.Notice, ""},
		{"an alert was refused", history(event(1, watchdog.EventUndelivered, watchdog.ReasonAlertRefused)), alert.Warning, alert.Notice, ""},
		{"alerts were lost", history(event(1, watchdog.EventUndelivered, watchdog.ReasonAlertsLost)), alert.Critical, alert.Notice, ""},
		{"a kind of a later version", history(event(1, "eclipse", "")), alert.Info, alert.Notice, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := test.told[len(test.told)-1]
			var resolves []string
			for _, over := range a.Resolves {
				resolves = append(resolves, over.Key)
			}
			if a.Severity != test.severity || a.Status != test.status || strings.Join(resolves, " ") != test.resolves {
				t.Errorf("%s, %s, resolves %v, want %s, %s, %s", a.Severity, a.Status, resolves, test.severity, test.status, test.resolves)
			}
		})
	}
}

func TestAnAlertIsKnownAgain(t *testing.T) {
	told := history(event(1, watchdog.EventAdopted, ""), event(2, watchdog.EventHandOver, watchdog.ReasonServerExited), event(2, watchdog.EventPromoted, ""))
	fired, resolved := told[1], told[2]
	if fired.ID != "c/2-2" || fired.Key != "c/2/hand-over" || fired.Title != "[CRITICAL] c: it happened" || fired.Labels["alertname"] != "PgvigilHandOver" {
		t.Errorf("%+v", fired)
	}
	over := resolved.Resolves[0]
	if over.Key != fired.Key || !over.Since.Equal(fired.Time) || len(over.Labels) != len(fired.Labels) || resolved.Title != "[RESOLVED] c: it happened" {
		t.Errorf("fired %+v, over %+v", fired, over)
	}
	for name, value := range fired.Labels {
		if over.Labels[name] != value {
			t.Errorf("label %s is %q when fired and %q when resolved", name, value, over.Labels[name])
		}
	}
}

func TestTheTextTellsEverything(t *testing.T) {
	e := event(2, watchdog.EventNamed, watchdog.ReasonOverruled)
	e.Facts = map[string]string{"asked for by": "ann", "lost_bytes": "16"}
	e.Candidates = []watchdog.Candidate{{Name: "node2", End: 0x3000060, Timeline: 1}, {Name: "node3", Vetoes: []watchdog.Veto{"a", "b"}}}
	text := history(e)[0].Text
	for _, says := range []string{
		"it happened\n", "term 2, named, because of voters-hung-up, by node1 at 1970-01-01T00:16:40Z",
		"candidate node2 at 0/3000060 on timeline 1\n", "barred: a, b", "asked for by: ann\nlost bytes: 16",
	} {
		if !strings.Contains(text, says) {
			t.Errorf("%q is not in\n%s", says, text)
		}
	}
}

func TestSeveritiesReach(t *testing.T) {
	all := []alert.Severity{alert.Info, alert.Warning, alert.Critical}
	for i, s := range all {
		for j, least := range all {
			if s.Reaches(least) != (i >= j) {
				t.Errorf("%s reaches a sink from %s on: %v", s, least, s.Reaches(least))
			}
		}
	}
	if alert.Severity("fatal").Known() || slices.ContainsFunc(all, func(s alert.Severity) bool { return !s.Known() }) {
		t.Error("severities are not known for what they are")
	}
}

func TestPausesGrowAndAreBounded(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 7: 64 * time.Second, 8: 2 * time.Minute, 1 << 30: 2 * time.Minute} {
		if got := alert.Pause(failures); got != want {
			t.Errorf("after %d failures a pause of %s, want %s", failures, got, want)
		}
	}
}
