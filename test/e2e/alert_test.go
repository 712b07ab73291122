package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

// alertTold is an alert as a receiver reads it: the test shares no code with the sender.
type alertTold struct {
	ID, Key, Status, Severity, Kind, Title string
	Resolves                               []struct{ Key string }
}

// inbox is what a receiver was told, in order.
type inbox struct {
	mu  sync.Mutex
	all []alertTold
}

func (i *inbox) put(body []byte) error {
	var a alertTold
	if err := json.Unmarshal(body, &a); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.all = append(i.all, a)
	return nil
}

// byID counts the deliveries of each event.
func (i *inbox) byID() map[string]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	times := map[string]int{}
	for _, a := range i.all {
		times[a.ID]++
	}
	return times
}

// webhookReceiver is an inbox behind HTTP, on that port once it is opened.
func webhookReceiver(t *testing.T) (address string, in *inbox, open func()) {
	t.Helper()
	in = &inbox{}
	at := freeAddress(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = in.put(body)
		}
		if err != nil || r.Header.Get("X-Pgvigil-Signature") == "" {
			http.Error(w, "this is no signed alert", http.StatusBadRequest)
		}
	}))
	t.Cleanup(s.Close)
	return "http://" + at, in, func() {
		t.Helper()
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		s.Listener.Close()
		s.Listener = l
		s.Start()
	}
}

// commandReceiver is a file to which a command appends what it reads.
func commandReceiver(t *testing.T, dir string) (command string, in func() *inbox) {
	t.Helper()
	file := filepath.Join(dir, "alerts")
	return fmt.Sprintf(`[/bin/sh, -c, 'cat >> "$0"', %q]`, file), func() *inbox { return inboxOf(t, file) }
}

