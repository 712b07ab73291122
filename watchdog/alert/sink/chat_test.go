package sink

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/textproto"
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// A workflow of Teams takes adaptive cards alone.
func TestTeams(t *testing.T) {
	address, got := listen(t, http.StatusAccepted)
	where := address + "/workflows/1/triggers/manual/paths/invoke?sig=s3cret"
	for name, c := range map[string]Config{"by url": {Type: "teams", URL: where}, "by file": {Type: "teams", SecretFile: file(t, where+"\n")}} {
		for _, test := range []struct {
			alert         alert.Alert
			title, colour string
		}{
			{fired(0), "[CRITICAL] main: node1 handed over to node2", "Attention"}, {resolved(0), "[RESOLVED] main: node2 accepts writes", "Good"},
		} {
			if err := deliver(t, c, test.alert); err != nil {
				t.Fatal(err)
			}
			r := <-got
			var m struct {
				Type        string
				Attachments []struct {
					ContentType string
					Content     struct {
						Schema, Type, Version string
						Body                  []struct {
							Type, Text, Color string
							Facts             []struct{ Title, Value string }
						}
					}
				}
			}
			if err := json.Unmarshal(r.body, &m); err != nil || m.Type != "message" || len(m.Attachments) != 1 || len(r.body) > 28<<10 {
				t.Fatalf("%s: %s: %v", name, r.body, err)
			}
			card := m.Attachments[0]
			if card.ContentType != "application/vnd.microsoft.card.adaptive" || card.Content.Type != "AdaptiveCard" || card.Content.Version != "1.4" {
				t.Errorf("%s: %s", name, r.body)
			}
			body := card.Content.Body
			if len(body) != 3 || body[0].Type != "TextBlock" || body[0].Text != test.title || body[0].Color != test.colour || body[2].Facts[0].Value != "main" {
				t.Errorf("%s: %+v", name, body)
			}
		}
	}
	failing, _ := listen(t, http.StatusUnauthorized)
	if err := deliver(t, Config{Type: "teams", URL: failing + "/x?sig=s3cret"}, fired(0)); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
}

// slackHere leads what goes to Slack to a server of ours, until the test ends.
func slackHere(t *testing.T, to http.HandlerFunc) {
	t.Helper()
	s := httptest.NewTLSServer(to)
	before := http.DefaultTransport
	http.DefaultTransport = &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != "hooks.slack.com:443" {
				t.Errorf("dialled %s", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}
	t.Cleanup(func() { http.DefaultTransport = before; s.Close() })
}

func TestSlack(t *testing.T) {
	const service = "slack://hook:AAAAAAAAA-BBBBBBBBB-123456789123456789123456@webhook"
	said := make(chan string, 10)
	slackHere(t, func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			Text        string
			Attachments []struct{ Text string }
		}
		err := json.NewDecoder(r.Body).Decode(&m)
		switch {
		case r.Method != http.MethodPost || r.URL.Path != "/services/AAAAAAAAA/BBBBBBBBB/123456789123456789123456":
			http.Error(w, "no_service", http.StatusNotFound)
		case err != nil || m.Text == "" && len(m.Attachments) == 0 || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
			http.Error(w, "invalid_payload", http.StatusBadRequest)
		default:
			text := m.Text
			for _, a := range m.Attachments {
				text += "\n" + a.Text
			}
			said <- text
			_, _ = io.WriteString(w, "ok")
		}
	})
	for _, a := range []alert.Alert{fired(0), resolved(0)} {
		if err := deliver(t, Config{Type: "notify", SecretFile: file(t, service)}, a); err != nil {
			t.Fatal(err)
		}
		if got := <-said; !strings.HasPrefix(got, a.Title+"\n") || !strings.Contains(got, "term 2, "+string(a.Kind)) {
			t.Errorf("%s", got)
		}
	}
	err := deliver(t, Config{Type: "notify", URL: strings.Replace(service, "AAAAAAAAA", "CCCCCCCCC", 1)}, fired(0))
	if err == nil || !strings.Contains(err.Error(), "no_service") || strings.Contains(err.Error(), "BBBBBBBBB") {
		t.Errorf("a hook that is gone: %v", err)
	}
}

// mailServer speaks SMTP to one client after the other and hands out the mails; what it is told to refuse, it refuses.
func mailServer(t *testing.T, refuse map[string]string) (address string, mails <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got := make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			talk(textproto.NewConn(conn), refuse, got)
		}
	}()
	return l.Addr().String(), got
}

// talk is one session; the mail is handed out with its envelope in two lines before it.
func talk(c *textproto.Conn, refuse map[string]string, got chan<- string) {
	defer c.Close()
	say := func(line string) { _ = c.PrintfLine("%s", line) }
	say("220 mail.example.org ESMTP")
	envelope := ""
	for {
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		if no := refuse[verb]; no != "" {
			say(no)
			continue
		}
		switch verb {
		case "EHLO":
			say("250-mail.example.org")
			say("250 8BITMIME")
		case "MAIL", "RCPT":
			envelope += rest + "\n"
			say("250 2.1.0 ok")
		case "DATA":
			say("354 go on")
			text, err := c.ReadDotBytes()
			if err != nil {
				return
			}
			if no := refuse["."]; no != "" {
				say(no)
				continue
			}
			got <- envelope + string(text)
			say("250 2.0.0 queued")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("500 what")
		}
	}
}

func TestMail(t *testing.T) {
	address, mails := mailServer(t, nil)
	service := fmt.Sprintf("smtp://%s/?from=pgvigil@example.org&to=dba@example.org&auth=None&encryption=None&starttls=No", address)
	for _, a := range []alert.Alert{fired(0), resolved(0)} {
		if err := deliver(t, Config{Type: "notify", URL: service}, a); err != nil {
			t.Fatal(err)
		}
		envelope, text, _ := strings.Cut(<-mails, "RCPT")
		if text == "" {
			from, rest, _ := strings.Cut(envelope, "\n")
			to, message, _ := strings.Cut(rest, "\n")
			if !strings.Contains(from, "<pgvigil@example.org>") || !strings.Contains(to, "<dba@example.org>") {
				t.Errorf("from %q to %q", from, to)
			}
			text = message
		}
		m, err := mail.ReadMessage(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		body, _ := io.ReadAll(m.Body)
		if err != nil || subject != a.Title || !strings.Contains(string(body), "term 2, "+string(a.Kind)) {
			t.Errorf("subject %q (%v)\n%s", subject, err, body)
		}
	}
	for where, refuse := range map[string]struct {
		line  string
		final bool
	}{"RCPT": {"450 4.2.0 greylisted", false}, ".": {"554 5.6.0 this is spam", true}} {
		address, _ := mailServer(t, map[string]string{where: refuse.line})
		service := fmt.Sprintf("smtp://%s/?from=a@example.org&to=b@example.org&auth=None&encryption=None&starttls=No", address)
		err := deliver(t, Config{Type: "notify", URL: service}, fired(0))
		if err == nil || errors.Is(err, alert.ErrRefused) != refuse.final || !strings.Contains(err.Error(), refuse.line[4:]) {
			t.Errorf("%s: %v", refuse.line, err)
		}
	}
}
