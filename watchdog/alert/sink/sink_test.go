package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// fired and resolved are a failover's alerts, that began so long ago.
func fired(ago time.Duration) alert.Alert { return failover(ago, 0) }

func resolved(ago time.Duration) alert.Alert { return failover(ago, 1) }

// failover makes the alerts of a failover one after the other, as a sink is told of them.
func failover(ago time.Duration, i int) alert.Alert {
	began := time.Now().Add(-ago).UTC().Truncate(time.Millisecond)
	var open []alert.Incident
	var a alert.Alert
	for _, e := range []watchdog.Event{
		{Term: 2, Seq: 7, Time: began, Member: "node1", Kind: watchdog.EventHandOver, Reason: watchdog.ReasonServerExited, Message: "node1 handed over to node2"},
		{Term: 2, Seq: 8, Time: began.Add(200 * time.Millisecond), Member: "node2", Kind: watchdog.EventPromoted, Message: "node2 accepts writes"},
	}[:i+1] {
		a = alert.Of("main", alert.Entry{Event: e, ID: fmt.Sprintf("%d-%d", e.Term, e.Seq)}, open)
		open = append(open, alert.Incident{Key: a.Key, Kind: a.Kind, Term: a.Term, Severity: a.Severity, Since: a.Time, Labels: a.Labels})
	}
	return a
}

// request is what a receiver was sent.
type request struct {
	http.Header
	path string
	body []byte
}

// listen starts a receiver that answers with the status.
func listen(t *testing.T, status int) (address string, got <-chan request) {
	t.Helper()
	requests := make(chan request, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- request{r.Header, r.URL.Path, body}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "the receiver's word")
	}))
	t.Cleanup(s.Close)
	return s.URL, requests
}

// deaf starts a receiver that never answers.
func deaf(t *testing.T) string {
	t.Helper()
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server notices when the client hangs up
		select {
		case <-done:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(done); s.Close() })
	return s.URL
}

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func open(t *testing.T, c Config) alert.Route {
	t.Helper()
	c.Name = "ops"
	for _, complaint := range c.Complaints() {
		t.Fatal(complaint)
	}
	r, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func deliver(t *testing.T, c Config, a alert.Alert) error {
	t.Helper()
	r := open(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), r.Timeout)
	defer cancel()
	return r.Sink.Deliver(ctx, a)
}

func TestDefaults(t *testing.T) {
	r := open(t, Config{Type: "webhook", URL: "http://x/"})
	if r.Name != "ops" || r.Least != alert.Warning || r.Timeout != 10*time.Second {
		t.Errorf("%+v", r)
	}
	r = open(t, Config{Type: "webhook", URL: "http://x/", Severity: "info", Timeout: watchdog.Duration(time.Second)})
	if r.Least != alert.Info || r.Timeout != time.Second {
		t.Errorf("%+v", r)
	}
}

func TestWebhook(t *testing.T) {
	address, got := listen(t, http.StatusAccepted)
	a := fired(0)
	if err := deliver(t, Config{Type: "webhook", URL: address + "/hook", SecretFile: file(t, "s3cret\n")}, a); err != nil {
		t.Fatal(err)
	}
	r := <-got
	var read alert.Alert
	if err := json.Unmarshal(r.body, &read); err != nil || read.ID != a.ID || read.Status != alert.Firing || read.Severity != alert.Critical {
		t.Errorf("%s: %v", r.body, err)
	}
	stamp := r.Get(HeaderTimestamp)
	sent, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || time.Since(time.Unix(sent, 0)) > time.Minute {
		t.Errorf("timestamp %q", stamp)
	}
	if r.Get(HeaderSignature) != Sign("s3cret", stamp, r.body) || r.Get(HeaderIdempotency) != a.ID || r.path != "/hook" {
		t.Errorf("%+v", r.Header)
	}
	// As `printf '%s.%s' 1000 '{}' | openssl dgst -sha256 -hmac key` has it.
	if got := Sign("key", "1000", []byte("{}")); got != "sha256=c32de42341dece79a1511c9e7f74a2734112edcfcf48943c976faf07047065db" {
		t.Errorf("signature %s", got)
	}
	if err := deliver(t, Config{Type: "webhook", URL: address}, a); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.Get(HeaderSignature) != "" {
		t.Error("a signature without a secret")
	}
}

func TestWhatAReceiverAnswers(t *testing.T) {
	for status, refused := range map[int]bool{
		http.StatusBadRequest: true, http.StatusUnprocessableEntity: true, http.StatusRequestEntityTooLarge: true,
		http.StatusUnauthorized: false, http.StatusNotFound: false, http.StatusTooManyRequests: false,
		http.StatusInternalServerError: false, http.StatusServiceUnavailable: false, http.StatusFound: false, http.StatusPermanentRedirect: false,
	} {
		address, _ := listen(t, status)
		err := deliver(t, Config{Type: "webhook", URL: address + "/token"}, fired(0))
		if err == nil || errors.Is(err, alert.ErrRefused) != refused || !strings.Contains(err.Error(), "the receiver's word") || strings.Contains(err.Error(), "token") {
			t.Errorf("%d: %v, refused %v", status, err, refused)
		}
	}
	err := deliver(t, Config{Type: "webhook", URL: "http://127.0.0.1:1/token"}, fired(0))
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "token") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestSecretsAreReadEachTime(t *testing.T) {
	address, got := listen(t, http.StatusOK)
	secret := file(t, "old")
	r := open(t, Config{Type: "webhook", URL: address, SecretFile: secret})
	for _, key := range []string{"old", "new"} {
		if err := os.WriteFile(secret, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.Sink.Deliver(t.Context(), fired(0)); err != nil {
			t.Fatal(err)
		}
		if r := <-got; r.Get(HeaderSignature) != Sign(key, r.Get(HeaderTimestamp), r.body) {
			t.Errorf("not signed with the %s key", key)
		}
	}
	for name, text := range map[string]string{"/nonexistent": "let PostgreSQL's user read it", file(t, "\n"): "is empty"} {
		if _, err := Open(Config{Name: "ops", Type: "webhook", URL: address, SecretFile: name}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q", name, err, text)
		}
	}
}

// Every sink returns soon after its time is over, though the receiver never answers.
func TestSinksEndWithTheirTime(t *testing.T) {
	address := deaf(t)
	for _, c := range []Config{
		{Type: "webhook", URL: address},
		{Type: "alertmanager", URL: address},
		{Type: "command", Command: []string{"/bin/sh", "-c", "trap '' TERM; sleep 60 & wait"}},
		{Type: "notify", URL: "generic+" + address + "/"},
	} {
		t.Run(c.Type, func(t *testing.T) {
			c.Timeout = watchdog.Duration(200 * time.Millisecond)
			began := time.Now()
			err := deliver(t, c, fired(0))
			if took := time.Since(began); err == nil || took > 5*time.Second {
				t.Errorf("after %s: %v", took, err)
			}
		})
	}
}
