package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAskingAMember(t *testing.T) {
	for _, test := range []struct {
		name string
		code int
		body string
		err  string
	}{
		{"the member itself", 200, `{"cluster":"orders","member":{"name":"node1"},"writable":true}`, ""},
		{"a newer one", 200, `{"cluster":"orders","member":{"name":"node1"},"news":1}`, ""},
		{"another member", 200, `{"cluster":"orders","member":{"name":"node9"}}`, "member node9 of cluster orders answers there"},
		{"another cluster", 200, `{"cluster":"billing","member":{"name":"node1"}}`, "cluster billing answers there"},
		{"something else", 200, `hello`, "not understood"},
		{"an error", 500, `{}`, "500"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(test.code)
				io.WriteString(w, test.body)
			}))
			defer server.Close()
			got := askMember(t.Context(), NewAsker(), "orders", "node1", server.URL)
			if test.err == "" && (got.Status == nil || got.Error != "") || test.err != "" && (got.Status != nil || !strings.Contains(got.Error, test.err)) {
				t.Errorf("%+v, want error %q", got, test.err)
			}
		})
	}
	if got := askMember(t.Context(), NewAsker(), "orders", "node1", "http://127.0.0.1:1"); got.Error != "connection refused" {
		t.Errorf("nobody there: %q", got.Error)
	}
}
