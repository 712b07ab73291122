package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/election"
	"github.com/pgvigil/pgvigil/election/embedded"
	"github.com/pgvigil/pgvigil/test/freeport"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/api"
	"github.com/pgvigil/pgvigil/watchdog/request"
)

const operatorsToken = "0123456789abcdef"

// startStore runs an etcd and returns its URL.
func startStore(t *testing.T) string {
	t.Helper()
	var urls [2]string
	for i := range urls {
		port, err := freeport.Take()
		if err != nil {
			t.Fatal(err)
		}
		urls[i] = fmt.Sprintf("http://127.0.0.1:%d", port)
	}
	m, err := embedded.Start(t.Context(), embedded.Config{
		Name: "store", Dir: t.TempDir(), ListenPeer: urls[0], ListenClient: urls[1], InitialCluster: map[string]string{"store": urls[0]}, New: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	select {
	case <-m.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("etcd is not ready after 20 s")
	}
	return urls[1]
}

// sidecarOf is a member's sidecar as its API shows it: it has read what etcd holds now.
type sidecarOf struct {
	name  string
	store *election.Client
}

func (s sidecarOf) Self() watchdog.Member { return s.Snapshot().Self }

func (s sidecarOf) Snapshot() api.Snapshot {
	c, err := s.store.Read(context.Background())
	if err != nil {
		return api.Snapshot{}
	}
	m := c.Members[s.name].Member
	v := watchdog.View{
		Now: 100e9, ReadAt: 100e9, Policy: watchdog.DefaultPolicy(), Cluster: &c, Me: watchdog.Identity{Name: s.name, GuardReady: true},
		Server: watchdog.Server{Role: m.Role, Timeline: m.Timeline, Received: m.Received, Replayed: m.Replayed, Streaming: m.Streaming, Upstream: m.Upstream},
	}
	return api.Snapshot{Self: m, View: v, Writable: m.Role == watchdog.RolePrimary, Decision: watchdog.Decision{Reason: watchdog.ReasonHolding}}
}

func (sidecarOf) Heard(watchdog.Member) {}

func (sidecarOf) Failsafe(context.Context, watchdog.FailsafeQuestion) watchdog.FailsafeAnswer {
	return watchdog.FailsafeAnswer{}
}

func (sidecarOf) ServeTail(context.Context, string, watchdog.Timeline, watchdog.LSN, watchdog.LSN, io.Writer) error {
	return api.ErrForbidden
}

// twoMembers puts a cluster of a primary and a standby into etcd, with a real API handler for each, and returns the URL of the
// primary's API.
func twoMembers(t *testing.T, etcd string) (string, *election.Client) {
	t.Helper()
	store, err := election.Open(election.Config{Cluster: "orders", Endpoints: []string{etcd}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if _, err := store.Grant(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	var none int64
	p := watchdog.DefaultPolicy()
	s := well()
	s.cluster.Record.SystemID, s.cluster.Record.Members = "7000000000000000001", []string{"node1", "node2"}
	apply(t, store, watchdog.Change{
		Record: s.cluster.Record, Policy: &p, If: watchdog.If{RecordRev: &none, PolicyRev: &none}, TakePrimary: "node1", Campaign: "node2",
		Event: &watchdog.Event{Term: 7, Seq: 1, Time: began, Member: "node1", Kind: watchdog.EventAdopted, Reason: watchdog.ReasonAdopt, Message: "adopted"},
	})
	var first string
	for _, name := range []string{"node1", "node2"} {
		server := httptest.NewServer(api.NewServer(sidecarOf{name, store}, api.Options{
			Cluster: "orders", Operators: api.Operators{Store: store, Token: operatorsToken, Clock: time.Now},
		}).Handler())
		t.Cleanup(server.Close)
		m := s.cluster.Members[name].Member
		m.API, m.Incarnation, m.SystemID = server.URL, name+"-disk", "7000000000000000001"
		apply(t, store, watchdog.Change{Member: &m, If: watchdog.If{MemberRevs: map[string]int64{name: 0}}})
		if first == "" {
			first = server.URL
		}
	}
	return first, store
}

func apply(t *testing.T, store *election.Client, c watchdog.Change) {
	t.Helper()
	if _, err := store.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// passing are the words of an output that differ from one moment to the next.
var passing = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ][0-9:.]+(Z|[+-]\d\d:\d\d)?|for \d+ [a-z]+( \d+ [a-z]+)?|"(operation|seq)": ?"?[A-Z0-9]+"?|\d\d:\d\d:\d\d|another [0-9hms.]+`)

func TestCommandsSayTheSameByEtcdAndByTheAPI(t *testing.T) {
	etcd := startStore(t)
	url, store := twoMembers(t, etcd)
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte(operatorsToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ways := [][]string{{"--cluster", "orders", "--etcd", etcd}, {"--api", "http://127.0.0.1:1," + url, "--token-file", tokenFile}}
	// drop takes a standing operation out of the record again, as its end would.
	drop := func() {
		c, err := store.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := *c.Record
		r.Operation = nil
		r.Seq++
		apply(t, store, watchdog.Change{Record: &r, If: watchdog.If{RecordRev: &c.RecordRev}})
	}
	for _, test := range []struct {
		line string
		code int
		says string
		undo string // a command that makes the cluster as it was before
	}{
		{"status", exitOK, "node2", ""},
		{"status -o json", exitOK, `"health": "ok"`, ""},
		{"members", exitOK, "10.0.0.12:5432", ""},
		{"members -o yaml", exitOK, "admitted: true", ""},
		{"events", exitOK, "adopted", ""},
		{"history -n 1", exitOK, "adopted", ""},
		{"history -o json", exitOK, `"kind": "adopted"`, ""},
		{"explain", exitOK, "node2, in about", ""},
		{"explain -o json", exitOK, `"winner": "node2"`, ""},
		{"explain 7", exitOK, "adopted", ""},
		{"explain 99", exitNotFound, "nothing is known of term 99", ""},
		{"config show", exitOK, "detection", ""},
		{"config set k=2 detection=2s", exitOK, "detection 1.5s → 2s\nk 1 → 2\nwritten", "config set k=1 detection=1.5s"},
		{"config set ttl=9s", exitRefused, "how long a primary is trusted", ""},
		{"config history", exitOK, "k 1 → 2", ""},
		{"switchover --to node9 --yes", exitRefused, "node9 is no member", ""},
		{"switchover --to node2 --yes --wait 0 -o json", exitOK, `"to":"node2"`, "-"},
		{"failover --to node2", exitRefused, "no election is open", ""},
		{"pause --reason upgrade", exitOK, "upgrade", "resume"},
		{"resume", exitOK, "not paused", ""},
	} {
		t.Run(test.line, func(t *testing.T) {
			var said [2]string
			for i, way := range ways {
				words := strings.Fields(test.line)
				at := 1
				if words[0] == "config" {
					at = 2
				}
				line := append(append(append([]string{}, words[:at]...), way...), words[at:]...)
				code, out, errs := command(t, line...)
				if code != test.code || !strings.Contains(out+errs, test.says) {
					t.Errorf("%v: exit %d, want %d and %q\n%s%s", line, code, test.code, test.says, out, errs)
				}
				said[i] = passing.ReplaceAllString(out+errs, "…")
				switch test.undo {
				case "":
				case "-":
					drop()
				default:
					words := strings.Fields(test.undo)
					at := min(len(words), at)
					if code, out, errs := command(t, append(append(append([]string{}, words[:at]...), ways[0]...), words[at:]...)...); code != exitOK {
						t.Fatalf("undo: %s%s", out, errs)
					}
				}
			}
			if said[0] != said[1] {
				t.Errorf("by etcd:\n%s\nby the API:\n%s", said[0], said[1])
			}
		})
	}
}

func TestWhoIsNotLetInByTheAPI(t *testing.T) {
	url, _ := twoMembers(t, startStore(t))
	for _, test := range []struct {
		name string
		line []string
		code int
		says string
	}{
		{"without a token", []string{"status", "--api", url}, exitConfig, "--token-file"},
		{"with another token", []string{"status", "--api", url, "--token", "fedcba9876543210"}, exitEtcd, "not the operators' token"},
		{"with another cluster in mind", []string{"status", "--api", url, "--token", operatorsToken, "--cluster", "billing"}, exitEtcd, "belongs to cluster orders, not billing"},
		{"nobody there", []string{"status", "--api", "http://127.0.0.1:1", "--token", operatorsToken}, exitEtcd, "see that a sidecar runs there"},
	} {
		code, out, errs := command(t, test.line...)
		if code != test.code || !strings.Contains(errs, test.says) || out != "" {
			t.Errorf("%s: exit %d: %s%s", test.name, code, out, errs)
		}
	}
}

func TestWhatMayHaveBeenDoneIsNotAskedOfAnother(t *testing.T) {
	ask := watchdog.Request{By: "ann", Resume: true}
	for _, test := range []struct {
		name    string
		first   http.HandlerFunc
		another bool // the second member is asked
		refused bool
	}{
		{"it cannot read etcd", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, true, false},
		{"it does not know our token", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, true, false},
		{"it has no such endpoint", http.NotFound, true, false},
		{"it does not know what came of it", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, false, false},
		{"it hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, false},
		{"its answer is garbage", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }, false, false},
		{"it refuses", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) }, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			first := httptest.NewServer(test.first)
			defer first.Close()
			asked := false
			second := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked = true
				io.WriteString(w, `{"seq":10}`)
			}))
			defer second.Close()
			r, err := openRemote(t.Context(), config.Client{Config: config.Config{Cluster: "orders"}, API: []string{first.URL, second.URL}})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			seq, err := r.Ask(t.Context(), ask)
			if asked != test.another || (err == nil) != test.another || test.another && seq != 10 {
				t.Errorf("another asked: %t, want %t; %d, %v", asked, test.another, seq, err)
			}
			if errors.Is(err, request.ErrRefused) != test.refused || errors.Is(err, request.ErrUnread) {
				t.Errorf("%v", err)
			}
			if test.another && r.urls[0] != second.URL {
				t.Errorf("the one that answered does not come first: %v", r.urls)
			}
		})
	}
}
