package sink

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The library's generic service stands for all: it posts to us what it would post to others.
func TestNotify(t *testing.T) {
	address, got := listen(t, http.StatusOK)
	service := strings.Replace(address, "http://", "generic://", 1) + "/hook?disabletls=yes&template=json"
	for _, c := range []Config{{Type: "notify", URL: service}, {Type: "notify", SecretFile: file(t, service+"\n")}} {
		if err := deliver(t, c, fired(0)); err != nil {
			t.Fatal(err)
		}
		r := <-got
		var said map[string]string
		if err := json.Unmarshal(r.body, &said); err != nil || said["title"] != "[CRITICAL] main: node1 handed over to node2" ||
			!strings.Contains(said["message"], "because of server-exited") || r.path != "/hook" {
			t.Errorf("%s %s: %v", r.path, r.body, err)
		}
	}
	failing, _ := listen(t, http.StatusForbidden)
	err := deliver(t, Config{Type: "notify", URL: strings.Replace(failing, "http://", "generic://", 1) + "/token?disabletls=yes"}, fired(0))
	if err == nil || strings.Contains(err.Error(), "token") {
		t.Errorf("%v", err)
	}
}

func TestServicesURLs(t *testing.T) {
	for service, says := range map[string]string{
		"slack://hook:AAAAAAAAA-BBBBBBBBB-123456789123456789123456@webhook":          "",
		"smtp://user:pass@mail.example.org:587/?from=a@example.org&to=b@example.org": "",
		"pagerduty:///0123456789abcdef0123456789abcdef":                              "give type: pagerduty",
		"opsgenie://api.opsgenie.com/b5e2d1a4-1111-2222-3333-444455556666":           "give type: opsgenie",
		"teams://x":                       "give type: teams",
		"matrix://user:pass@127.0.0.1:1/": "", // not asked yet
		"slack://hook:s3cret@webhook":     "this is no URL for slack",
		"http://x/":                       `there is no service "http"`,
		"x":                               `there is no service ""`,
	} {
		err := checkService(service)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%s: %v, want %q", service, err, says)
		}
	}
}

// A call that hangs is left behind, and no second one is begun beside it.
func TestOneCallOfTheLibraryAtATime(t *testing.T) {
	if http.DefaultClient.Timeout != libraryBound {
		t.Error("a call that hangs would never end")
	}
	n := open(t, Config{Type: "notify", URL: "generic+" + deaf(t) + "/"}).Sink
	for i, want := range []error{context.DeadlineExceeded, errBusy} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := n.Deliver(ctx, fired(0))
		cancel()
		if err == nil || !strings.Contains(err.Error(), want.Error()) {
			t.Errorf("call %d: %v, want %v", i+1, err, want)
		}
	}
}

func TestErrorsKeepSecrets(t *testing.T) {
	service := "slack://token@x"
	for _, err := range []error{
		errors.New("cannot send to " + service), &url.Error{Op: "Post", URL: "https://hooks/token", Err: errors.New("refused")},
	} {
		if said := without(err, service); strings.Contains(said, "token") {
			t.Error(said)
		}
	}
}
