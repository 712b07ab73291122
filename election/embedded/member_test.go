package embedded_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/election"
	"github.com/pgvigil/pgvigil/election/embedded"
	"github.com/pgvigil/pgvigil/test/freeport"
	"github.com/pgvigil/pgvigil/test/until"
	"github.com/pgvigil/pgvigil/watchdog"
)

// freeAddress returns an address on which nobody listens just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// configs returns what n members of one new cluster need.
func configs(t *testing.T, n int) []embedded.Config {
	t.Helper()
	cluster := map[string]string{}
	members := make([]embedded.Config, n)
	for i := range members {
		name := fmt.Sprintf("node%d", i+1)
		members[i] = embedded.Config{
			Name: name, Dir: filepath.Join(t.TempDir(), "etcd"), ListenPeer: freeAddress(t), ListenClient: freeAddress(t),
			Cluster: t.Name(), New: true, InitialCluster: cluster,
		}
		cluster[name] = members[i].ListenPeer
	}
	return members
}

func start(t *testing.T, c embedded.Config) *embedded.Member {
	t.Helper()
	m, err := embedded.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	return m
}

func ready(t *testing.T, members ...*embedded.Member) {
	t.Helper()
	for _, m := range members {
		select {
		case <-m.Ready():
		case <-time.After(20 * time.Second):
			t.Fatal("an embedded member is not ready after 20 s")
		}
	}
}

func open(t *testing.T, members ...embedded.Config) *election.Client {
	t.Helper()
	var endpoints []string
	for _, m := range members {
		endpoints = append(endpoints, m.ListenClient)
	}
	c, err := election.Open(election.Config{Cluster: "main", Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestMemberKeepsItsDataOverARestart(t *testing.T) {
	config := configs(t, 1)[0]
	m := start(t, config)
	ready(t, m)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client := open(t, config)
	written, err := client.Apply(ctx, watchdog.Change{Ledger: &watchdog.LedgerEntry{Term: 1, Timeline: 7, Owner: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	if !m.IsLeader() || m.Leader() != "node1" {
		t.Errorf("leader %q, is leader %v", m.Leader(), m.IsLeader())
	}
	before, err := client.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}

	// A watch that is open does not hold up the end.
	<-client.Watch(ctx)
	began := time.Now()
	m.Stop()
	m.Stop()
	<-m.Done()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("Stop took %s with a watch open", took)
	}

	ready(t, start(t, config))
	after, err := client.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(after.Ledger) != 1 || after.Ledger[0].Timeline != 7 || after.StoreID != before.StoreID || after.Revision < written {
		t.Errorf("after the restart: ledger %+v, store %s at revision %d, want store %s", after.Ledger, after.StoreID, after.Revision, before.StoreID)
	}
}

func TestMemberKeepsItsFilesToItself(t *testing.T) {
	config := configs(t, 1)[0]
	if err := os.MkdirAll(config.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ready(t, start(t, config))
	err := filepath.WalkDir(config.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLeadershipMoves(t *testing.T) {
	cs := configs(t, 3)
	var members []*embedded.Member
	for _, c := range cs {
		members = append(members, start(t, c)) // does not wait for the others
	}
	ready(t, members...)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for i, c := range []int{1, 2, 0} {
		if err := members[i].MoveLeader(ctx, cs[c].Name); err != nil {
			t.Fatalf("move the leadership to %s through %s: %v", cs[c].Name, cs[i].Name, err)
		}
		until.Holds(t, cs[c].Name+" leads", func() bool { return members[c].IsLeader() && members[i].Leader() == cs[c].Name })
	}
	if err := members[0].MoveLeader(ctx, ""); err != nil || members[0].IsLeader() {
		t.Errorf("move the leadership to anybody: %v, still leader: %v", err, members[0].IsLeader())
	}
	if err := members[0].MoveLeader(ctx, "nobody"); err == nil {
		t.Error("the leadership was moved to nobody")
	}

	// A leader that is stopped hands its leadership over first, and two of three go on.
	client := open(t, cs...)
	until.Holds(t, "node1 knows who leads", func() bool { return members[0].Leader() != "" })
	for i := range members {
		if members[i].IsLeader() {
			members[i].Stop()
			break
		}
	}
	if _, err := client.Apply(ctx, watchdog.Change{Ledger: &watchdog.LedgerEntry{Term: 1, Timeline: 1, Owner: "a"}}); err != nil {
		t.Errorf("with two of three members: %v", err)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	good := configs(t, 1)[0]
	for what, spoil := range map[string]func(*embedded.Config){
		"has no name":                     func(c *embedded.Config) { c.Name = "" },
		"no directory":                    func(c *embedded.Config) { c.Dir = "" },
		"no address to listen on":         func(c *embedded.Config) { c.ListenClient = "" },
		`does not name "node1" itself`:    func(c *embedded.Config) { c.InitialCluster = nil },
		"embedded etcd's address":         func(c *embedded.Config) { c.AdvertisePeer = "http://a b" },
		"make etcd's directory":           func(c *embedded.Config) { c.Dir = "/dev/null/etcd" },
		`start embedded etcd "node1" in `: func(c *embedded.Config) { c.ListenPeer = "http://not-an-ip.invalid:1" },
	} {
		c := good
		spoil(&c)
		if _, err := embedded.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want something with %q", err, what)
		}
	}
}

func TestLogIsWarningsAndErrors(t *testing.T) {
	var text bytes.Buffer
	c := configs(t, 1)[0]
	c.Log = slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	m := start(t, c)
	ready(t, m)
	m.Stop()
	for line := range strings.Lines(text.String()) {
		if !strings.Contains(line, "level=WARN") && !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "component=etcd") {
			t.Errorf("logged: %s", line)
		}
	}
}
