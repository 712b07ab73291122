package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

// program is pgvigil, built once for all tests.
var program string

func TestMain(m *testing.M) {
	if address := os.Getenv(receiverAt); address != "" {
		fmt.Fprintln(os.Stderr, receive(address, os.Getenv(receiverFile)))
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "pgvigil-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "pgvigil")
	build := exec.Command("go", "build", "-o", program, "github.com/pgvigil/pgvigil/cmd/pgvigil")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build pgvigil: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// The bounds within which things must have happened. They say that it happens at all on a loaded machine; how fast is for
// the benchmarks.
const (
	soon   = 30 * time.Second
	rejoin = 60 * time.Second
	rest   = 4 * time.Second // for a fault that must change nothing
)

// cluster is a lab with a test's way of failing.
type cluster struct {
	*lab.Cluster
	t       *testing.T
	ctx     context.Context
	primary *lab.Node // at the beginning
	writer  *lab.Writer
	struck  time.Time
}

// servers builds three servers without sidecars.
func servers(t *testing.T, o lab.Options) *cluster {
	t.Helper()
	t.Parallel()
	o.Executable = program
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	built, err := lab.New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{Cluster: built, t: t, ctx: ctx, primary: built.Nodes[0]}
	t.Cleanup(func() {
		if c.writer != nil {
			c.writer.Stop()
		}
		if t.Failed() {
			t.Log(built.Describe(context.Background()))
		}
		if err := built.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// whole builds a cluster that is adopted and whole, with a writer on it.
func whole(t *testing.T, options ...func(*lab.Options)) *cluster {
	t.Helper()
	var o lab.Options
	for _, change := range options {
		change(&o)
	}
	c := servers(t, o)
	c.begin()
	return c
}

// begin starts the sidecars, and a writer once they have adopted the servers.
func (c *cluster) begin() {
	c.t.Helper()
	c.must(c.StartSidecars())
	primary, err := c.WaitWhole(c.ctx, rejoin)
	c.must(err)
	c.primary = primary
	c.write()
}

// interposed is a whole cluster whose primary reaches etcd through lines that BreakEtcd breaks.
func interposed(t *testing.T) *cluster {
	t.Helper()
	c := servers(t, lab.Options{})
	c.must(c.primary.Interpose())
	c.begin()
	return c
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// write starts a writer and waits until it is heard.
func (c *cluster) write() {
	c.t.Helper()
	c.writer = c.StartWriter()
	c.must(c.writer.WaitAck(c.ctx, soon, c.primary, time.Now()))
}

// strike injects a fault; one that did not hit fails the test.
func (c *cluster) strike(err error) {
	c.t.Helper()
	c.struck = time.Now()
	c.must(err)
}

func (c *cluster) standbys() (nodes []*lab.Node) {
	for _, n := range c.Nodes {
		if n != c.primary {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// takenOver waits until another node acknowledges writes.
func (c *cluster) takenOver() *lab.Node {
	c.t.Helper()
	fresh, err := c.WaitPrimary(c.ctx, soon, c.primary)
	c.must(err)
	c.must(c.writer.WaitAck(c.ctx, soon, fresh, c.struck))
	return fresh
}

// wholeAgain waits until every node streams, and reads everything back: nothing may be lost.
func (c *cluster) wholeAgain() {
	c.t.Helper()
	c.settledWith(0)
}

// settledWith waits until every node streams, and reads everything back; at most so many acknowledged writes may be lost.
func (c *cluster) settledWith(lost int) {
	c.t.Helper()
	primary, err := c.WaitWhole(c.ctx, rejoin)
	c.must(err)
	c.writer.Stop()
	v, err := c.writer.Verify(c.ctx, primary)
	c.must(err)
	if len(v.Lost) > lost || len(v.Phantom) > 0 {
		c.t.Errorf("of %d acknowledged writes %d are lost (%v), and %d rows were never written", v.Acked, len(v.Lost), head(v.Lost), len(v.Phantom))
	}
	for _, n := range c.Nodes {
		if n != primary && n.Ask(c.ctx, "SELECT pg_is_in_recovery()") != "true" {
			c.t.Errorf("%s is no standby", n.Name)
		}
	}
}

func head(ids []int64) []int64 { return ids[:min(5, len(ids))] }

// undisturbed: for a while nothing changes hands, and the same primary goes on acknowledging.
func (c *cluster) undisturbed(within time.Duration) {
	c.t.Helper()
	term := c.keys().Record.Term
	c.rest(within)
	c.must(c.writer.WaitAck(c.ctx, soon, c.primary, time.Now()))
	if r := c.keys().Record; r.Term != term || r.Primary != c.primary.Name {
		c.t.Errorf("the record went from term %d to %+v", term, r)
	}
}

// rest lets a while pass.
func (c *cluster) rest(within time.Duration) {
	c.t.Helper()
	end := time.Now().Add(within)
	c.must(c.Until(c.ctx, "a while has passed", within+soon, func() bool { return time.Now().After(end) }))
}

func (c *cluster) keys() watchdog.Cluster {
	c.t.Helper()
	var keys watchdog.Cluster
	c.must(c.Until(c.ctx, "etcd answers", soon, func() bool {
		var err error
		keys, err = c.Read(c.ctx)
		return err == nil && keys.Record != nil
	}))
	return keys
}

// status is what the command says.
func (c *cluster) status() string {
	c.t.Helper()
	said, err := c.Command("status")
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // its exit code tells of the cluster
		c.must(err)
	}
	return said
}

// events are what happened since the strike, by kind.
func (c *cluster) event(kind watchdog.EventKind) (watchdog.Event, bool) {
	c.t.Helper()
	events, err := c.Store.Events(c.ctx, 50)
	c.must(err)
	for _, e := range events {
		if e.Kind == kind && e.Time.After(c.struck) {
			return e, true
		}
	}
	return watchdog.Event{}, false
}

func (c *cluster) standbyCalled(name string) *lab.Node {
	for _, n := range c.standbys() {
		if n.Name == name {
			return n
		}
	}
	c.t.Fatalf("no standby %s", name)
	return nil
}
