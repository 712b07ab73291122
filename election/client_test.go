package election_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/election"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	good := election.Config{Cluster: "main", Endpoints: []string{"localhost:2379"}}
	for what, spoil := range map[string]func(*election.Config){
		"no endpoints":                 func(c *election.Config) { c.Endpoints = nil },
		"an endpoint is empty":         func(c *election.Config) { c.Endpoints = []string{"a:1", ""} },
		"go together":                  func(c *election.Config) { c.Username = "root" },
		"cluster has no name":          func(c *election.Config) { c.Cluster = "" },
		"slash or a control character": func(c *election.Config) { c.Cluster = "a/b" },
		"too long":                     func(c *election.Config) { c.Cluster = strings.Repeat("x", 300) },
	} {
		c := good
		spoil(&c)
		if _, err := election.Open(c); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want something with %q", err, what)
		}
	}
}

func TestStoreVersion(t *testing.T) {
	ours := startEmbedded(t)
	debians := startDebian(t)
	new, err := open(t, "version", ours).StoreVersion(within(t, 5*time.Second))
	if err != nil || new.LeaseBugs() {
		t.Errorf("our own etcd is %s with lease bugs: %v, error %v", new, new.LeaseBugs(), err)
	}
	lowest, err := open(t, "version", ours, debians, freeAddress(t)).StoreVersion(within(t, time.Second))
	if err != nil || lowest.Minor != 4 || !lowest.LeaseBugs() {
		t.Errorf("Debian's etcd is %s with lease bugs: %v, error %v", lowest, lowest.LeaseBugs(), err)
	}
	if v, err := open(t, "version", freeAddress(t)).StoreVersion(within(t, 300*time.Millisecond)); err == nil {
		t.Errorf("nobody is of version %s", v)
	}
}

func TestLeaseBugsByVersion(t *testing.T) {
	for text, bugs := range map[string]bool{
		"3.3.25": true, "3.4.37": true, "3.4.38": false, "3.5.22": true, "3.5.23": false, "3.6.4": true, "3.6.5": false, "3.6.0-rc.1": true,
		"3.7.3": false, "4.0.0": false, "v3.5.30": false,
	} {
		v, err := election.ParseVersion(text)
		if err != nil || v.LeaseBugs() != bugs {
			t.Errorf("%s is read as %s with lease bugs: %v, want %v, error %v", text, v, v.LeaseBugs(), bugs, err)
		}
	}
	for _, text := range []string{"", "3.5", "three"} {
		if v, err := election.ParseVersion(text); err == nil {
			t.Errorf("%q is read as %s", text, v)
		}
	}
}

// With authentication every request is logged in, the renewals' stream once.
func TestAuthentication(t *testing.T) {
	etcd := startDebian(t, "--bcrypt-cost", "4")
	root := rawClient(t, etcd)
	ctx := within(t, 30*time.Second)
	for _, err := range []error{
		second(root.UserAdd(ctx, "root", "secret")), second(root.UserGrantRole(ctx, "root", "root")), second(root.AuthEnable(ctx)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	login := func(password string, endpoints ...string) *election.Client {
		c, err := election.Open(election.Config{Cluster: "auth", Endpoints: endpoints, Username: "root", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	c := login("secret", freeAddress(t), etcd)
	wakes := c.Watch(ctx)
	if _, err := c.Grant(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := c.KeepAlive(within(t, 2*time.Second)); err != nil {
			t.Error(err)
		}
	}
	woken(t, wakes, "the watch began")
	if _, err := c.Apply(ctx, watchdog.Change{Campaign: "a"}); err != nil {
		t.Error(err)
	}
	if read, err := c.Read(ctx); err != nil || read.Leader != "a" {
		t.Errorf("leader %q, error %v", read.Leader, err)
	}

	stranger := login("wrong", etcd)
	if _, err := stranger.Read(within(t, 3*time.Second)); err == nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "authentication failed") {
		t.Errorf("with a wrong password: %v", err)
	}
	if _, err := stranger.Apply(within(t, 500*time.Millisecond), watchdog.Change{Resign: true}); err == nil || errors.Is(err, sidecar.ErrCompareLost) {
		t.Errorf("with a wrong password: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// A client that is asked after its end says so at once.
func TestClosedClient(t *testing.T) {
	c := open(t, "closed", startEmbedded(t))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, read := c.Read(t.Context())
	_, version := c.StoreVersion(t.Context())
	for _, err := range []error{read, version} {
		if err == nil || !strings.Contains(err.Error(), "client is closed") {
			t.Errorf("%v", err)
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %s to say so", took)
	}
}
