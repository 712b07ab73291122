package api

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/election/electiontest"
	"github.com/pgvigil/pgvigil/watchdog"
)

const token = "0123456789abcdef"

// atRest is an etcd in memory that holds a cluster at rest, with its primary's sidecar alive and a ballot left over.
func atRest(t *testing.T) *electiontest.FakeClient {
	t.Helper()
	client := electiontest.NewCluster(func() watchdog.Instant { return 0 }).Client()
	if _, err := client.Grant(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	var none int64
	p := watchdog.DefaultPolicy()
	change := watchdog.Change{
		If: watchdog.If{RecordRev: &none, PolicyRev: &none, MemberRevs: map[string]int64{"node1": 0}}, Policy: &p,
		Record: &watchdog.Record{
			Cluster: "test", SystemID: "7", Term: 3, Seq: 9, Phase: watchdog.PhaseNormal, Primary: "node1", Taken: true, Timeline: 1,
			Members: []string{"node1", "node2"}, Durability: watchdog.Durability{Mode: watchdog.ModeAsync}, Reason: watchdog.ReasonPromoted,
			Tail: &watchdog.Tail{From: "node2", Token: "of the tail", Timeline: 1, End: 0x1000},
		},
		Member: &watchdog.Member{Name: "node1", Incarnation: "d"},
		Event:  &watchdog.Event{Term: 3, Seq: 9, Kind: watchdog.EventPromoted, Message: "promoted"},
	}
	if _, err := client.Apply(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	c, err := client.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ballot := watchdog.Change{
		If:     watchdog.If{RecordRev: &c.RecordRev, BallotTerm: 3, BallotRevs: map[string]int64{"node2": 0}},
		Ballot: &watchdog.Ballot{Term: 3, Member: "node2", Incarnation: "e", Timeline: 1, End: 0x1000, Exact: true, Token: "of the ballot"},
	}
	if _, err := client.Apply(t.Context(), ballot); err != nil {
		t.Fatal(err)
	}
	return client
}

func operatorsOf(store OperatorStore, token string) Options {
	return Options{Cluster: "test", Operators: Operators{Store: store, Token: token, Clock: func() time.Time { return time.Unix(0, 0) }}}
}

// asked is what the server answers to a request.
func asked(options Options, method, path, bearer, body string) (int, string) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if bearer != "" {
		r.Header.Set("Authorization", bearer)
	}
	w := httptest.NewRecorder()
	NewServer(&stage{snapshot: standby()}, options).Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

const switchoverRequest = `{"by":"ann","operation":{"id":"abc","kind":"switchover","to":"node2"}}`

func TestOperatorsAreLetInByTheToken(t *testing.T) {
	store := atRest(t)
	for _, test := range []struct {
		name, configured, bearer string
		code                     int
		says                     string
	}{
		{"the token", token, "Bearer " + token, http.StatusOK, `"name":"test"`},
		{"none configured", "", "Bearer " + token, http.StatusForbidden, "api.token_file"},
		{"none configured and none given", "", "Bearer ", http.StatusForbidden, "api.token_file"},
		{"none given", token, "", http.StatusUnauthorized, "not the operators' token"},
		{"another", token, "Bearer " + token[1:], http.StatusUnauthorized, "not the operators' token"},
		{"not as a bearer's", token, "Basic " + token, http.StatusUnauthorized, "not the operators' token"},
	} {
		for _, request := range []struct{ method, path, body string }{
			{http.MethodGet, PathCluster, ""}, {http.MethodGet, PathEvents + "?newest=1", ""}, {http.MethodGet, PathMembers, ""},
			{http.MethodPost, PathRequests, switchoverRequest},
		} {
			if test.code == http.StatusOK && request.path != PathCluster {
				continue
			}
			code, body := asked(operatorsOf(store, test.configured), request.method, request.path, test.bearer, request.body)
			if code != test.code || !strings.Contains(body, test.says) {
				t.Errorf("%s, %s: %d %s", test.name, request.path, code, body)
			}
		}
	}
	if c, _ := store.Read(t.Context()); c.Record.Operation != nil {
		t.Error("one who was not let in has asked for something")
	}
	if code, _ := asked(Options{Cluster: "test"}, http.MethodGet, PathCluster, "Bearer "+token, ""); code != http.StatusNotFound {
		t.Errorf("a server without a store: %d", code)
	}
}

func TestOperatorsAreShownNoTokens(t *testing.T) {
	_, body := asked(operatorsOf(atRest(t), token), http.MethodGet, PathCluster, "Bearer "+token, "")
	var seen ClusterAnswer
	if err := json.Unmarshal([]byte(body), &seen); err != nil {
		t.Fatal(err)
	}
	if c := seen.Cluster; c.Record == nil || c.Record.Tail.From != "node2" || c.Ballots["node2"].End != 0x1000 || c.Policy.K != 1 || c.RecordRev == 0 {
		t.Errorf("%s", body)
	}
	if strings.Contains(body, "of the tail") || strings.Contains(body, "of the ballot") {
		t.Errorf("a token is shown: %s", body)
	}
}

func TestOperatorsRequests(t *testing.T) {
	for _, test := range []struct {
		name, body string
		code       int
		says       string
		store      func(*electiontest.FakeClient) OperatorStore
	}{
		{"a switchover", switchoverRequest, http.StatusOK, `{"seq":10}`, nil},
		{"one that cannot be", strings.Replace(switchoverRequest, "node2", "node9", 1), http.StatusConflict, "node9 is no member", nil},
		{"nothing", `{"by":"ann"}`, http.StatusConflict, "nothing is asked for", nil},
		{"no request", `hello`, http.StatusBadRequest, "no request", nil},
		{"a change that is no request", `{"by":"ann","Record":{"term":99}}`, http.StatusBadRequest, "no request", nil},
		{"too much", `{"by":"` + strings.Repeat("a", maxRequest) + `"}`, http.StatusBadRequest, "too large", nil},
		{"an etcd that does not answer", switchoverRequest, http.StatusServiceUnavailable, "cannot be read", func(c *electiontest.FakeClient) OperatorStore {
			c.SetUnreachable(true)
			return c
		}},
		{"an answer that is lost", switchoverRequest, http.StatusBadGateway, "error", func(c *electiontest.FakeClient) OperatorStore { return unsure{c} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := atRest(t)
			var store OperatorStore = client
			if test.store != nil {
				store = test.store(client)
			}
			code, body := asked(operatorsOf(store, token), http.MethodPost, PathRequests, "Bearer "+token, test.body)
			if code != test.code || !strings.Contains(body, test.says) {
				t.Errorf("%d %s, want %d and %q", code, body, test.code, test.says)
			}
		})
	}
}

// unsure is a store whose answers to changes are lost.
type unsure struct{ *electiontest.FakeClient }

func (u unsure) Apply(ctx context.Context, c watchdog.Change) (int64, error) {
	u.LoseAnswers(1)
	return u.FakeClient.Apply(ctx, c)
}

func TestEventsForOperators(t *testing.T) {
	options := operatorsOf(atRest(t), token)
	if code, body := asked(options, http.MethodGet, PathEvents+"?newest=5", "Bearer "+token, ""); code != http.StatusOK || !strings.Contains(body, `"message":"promoted"`) {
		t.Errorf("%d %s", code, body)
	}
	for _, newest := range []string{"", "0", "1001", "all"} {
		if code, body := asked(options, http.MethodGet, PathEvents+"?newest="+newest, "Bearer "+token, ""); code != http.StatusBadRequest {
			t.Errorf("newest=%s: %d %s", newest, code, body)
		}
	}
}

func TestWithACertificateOperatorsAreServedByTLSAlone(t *testing.T) {
	donor := httptest.NewUnstartedServer(nil) // for its certificate, and the client that trusts it
	donor.StartTLS()
	defer donor.Close()
	options := operatorsOf(atRest(t), token)
	options.Listen, options.TLSListen, options.TLS = "127.0.0.1:0", "127.0.0.1:0", &tls.Config{Certificates: donor.TLS.Certificates}
	server := NewServer(&stage{snapshot: standby()}, options)
	if server.TLSAddr() != nil {
		t.Error("it listens before Listen")
	}
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	get := func(url string) (int, string) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := donor.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	if code, body := get("http://" + server.Addr().String() + PathCluster); code != http.StatusForbidden || !strings.Contains(body, "https") {
		t.Errorf("plain: %d %s", code, body)
	}
	if code, body := get("https://" + server.TLSAddr().String() + PathCluster); code != http.StatusOK {
		t.Errorf("by TLS: %d %s", code, body)
	}
	if code, _ := get("http://" + server.Addr().String() + "/status"); code != http.StatusOK {
		t.Errorf("the rest, plain: %d", code)
	}
}
