package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// stage is a Source that shows what a test sets.
type stage struct {
	mu       sync.Mutex
	snapshot Snapshot
	heard    []watchdog.Member
	wal      string
	broken   error
}

func (s *stage) Self() watchdog.Member { return s.Snapshot().Self }

func (s *stage) Heard(m watchdog.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, m)
}

func (s *stage) hearings() []watchdog.Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]watchdog.Member(nil), s.heard...)
}

func (s *stage) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot
}

func (s *stage) ServeTail(_ context.Context, token string, _ watchdog.Timeline, _, _ watchdog.LSN, w io.Writer) error {
	if token != "open sesame" {
		return ErrForbidden
	}
	if _, err := io.WriteString(w, s.wal); err != nil {
		return err
	}
	return s.broken
}

const second = watchdog.Instant(time.Second)

// standby is a member that streams, 1 MB behind its primary.
func standby() Snapshot {
	return Snapshot{
		Self: watchdog.Member{Name: "node2", Role: watchdog.RoleStandby},
		View: watchdog.View{
			Now: 100 * second, Policy: watchdog.DefaultPolicy(), ReadAt: 99 * second,
			Me:     watchdog.Identity{Name: "node2", GuardReady: true},
			Server: watchdog.Server{Role: watchdog.RoleStandby, Streaming: true, Timeline: 3, Received: 0x5000000, Replayed: 0x4F00000},
			Cluster: &watchdog.Cluster{
				Leader: "node2",
				Record: &watchdog.Record{Term: 7, Seq: 9, Phase: watchdog.PhaseNormal, Primary: "node1", Timeline: 3, Members: []string{"node1", "node2"}},
			},
			Peers: map[string]watchdog.Peer{
				"node1": {Member: watchdog.Member{Name: "node1", Role: watchdog.RolePrimary, Received: 0x5000000}, HeardAt: 99 * second},
			},
		},
		Decision: watchdog.Decision{Reason: watchdog.ReasonFollowing},
		LoopAge:  250 * time.Millisecond,
		Counters: sidecar.Counters{Decisions: map[watchdog.Reason]uint64{watchdog.ReasonFollowing: 41}, Elections: 2},
	}
}

func primary() Snapshot {
	return Snapshot{
		Self: watchdog.Member{Name: "node1", Role: watchdog.RolePrimary, PrimaryTerm: 7},
		View: watchdog.View{
			Policy: watchdog.DefaultPolicy(),
			Server: watchdog.Server{Role: watchdog.RolePrimary, Received: 0x5000000, Replayed: 0x5000000},
		},
		Writable: true, TrustLeft: 3900 * time.Millisecond,
	}
}

func TestHealthEndpoints(t *testing.T) {
	with := func(s Snapshot, change func(*Snapshot)) Snapshot { change(&s); return s }
	for _, test := range []struct {
		name     string
		snapshot Snapshot
		path     string
		code     int
		says     string
	}{
		{"a writable primary under trust", primary(), "/primary", 200, "primary of term 7"},
		{"the root asks for the primary", primary(), "/", 200, "primary of term 7"},
		{"a primary whose trust is over", with(primary(), func(s *Snapshot) { s.Writable = false }), "/primary", 503, "not under unexpired trust"},
		{"a standby is no primary", standby(), "/primary", 503, "is standby"},
		{"a primary is no replica", primary(), "/replica", 503, "not a standby"},
		{"a streaming standby", standby(), "/replica", 200, "streams"},
		{"a standby that replays an archive", with(standby(), func(s *Snapshot) { s.View.Server.Streaming = false }), "/replica", 200, "replays"},
		{"a standby of another history", with(standby(), func(s *Snapshot) { s.View.Server.Diverged = true }), "/replica", 503, "has left"},
		{"a standby within the lag asked for", standby(), "/replica?lag=2MB", 200, "1048576 bytes behind"},
		{"a standby beyond the lag asked for", standby(), "/replica?lag=1048575", 503, "more than 1048575"},
		{"a lag that is no number", standby(), "/replica?lag=much", 503, "not understood"},
		{"a lag when nobody has told the primary's position", with(standby(), func(s *Snapshot) { s.View.Peers = nil }), "/replica?lag=1GB", 503, "not known"},
		{"PostgreSQL runs", standby(), "/health", 200, "runs as a standby"},
		{"PostgreSQL starts", with(standby(), func(s *Snapshot) { s.View.Server.Role = watchdog.RoleStarting }), "/health", 503, "starting"},
		{"the loop turns", standby(), "/liveness", 200, "turns"},
		{"the loop is stuck", with(standby(), func(s *Snapshot) { s.LoopAge = 11 * time.Second }), "/liveness", 503, "11s"},
		{"a ready primary", primary(), "/readiness", 200, "primary"},
		{"a ready standby", standby(), "/readiness", 200, "streams"},
		{"a server that is down", Snapshot{View: watchdog.View{Server: watchdog.Server{Role: watchdog.RoleDown}}}, "/readiness", 503, "down"},
		{"an unknown path", primary(), "/primry", 404, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			handler := NewServer(&stage{snapshot: test.snapshot}, Options{}).Handler()
			for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest(method, test.path, nil))
				if w.Code != test.code {
					t.Errorf("%s %s: %d, want %d: %s", method, test.path, w.Code, test.code, w.Body)
				}
				if method == "GET" && !strings.Contains(w.Body.String(), test.says) {
					t.Errorf("GET %s says %s, want %q in it", test.path, w.Body, test.says)
				}
			}
		})
	}
}

