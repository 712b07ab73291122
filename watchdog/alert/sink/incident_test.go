package sink

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// pager is PagerDuty's Events API v2: it refuses what that does, and keeps the incidents that are open.
type pager struct {
	t    *testing.T
	mu   sync.Mutex
	open map[string]string // by key: the summary
	said []string          // actions
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e struct {
		RoutingKey string `json:"routing_key"`
		Action     string `json:"event_action"`
		DedupKey   string `json:"dedup_key"`
		Payload    *struct {
			Summary, Source, Severity, Timestamp string
			Details                              map[string]string `json:"custom_details"`
		}
	}
	err := json.NewDecoder(r.Body).Decode(&e)
	answer := func(code int, text string) { w.WriteHeader(code); _, _ = io.WriteString(w, text) }
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, e.Action)
	invalid := e.Payload == nil
	if !invalid {
		_, bad := time.Parse(time.RFC3339, e.Payload.Timestamp)
		invalid = e.Payload.Summary == "" || utf8.RuneCountInString(e.Payload.Summary) > 1024 || e.Payload.Source == "" || bad != nil ||
			!slices.Contains([]string{"critical", "error", "warning", "info"}, e.Payload.Severity)
	}
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/v2/enqueue" || r.Header.Get("Content-Type") != "application/json":
		answer(http.StatusNotFound, "")
	case err != nil || len(e.RoutingKey) != 32 || len(e.DedupKey) > 255 || e.Action == "trigger" && invalid:
		answer(http.StatusBadRequest, `{"status":"invalid event","message":"Event object is invalid","errors":["routing key `+e.RoutingKey+`"]}`)
	case e.Action == "trigger":
		p.open[e.DedupKey] = e.Payload.Summary
		answer(http.StatusAccepted, `{"status":"success","message":"Event processed","dedup_key":"`+e.DedupKey+`"}`)
	case e.Action == "resolve":
		delete(p.open, e.DedupKey)
		answer(http.StatusAccepted, `{"status":"success","message":"Event processed","dedup_key":"`+e.DedupKey+`"}`)
	default:
		answer(http.StatusBadRequest, `{"status":"invalid event"}`)
	}
}

func TestPagerDutyOpensAndResolves(t *testing.T) {
	service := &pager{t: t, open: map[string]string{}}
	s := httptest.NewServer(service)
	defer s.Close()
	key := strings.Repeat("k", 32)
	c := Config{Type: "pagerduty", URL: s.URL + "/v2/enqueue", SecretFile: file(t, key+"\n")}
	if err := deliver(t, c, fired(0)); err != nil || service.open["main/2/hand-over"] != "[CRITICAL] main: node1 handed over to node2" {
		t.Fatalf("%v: open are %v", err, service.open)
	}
	for range 2 { // a delivery repeated changes nothing
		if err := deliver(t, c, resolved(0)); err != nil || len(service.open) != 0 {
			t.Fatalf("%v: open are %v", err, service.open)
		}
	}
	if want := []string{"trigger", "resolve", "resolve"}; !slices.Equal(service.said, want) {
		t.Errorf("it was sent %q, want %q", service.said, want)
	}
	long := fired(0)
	long.Title, long.Member = strings.Repeat("é", 2000), ""
	if err := deliver(t, c, long); err != nil {
		t.Error(err)
	}
	c.SecretFile = file(t, "short")
	if err := deliver(t, c, fired(0)); !errors.Is(err, alert.ErrRefused) || strings.Contains(err.Error(), "short") {
		t.Errorf("a wrong key: %v", err)
	}
	if open(t, Config{Type: "pagerduty", SecretFile: file(t, key)}).Sink.(*pagerDuty).url != pagerDutyURL {
		t.Error("PagerDuty is not where it is")
	}
}

// genie is Opsgenie's Alert API v2.
type genie struct {
	mu   sync.Mutex
	open map[string]string // by alias: the priority and the message
	said []string
}

