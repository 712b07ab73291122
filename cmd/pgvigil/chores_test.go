package main

import (
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
)

func TestHowAChoreEnded(t *testing.T) {
	event := func(kind watchdog.EventKind, reason watchdog.Reason, term watchdog.Term, member string) watchdog.Event {
		return watchdog.Event{Kind: kind, Reason: reason, Term: term, Member: member, Message: "said", Facts: map[string]string{"operation": "a"}}
	}
	asked := event(watchdog.EventOperation, watchdog.ReasonAsked, 3, "desk")
	for name, test := range map[string]struct {
		events []watchdog.Event
		ended  bool
		ok     bool
		says   string
	}{
		"not yet":      {events: []watchdog.Event{asked}},
		"done":         {[]watchdog.Event{asked, event(watchdog.EventOperation, watchdog.ReasonOperationDone, 3, "node1")}, true, true, "said"},
		"failed":       {[]watchdog.Event{asked, event(watchdog.EventOperation, watchdog.ReasonOperationFailed, 3, "node1")}, true, false, "said"},
		"handed over":  {[]watchdog.Event{asked, event(watchdog.EventHandOver, watchdog.ReasonSwitchover, 4, "node1")}, false, false, ""},
		"taken over":   {[]watchdog.Event{asked, event(watchdog.EventHandOver, watchdog.ReasonSwitchover, 4, "node1"), {Kind: watchdog.EventPromoted, Term: 4, Member: "node2"}}, true, true, "node2 took over"},
		"in its place": {[]watchdog.Event{asked, event(watchdog.EventHandOver, watchdog.ReasonRestart, 4, "node1"), {Kind: watchdog.EventPromoted, Term: 4, Member: "node1"}}, true, true, "in place"},
	} {
		o, ended := judgeChore(watchdog.Operation{ID: "a", Member: "node1"}, test.events)
		if ended != test.ended || ended && (o.OK != test.ok || !strings.Contains(o.Message, test.says)) {
			t.Errorf("%s: %+v %v", name, o, ended)
		}
	}
}

// What is asked wrongly is refused before the cluster is looked for.
func TestChoresAskedWrongly(t *testing.T) {
	for _, line := range []string{
		"restart", "restart --rolling node1", "restart --role standby --rolling", "restart --timeout 0s node1", "restart node1 --yes",
		"reinit", "remove", "reinit node1 node2", "reload node1 node2",
	} {
		var out strings.Builder
		args := append([]string{"pgvigil"}, strings.Fields(line)...)
		args = append(args[:2:2], append([]string{"--cluster", "none", "--etcd", "http://127.0.0.1:1"}, args[2:]...)...)
		if code := execute(t.Context(), args, &out, &out); code != exitUsage {
			t.Errorf("%s: exit code %d: %s", line, code, out.String())
		}
	}
}