// open is a directory in which the sidecars' user may write.
func open(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// outboxRead waits until the sinks have cursors: an alert is owed from then on.
func (c *cluster) outboxRead(sinks ...string) {
	c.t.Helper()
	c.must(c.Until(c.ctx, "the sinks have begun", soon, func() bool {
		for _, s := range sinks {
			if _, revision, err := c.Store.AlertCursor(c.ctx, s); err != nil || revision == 0 {
				return false
			}
		}
		return true
	}))
}

// owed are the ids of what has happened since the strike.
func (c *cluster) owed() map[string]watchdog.Event { return c.happened(c.struck) }

func (c *cluster) happened(since time.Time) map[string]watchdog.Event {
	c.t.Helper()
	events, err := c.Store.Events(c.ctx, 100)
	c.must(err)
	ids := map[string]watchdog.Event{}
	for _, e := range events {
		id := fmt.Sprintf("%s/%d-%d", lab.Name, e.Term, e.Seq)
		if e.Kind == watchdog.EventFinding { // which comes with no change of the record
			id += fmt.Sprintf("-%d", e.Time.UnixNano())
		}
		if e.Time.After(since) {
			ids[id] = e
		}
	}
	return ids
}

// The alert of a failover reaches a webhook and a command, once each by its id, though the sidecar that delivers is killed as
// soon as it happens. A receiver that is away meanwhile gets it when it is back; one that never is disturbs nobody.
func TestAlertSurvivesTheLeadersSidecar(t *testing.T) {
	address, hook, openHook := webhookReceiver(t)
	openHook()
	later, late, openLate := webhookReceiver(t)
	dir := open(t)
	command, run := commandReceiver(t, dir)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := whole(t, func(o *lab.Options) {
		o.Config = fmt.Sprintf("alerts:\n- {name: hook, type: webhook, url: %q, secret_file: %q, severity: info}\n- {name: page, type: command, command: %s, severity: info}\n- {name: gone, type: webhook, url: 'http://127.0.0.1:1/'}\n"+
			"- {name: late, type: webhook, url: %q, secret_file: %q, severity: info}\n", address, secret, command, later, secret)
	})
	c.outboxRead("hook", "page", "gone", "late")
	leader := c.standbyCalled(c.keys().Leader)
	c.strike(c.primary.KillPostmaster())
	c.must(c.Until(c.ctx, "the failover has begun", soon, func() bool { _, begun := c.event(watchdog.EventHandOver); return begun }))
	c.must(leader.Sidecar().Kill())
	// The heir may be the leader's own server, whose sidecar is dead: then the old primary may win the next term.
	c.must(c.Until(c.ctx, "the failover is over", soon, func() bool { _, over := c.event(watchdog.EventPromoted); return over }))
	c.must(c.Until(c.ctx, "another leads", soon, func() bool {
		keys, err := c.Read(c.ctx)
		return err == nil && keys.Leader != "" && keys.Leader != leader.Name
	}))
	c.must(leader.StartSidecar())
	c.wholeAgain()
	openLate()
	for _, receiver := range []struct {
		name string
		in   func() *inbox
	}{{"webhook", func() *inbox { return hook }}, {"command", run}, {"receiver that was away", func() *inbox { return late }}} {
		c.must(c.Until(c.ctx, "the "+receiver.name+" is told everything", rejoin, func() bool {
			got := receiver.in().byID()
			for id := range c.owed() {
				if got[id] == 0 {
					return false
				}
			}
			return true
		}))
		c.judge(receiver.name, receiver.in())
	}
	said, err := c.alertTest()
	for _, says := range []string{"hook (webhook): sent\n", "page (command): sent\n", "gone (webhook): failed: post to 127.0.0.1:1: ", "1 of 4 sinks did not"} {
		if err == nil || !strings.Contains(said, says) {
			t.Errorf("alert test, %v: %q is not in\n%s", err, says, said)
		}
	}
	if all := run().all; all[len(all)-1].Kind != "test" {
		t.Errorf("the command was last told %+v", all[len(all)-1])
	}
}

// alertTest runs the command with the primary's configuration.
func (c *cluster) alertTest(args ...string) (said string, err error) {
	out, err := exec.Command(program, append([]string{"alert", "test", "-c", c.primary.ConfigFile()}, args...)...).CombinedOutput()
	return string(out), err
}

// judge looks at what a receiver was told since the strike: the failover and its end, in order, and no more than one event
// twice, which is the one that the killed sidecar had under way.
func (c *cluster) judge(name string, in *inbox) {
	c.t.Helper()
	owed := c.happened(time.Time{}) // a finding may be older than the strike
	twice, opened, closed := 0, "", false
	for id, times := range in.byID() {
		if _, real := owed[id]; !real {
			c.t.Errorf("the %s was told of %s, which is none of %v", name, id, owed)
		}
		twice += times - 1
	}
	if twice > 1 {
		c.t.Errorf("the %s was told %d events again: %v", name, twice, in.byID())
	}
	for _, a := range in.all {
		switch {
		case a.Kind == string(watchdog.EventHandOver) && opened == "":
			opened = a.Key
			if a.Status != "firing" || a.Severity != "critical" {
				c.t.Errorf("the %s was told %+v", name, a)
			}
		case a.Status == "resolved":
			for _, over := range a.Resolves {
				closed = closed || opened != "" && over.Key == opened
			}
		}
	}
	if opened == "" || !closed {
		c.t.Errorf("the %s was told %+v: the hand-over or its end is missing", name, in.all)
	}
}

// The real Alertmanager is told of a failover, and tells its own receiver. `alert test` goes the same way.
func TestAlertReachesAlertmanager(t *testing.T) {
	manager := startAlertmanager(t)
	c := whole(t, func(o *lab.Options) {
		o.Config = fmt.Sprintf("alerts:\n- {name: am, type: alertmanager, url: 'http://%s'}\n", manager.address)
	})
	c.outboxRead("am")
	if said, err := c.alertTest("--sink", "am"); err != nil || said != "am (alertmanager): sent\n" {
		t.Errorf("alert test: %v: %s", err, said)
	}
	manager.tells("firing test")
	c.strike(c.primary.KillPostmaster())
	c.takenOver()
	manager.tells("firing " + string(watchdog.EventHandOver))
	c.wholeAgain()
}