func TestStatusHasAStableShape(t *testing.T) {
	lag := NewLag(func() watchdog.Instant { return 100 * second })
	handler := NewServer(&stage{snapshot: standby()}, Options{Cluster: "orders", Version: "1.2.3", Lag: lag}).Handler()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/status", nil))
	var got Status
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("GET /status: %v: %s", err, w.Body)
	}
	switch {
	case got.Cluster != "orders" || got.Version != "1.2.3" || got.Member.Name != "node2":
		t.Errorf("identity: %+v", got)
	case got.Server.LagBytes == nil || *got.Server.LagBytes != 1<<20 || got.Server.LagSeconds == nil:
		t.Errorf("lag: %+v", got.Server)
	case !got.Leader || got.Record.Term != 7 || got.Record.ReadAgeMS != 1000:
		t.Errorf("record: %+v leader %t", got.Record, got.Leader)
	case len(got.Peers) != 1 || got.Peers[0].HeardAgeMS != 1000 || got.Peers[0].AnsweredAgeMS != -1:
		t.Errorf("peers: %+v", got.Peers)
	case got.Decision.Reason != watchdog.ReasonFollowing || got.Decision.Actions == nil:
		t.Errorf("decision: %+v", got.Decision)
	}
	for _, key := range []string{`"trust_left_ms":0`, `"received":"0/5000000"`, `"lag_bytes":1048576`, `"actions":[]`, `"since":`} {
		if !strings.Contains(w.Body.String(), key) {
			t.Errorf("GET /status lacks %s: %s", key, w.Body)
		}
	}
}

func TestStatusTellsOfAlerts(t *testing.T) {
	options := Options{Alerts: func() []alert.SinkStatus {
		return []alert.SinkStatus{{Name: "ops", Delivered: 5, Waiting: 2, OldestAt: time.Now().Add(-time.Hour), FailingSince: time.Now().Add(-time.Minute), Error: "503"}, {Name: "chat"}}
	}}
	w := httptest.NewRecorder()
	NewServer(&stage{snapshot: standby()}, options).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/status", nil))
	var got Status
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Alerts) != 2 {
		t.Fatalf("%v: %s", err, w.Body)
	}
	a := got.Alerts[0]
	if a.Sink != "ops" || a.Delivered != 5 || a.Waiting != 2 || a.Error != "503" || a.OldestMS < 3_600_000 || a.FailingMS < 60_000 || a.FailingMS > 3_000_000 {
		t.Errorf("%+v", a)
	}
	if got.Alerts[1] != (SinkStatus{Sink: "chat"}) {
		t.Errorf("%+v", got.Alerts[1])
	}
}

func TestMetricsTellTheLastView(t *testing.T) {
	handler := NewServer(&stage{snapshot: standby()}, Options{Cluster: "orders", Version: "1.2.3"}).Handler()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("GET /metrics: %d %s", w.Code, w.Body)
	}
	for _, line := range []string{
		`pgvigil_build_info{cluster="orders",member="node2",version="1.2.3"} 1`,
		`pgvigil_term 7`,
		`pgvigil_role{role="standby"} 1`,
		`pgvigil_role{role="primary"} 0`,
		`pgvigil_phase{phase="normal"} 1`,
		`pgvigil_is_primary 0`,
		`pgvigil_is_leader 1`,
		`pgvigil_received_lsn_bytes 8.388608e+07`,
		`pgvigil_lag_bytes 1.048576e+06`,
		`pgvigil_heartbeat_age_seconds{member="node1"} 1`,
		`pgvigil_decisions_total{reason="following"} 41`,
		`pgvigil_elections_total 2`,
		`pgvigil_renewals_total{outcome="failed"} 0`,
		`pgvigil_guard_ready 1`,
	} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("GET /metrics lacks %q:\n%s", line, w.Body)
		}
	}
}

