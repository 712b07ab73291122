package sink

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

func TestHowLongAlertsStandInAlertmanager(t *testing.T) {
	now := time.Now()
	lost := alert.Of("main", alert.Entry{Event: watchdog.Event{Kind: watchdog.EventPossible, Time: now}}, nil)
	for _, test := range []struct {
		name   string
		alert  alert.Alert
		stands time.Duration
	}{
		{"an incident, until it is resolved", fired(0), untilResolved},
		{"one that is over at once, long enough to be seen", resolved(0), leastStanding},
		{"one that is over after long, no more", resolved(time.Hour), 0},
		{"what somebody must look at", lost, criticalStands},
		{"a notice", alert.Test("main", "node1", now), noticeStands},
	} {
		all := toPost(test.alert, now)
		if posts := map[alert.Status]int{alert.Resolved: 2}[test.alert.Status]; len(all) != max(posts, 1) {
			t.Fatalf("%s: %+v", test.name, all)
		}
		if stands := all[len(all)-1].EndsAt.Sub(now); stands < test.stands-time.Minute || stands > test.stands+time.Minute {
			t.Errorf("%s: stands for %s, want %s", test.name, stands, test.stands)
		}
	}
}

func TestAlertmanagerIsToldInItsOwnWords(t *testing.T) {
	for _, path := range []string{"", "/", "/api/v2/alerts"} {
		address, got := listen(t, http.StatusOK)
		if err := deliver(t, Config{Type: "alertmanager", URL: address + path, SecretFile: file(t, "token\n")}, resolved(time.Hour)); err != nil {
			t.Fatal(err)
		}
		r := <-got
		var all []posted
		if err := json.Unmarshal(r.body, &all); err != nil || len(all) != 2 || r.path != "/api/v2/alerts" || r.Get("Authorization") != "Bearer token" {
			t.Fatalf("%s %s: %v", r.path, r.body, err)
		}
		if a := all[1]; a.Labels["kind"] != "hand-over" || a.Labels["alertname"] != "PgvigilHandOver" || a.Annotations["summary"] != "[RESOLVED] main: node2 accepts writes" {
			t.Errorf("%+v", a)
		}
	}
}

// startAlertmanager runs Debian's, which tells a receiver of ours at once, and returns its address and what it tells.
func startAlertmanager(t *testing.T) (address string, told <-chan request) {
	t.Helper()
	program, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		t.Skip("prometheus-alertmanager is missing: apt-get install prometheus-alertmanager")
	}
	receiver, told := listen(t, http.StatusOK)
	config := file(t, fmt.Sprintf("route: {receiver: us, group_by: ['...'], group_wait: 0s, group_interval: 1s}\nreceivers: [{name: us, webhook_configs: [{url: '%s'}]}]\n", receiver))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	run := exec.Command(program, "--config.file="+config, "--storage.path="+t.TempDir(), "--web.listen-address="+address, "--cluster.listen-address=")
	run.Stdout, run.Stderr, run.SysProcAttr = log, log, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Process.Kill()
		_ = run.Wait()
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("Alertmanager: %s", text)
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		answer, err := http.Get("http://" + address + "/-/ready")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return "http://" + address, told
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("Alertmanager is not ready: %v", err)
		}
	}
}

// The real one takes a failover's alert, tells its receiver that it fires, and that it is resolved.
func TestTheRealAlertmanager(t *testing.T) {
	address, told := startAlertmanager(t)
	for _, step := range []struct {
		alert  alert.Alert
		status string
	}{{fired(time.Hour), "firing"}, {resolved(time.Hour), "resolved"}} {
		if err := deliver(t, Config{Type: "alertmanager", URL: address}, step.alert); err != nil {
			t.Fatal(err)
		}
		select {
		case r := <-told:
			var notice struct {
				Status string
				Alerts []struct{ Labels map[string]string }
			}
			if err := json.Unmarshal(r.body, &notice); err != nil || notice.Status != step.status || len(notice.Alerts) != 1 || notice.Alerts[0].Labels["kind"] != "hand-over" {
				t.Fatalf("%s: %v, want %s", r.body, err, step.status)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("it does not tell that the alert is %s", step.status)
		}
	}
}

// A failover that is over at once is so in the real one, too, and stands just long enough to be told.
func TestTheRealAlertmanagerEndsAShortIncident(t *testing.T) {
	address, told := startAlertmanager(t)
	for _, a := range []alert.Alert{fired(0), resolved(0), resolved(0)} {
		if err := deliver(t, Config{Type: "alertmanager", URL: address}, a); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case r := <-told:
		if !strings.Contains(string(r.body), `"status":"firing"`) {
			t.Errorf("it tells %s", r.body)
		}
	case <-time.After(30 * time.Second):
		t.Error("it tells nothing")
	}
	answer, err := http.Get(address + "/api/v2/alerts")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var held []posted
	if err := json.NewDecoder(answer.Body).Decode(&held); err != nil || len(held) != 1 {
		t.Fatalf("it holds %+v, %v", held, err)
	}
	if stands := held[0].EndsAt.Sub(held[0].StartsAt); stands < leastStanding-time.Second || stands > leastStanding+time.Second {
		t.Errorf("it stands for %s, want %s", stands, leastStanding)
	}
}