func (g *genie) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	answer := func(code int, text string) { w.WriteHeader(code); _, _ = io.WriteString(w, text) }
	if r.Header.Get("Authorization") != "GenieKey s3cret" || r.Method != http.MethodPost {
		answer(http.StatusUnauthorized, `{"message":"Key format is not valid: `+r.Header.Get("Authorization")+`"}`)
		return
	}
	var body struct{ Message, Alias, Description, Priority, Source, Entity, Note string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		answer(http.StatusUnprocessableEntity, `{"message":"Request body is not processable"}`)
		return
	}
	name, closing := strings.CutPrefix(r.URL.EscapedPath(), "/v2/alerts/")
	switch {
	case closing:
		escaped, whole := strings.CutSuffix(name, "/close")
		name, err := url.PathUnescape(escaped)
		if !whole || err != nil || strings.Contains(escaped, "/") || r.URL.Query().Get("identifierType") != "alias" {
			answer(http.StatusNotFound, `{"message":"No handler"}`)
			return
		}
		g.said = append(g.said, "close "+name)
		delete(g.open, name)
	case r.URL.Path == "/v2/alerts":
		if body.Message == "" || utf8.RuneCountInString(body.Message) > 130 || len(body.Alias) > 512 || !slices.Contains([]string{"P1", "P2", "P3", "P4", "P5"}, body.Priority) {
			answer(http.StatusUnprocessableEntity, `{"message":"Request body is not processable. Please check the errors."}`)
			return
		}
		g.said = append(g.said, "create "+body.Alias)
		g.open[body.Alias] = body.Priority + " " + body.Message
	default:
		answer(http.StatusNotFound, `{"message":"No handler"}`)
		return
	}
	answer(http.StatusAccepted, `{"result":"Request will be processed","took":0.1,"requestId":"1"}`)
}

func TestOpsgenieCreatesAndCloses(t *testing.T) {
	service := &genie{open: map[string]string{}}
	s := httptest.NewServer(service)
	defer s.Close()
	c := Config{Type: "opsgenie", URL: s.URL + "/", SecretFile: file(t, "s3cret\n")}
	if err := deliver(t, c, fired(0)); err != nil || service.open["main:2:hand-over"] != "P1 [CRITICAL] main: node1 handed over to node2" {
		t.Fatalf("%v: open are %v", err, service.open)
	}
	if err := deliver(t, c, resolved(0)); err != nil || len(service.open) != 0 {
		t.Fatalf("%v: open are %v", err, service.open)
	}
	if want := []string{"create main:2:hand-over", "close main:2:hand-over"}; !slices.Equal(service.said, want) {
		t.Errorf("it was told %q, want %q", service.said, want)
	}
	odd := fired(0)
	odd.Key, odd.Title = "the cluster?/2/hand-over", strings.Repeat("e", 500)
	over := resolved(0)
	over.Resolves[0].Key = odd.Key
	for _, a := range []alert.Alert{odd, over} {
		if err := deliver(t, c, a); err != nil {
			t.Error(err)
		}
	}
	if len(service.open) != 0 {
		t.Errorf("open are %v", service.open)
	}
	c.SecretFile = file(t, "wrong")
	if err := deliver(t, c, fired(0)); err == nil || errors.Is(err, alert.ErrRefused) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong key: %v", err)
	}
	if open(t, Config{Type: "opsgenie", SecretFile: file(t, "x")}).Sink.(*opsgenie).url != opsgenieURL {
		t.Error("Opsgenie is not where it is")
	}
}

// Events lost to a receiver end what it had open, and are an alert of their own: both calls are made.
func TestAnAlertThatResolvesAndIsNoResolve(t *testing.T) {
	service := &pager{t: t, open: map[string]string{"main/2/hand-over": "x"}}
	s := httptest.NewServer(service)
	defer s.Close()
	a := alert.Of("main", alert.Entry{ID: "3-9", Event: watchdog.Event{Term: 3, Seq: 9, Kind: watchdog.EventUndelivered, Reason: watchdog.ReasonAlertsLost, Time: time.Now()}}, nil)
	a.Resolves = resolved(0).Resolves
	err := deliver(t, Config{Type: "pagerduty", URL: s.URL + "/v2/enqueue", SecretFile: file(t, strings.Repeat("k", 32))}, a)
	if _, left := service.open["main/2/hand-over"]; err != nil || left || len(service.open) != 1 {
		t.Errorf("%v: open are %v", err, service.open)
	}
	if all := toPost(a, time.Now()); len(all) != 3 || all[1].Labels["kind"] != "hand-over" || all[2].Labels["kind"] != "undelivered" {
		t.Errorf("Alertmanager is sent %+v", all)
	}
}