func TestHeartbeatRefusesWhatIsNoMember(t *testing.T) {
	source := &stage{snapshot: standby()}
	handler := NewServer(source, Options{Cluster: "orders"}).Handler()
	for _, test := range []struct {
		name, cluster, body string
		code                int
	}{
		{"of another cluster", "billing", `{"name":"node1"}`, 409},
		{"no JSON", "orders", `hello`, 400},
		{"a member without a name", "orders", `{}`, 400},
		{"something after the member", "orders", `{"name":"node1"}{}`, 400},
		{"a role that is a number", "orders", `{"name":"node1","role":3}`, 400},
		{"larger than any member", "orders", `{"name":"` + strings.Repeat("x", maxHeartbeat) + `"}`, 413},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/heartbeat", strings.NewReader(test.body))
			r.Header.Set(HeaderCluster, test.cluster)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != test.code || !strings.Contains(w.Body.String(), `"error"`) {
				t.Errorf("%d %s, want %d with an error", w.Code, w.Body, test.code)
			}
		})
	}
	if heard := source.hearings(); len(heard) != 0 {
		t.Errorf("heard %v of refused heartbeats", heard)
	}
}

func TestRunSaysWhichAddressIsTaken(t *testing.T) {
	first := NewServer(&stage{}, Options{Listen: "127.0.0.1:0"})
	if err := first.Listen(); err != nil {
		t.Fatal(err)
	}
	defer first.faces[0].listener.Close()
	address := first.Addr().String()
	err := NewServer(&stage{}, Options{Listen: address}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("Run on a taken address: %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	server := NewServer(&stage{snapshot: primary()}, Options{Listen: "127.0.0.1:0"})
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	response, err := http.Get("http://" + server.Addr().String() + "/primary")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET /primary: %v %v", response, err)
	}
	response.Body.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run after its context ended: %v", err)
	}
}

func TestLag(t *testing.T) {
	now := 10 * second
	lag := NewLag(func() watchdog.Instant { return now })
	hear := func(at watchdog.Instant, end watchdog.LSN) {
		now = at
		lag.Note(watchdog.Member{Role: watchdog.RolePrimary, Received: end})
	}
	expect := func(what string, replayed watchdog.LSN, want time.Duration) {
		t.Helper()
		if got := lag.Behind(replayed); got != want {
			t.Errorf("%s: behind by %s, want %s", what, got, want)
		}
	}
	expect("nothing heard", 1, 0)
	hear(10*second, 100)
	hear(11*second, 200)
	hear(15*second, 200)
	expect("all replayed", 200, 0)
	expect("the last write is not replayed", 150, 4*time.Second)
	expect("none is", 50, 5*time.Second)
	lag.Note(watchdog.Member{Role: watchdog.RoleStandby, Received: 900})
	expect("standbys do not count", 200, 0)
	const many = 10*lagSamples + lagSamples/4
	for i := range many {
		hear(now+second, watchdog.LSN(1000+i))
	}
	if n := len(lag.samples); n > lagSamples {
		t.Errorf("%d samples kept", n)
	}
	if got := lag.Behind(99); got != now.Since(10*second) {
		t.Errorf("a memory that was thinned forgot the oldest: %s", got)
	}
	expect("the newest are exact", 1000+many-100, 98*time.Second)
	hear(now+second, 500)
	expect("a new primary's positions begin anew", 400, 0)
	var none *Lag
	none.Note(watchdog.Member{})
	if none.Behind(1) != 0 {
		t.Error("no memory has no lag")
	}
}

var errBroken = errors.New("disk gone")

func (s *stage) Failsafe(_ context.Context, q watchdog.FailsafeQuestion) watchdog.FailsafeAnswer {
	return watchdog.FailsafeAnswer{Member: s.Self().Name, Yes: q.Term == 7, Why: "term"}
}
