package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAlertTest(t *testing.T) {
	ids := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var a struct{ ID, Kind, Member string }
		if err := json.Unmarshal(body, &a); err != nil || a.Kind != "test" || a.Member != "node1" {
			t.Errorf("%s: %v", body, err)
		}
		ids <- a.ID
		if r.URL.Path == "/sick" {
			http.Error(w, "no room", http.StatusInsufficientStorage)
		}
	}))
	defer receiver.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	none := write("none.yml", "cluster: c\n")
	wrong := write("wrong.yml", "cluster: c\nalerts: [{name: a}]\n")
	some := write("some.yml", "cluster: c\nname: node1\nalerts:\n- {name: well, type: webhook, url: "+receiver.URL+"/, severity: critical}\n"+
		"- {name: sick, type: webhook, url: "+receiver.URL+"/sick}\n- {name: locked, type: webhook, url: http://x/, secret_file: /nonexistent}\n")
	for _, test := range []struct {
		name string
		args []string
		code int
		says []string
		sent int
	}{
		{"one that takes it", []string{"-c", some, "--sink", "well"}, exitOK, []string{"well (webhook): sent\n"}, 1},
		{"all, of which two do not", []string{"-c", some}, exitFailure, []string{
			"well (webhook): sent\nsick (webhook): failed: post to ", "507 Insufficient Storage: no room\nlocked (webhook): failed: sink locked: secret_file: ",
			"2 of 3 sinks did not take the test alert"}, 2},
		{"one that is not configured", []string{"-c", some, "--sink", "wel"}, exitUsage, []string{`there is no sink "wel" (did you mean well?): there are well, sick, locked`}, 0},
		{"a sink without its flag", []string{"-c", some, "well"}, exitUsage, []string{`takes no argument such as "well"`}, 0},
		{"no sinks at all", []string{"-c", none}, exitConfig, []string{"no sink is configured"}, 0},
		{"sinks that are wrong", []string{"-c", wrong}, exitConfig, []string{`wrong.yml:2: alerts: sink "a": type: it is missing`}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			code := execute(t.Context(), append([]string{"pgvigil", "alert", "test"}, test.args...), &out, &out)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, says := range test.says {
				if !strings.Contains(out.String(), says) {
					t.Errorf("%q is not in\n%s", says, out.String())
				}
			}
			if len(ids) != test.sent {
				t.Errorf("%d were sent, want %d", len(ids), test.sent)
			}
			for len(ids) > 0 {
				<-ids
			}
		})
	}
}
