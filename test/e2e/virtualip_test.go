package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgvigil/pgvigil/test/lab"
)

// addressed is a whole cluster with a virtual address, each node in a network namespace.
func addressed(t *testing.T) (c *cluster, vip string) {
	t.Helper()
	if err := lab.NamespacesAllowed(); err != nil {
		t.Skipf("a virtual address needs network namespaces, and those need root: %v", err)
	}
	c = servers(t, lab.Options{Namespaces: true, Embedded: true, AsRoot: true})
	vip = c.SpareAddress()
	for _, n := range c.Nodes {
		n.Configure(fmt.Sprintf("virtual_ip: {address: %s/24, interface: eth0}", vip))
	}
	c.must(c.Nodes[2].Assign(vip + "/24")) // left by whoever was here before
	c.must(c.StartSidecars())
	primary, err := c.WaitWhole(c.ctx, rejoin)
	c.must(err)
	c.primary = primary
	c.only(primary, vip)
	return c, vip
}

// only waits until the node has the address, and no other node does.
func (c *cluster) only(holder *lab.Node, vip string) {
	c.t.Helper()
	for _, n := range c.Nodes {
		c.must(c.Until(c.ctx, fmt.Sprintf("%s has the address: %v", n.Name, n == holder), soon, func() bool { return n.HasAddress(vip) == (n == holder) }))
	}
}

// client writes through the virtual address and knows no other.
type client struct {
	stop func()

	mu    sync.Mutex
	acked map[int64]time.Time
	last  string // the data directory of the server that acknowledged last
}

func (c *cluster) client(vip string) *client {
	ctx, cancel := context.WithCancel(c.ctx)
	var running sync.WaitGroup
	w := &client{acked: map[int64]time.Time{}}
	w.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	c.t.Cleanup(w.stop)
	conninfo := fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres sslmode=disable", vip, c.Nodes[0].Port)
	running.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		var conn *pgx.Conn
		for id := int64(1 << 40); ctx.Err() == nil; id++ {
			bounded, done := context.WithTimeout(ctx, 500*time.Millisecond)
			var err error
			if conn == nil {
				conn, err = pgx.Connect(bounded, conninfo)
			}
			var server string
			if err == nil {
				err = conn.QueryRow(bounded, "INSERT INTO written (id) VALUES ($1) RETURNING current_setting('data_directory')", id).Scan(&server)
			}
			done()
			if err == nil {
				w.mu.Lock()
				w.acked[id], w.last = time.Now(), filepath.Base(server)
				w.mu.Unlock()
			} else if conn != nil {
				closing, closed := context.WithTimeout(context.WithoutCancel(ctx), 50*time.Millisecond)
				_ = conn.Close(closing)
				closed()
				conn = nil
			}
			<-tick.C
		}
	})
	return w
}

// reaches says whether the last write was acknowledged by the node, after since.
func (w *client) reaches(n *lab.Node, since time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.acked {
		if at.After(since) && w.last == n.Name {
			return true
		}
	}
	return false
}

// gap is the longest time between two acknowledged writes.
func (w *client) gap() (longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var last time.Time
	for id := int64(1 << 40); id < 1<<40+1<<20; id++ {
		if at, acked := w.acked[id]; acked {
			if !last.IsZero() {
				longest = max(longest, at.Sub(last))
			}
			last = at
		}
	}
	return longest
}

// lost counts what was acknowledged and is not there.
func (c *cluster) lost(w *client, n *lab.Node) (lost int) {
	c.t.Helper()
	conn, err := n.Connect(c.ctx)
	c.must(err)
	defer conn.Close(context.WithoutCancel(c.ctx))
	rows, err := conn.Query(c.ctx, "SELECT id FROM written")
	c.must(err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	c.must(err)
	there := map[int64]bool{}
	for _, id := range ids {
		there[id] = true
	}
	for id := range w.acked {
		if !there[id] {
			lost++
		}
	}
	return lost
}

// hardware is what this machine believes of the address.
func hardware(vip string) string {
	out, _ := exec.Command("ip", "neigh", "show", vip).Output()
	return strings.TrimSpace(string(out))
}

// A client that knows nothing but the virtual address writes on through a failover of each kind. That it does at once shows
// that the announcement arrived: what this machine knows of the address, it keeps for longer.
func TestTheVirtualAddressMovesWithThePrimary(t *testing.T) {
	for _, fault := range []struct {
		name   string
		strike func(n *lab.Node) error
		down   func(c *cluster, old *lab.Node, vip string)
		lost   int           // most
		gap    time.Duration // most
	}{
		{"postmaster killed", (*lab.Node).KillPostmaster, func(c *cluster, old *lab.Node, vip string) {}, 0, 8 * time.Second},
		{"host cut off", (*lab.Node).CutOff, func(c *cluster, old *lab.Node, vip string) { c.must(old.Join()) }, 500, 20 * time.Second},
		{"sidecar killed", func(n *lab.Node) error { return n.Sidecar().Kill() }, func(c *cluster, old *lab.Node, vip string) {
			log, _ := os.ReadFile(old.DataDir() + ".pgvigil/guard.log")
			if !strings.Contains(string(log), "fenced") {
				c.t.Errorf("the guard has not fenced: %s", log)
			}
			c.must(old.StartSidecar())
		}, 500, 20 * time.Second},
	} {
		t.Run(fault.name, func(t *testing.T) {
			c, vip := addressed(t)
			w := c.client(vip)
			c.must(c.Until(c.ctx, "the client writes", soon, func() bool { return w.reaches(c.primary, time.Time{}) }))
			before := hardware(vip)
			c.strike(fault.strike(c.primary))
			fresh, err := c.WaitPrimary(c.ctx, soon, c.primary)
			c.must(err)
			c.must(c.Until(c.ctx, "the client reaches the new primary", soon, func() bool { return w.reaches(fresh, c.struck) }))
			if after := hardware(vip); after == before {
				t.Errorf("this machine believes the same of the address as before: %s", after)
			}
			c.only(fresh, vip)
			fault.down(c, c.primary, vip)
			_, err = c.WaitWhole(c.ctx, rejoin)
			c.must(err)
			c.only(fresh, vip)
			rights := c.primary.Ask(c.ctx, `SELECT substring(pg_read_file('/proc/self/status') from 'CapPrm:\s*([0-9a-f]+)')`)
			if rights != "0000000000000000" {
				t.Errorf("the server that its sidecar has started has the rights %s", rights)
			}
			w.stop()
			gap, lost := w.gap(), c.lost(w, fresh)
			t.Logf("%d writes, longest gap %s, %d lost", len(w.acked), gap, lost)
			if gap > fault.gap || lost > fault.lost {
				t.Errorf("longest gap %s, want at most %s; %d lost, want at most %d", gap, fault.gap, lost, fault.lost)
			}
		})
	}
}

// A sidecar that is started again in time leaves the address, and the sessions through it, alone.
func TestTheVirtualAddressOutlivesASidecarsRestart(t *testing.T) {
	c, vip := addressed(t)
	conn, err := pgx.Connect(c.ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres sslmode=disable", vip, c.primary.Port))
	c.must(err)
	defer conn.Close(context.WithoutCancel(c.ctx))
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		c.strike(c.primary.Sidecar().Signal(s))
		<-c.primary.Sidecar().Exited()
		if !c.primary.HasAddress(vip) {
			t.Errorf("down with the sidecar")
		}
		c.must(c.primary.StartSidecar())
		end := time.Now().Add(6 * time.Second) // longer than the trust that it was left with
		c.must(c.Until(c.ctx, "a while has passed", soon, func() bool { return time.Now().After(end) }))
		bounded, cancel := context.WithTimeout(c.ctx, 5*time.Second)
		if _, err := conn.Exec(bounded, "SELECT 1"); err != nil {
			t.Errorf("%s: the session through the address has ended: %v", s, err)
		}
		cancel()
	}
	c.only(c.primary, vip)
	// Taken out of the configuration, it is taken down.
	c.strike(c.primary.Sidecar().Signal(syscall.SIGTERM))
	<-c.primary.Sidecar().Exited()
	c.primary.Configure("")
	c.must(c.primary.StartSidecar())
	c.must(c.Until(c.ctx, "the address is down", soon, func() bool { return !c.primary.HasAddress(vip) }))
	c.primary = c.Node(c.keys().Record.Primary)
	if term := c.keys().Record.Term; term != 1 {
		t.Errorf("term %d: a restart was a failover", term)
	}
}

// A member that may not change addresses says so at once.
func TestAVirtualAddressNeedsTheRight(t *testing.T) {
	c := servers(t, lab.Options{})
	c.primary.Configure("virtual_ip: {address: 192.0.2.1/24, interface: lo}")
	if os.Geteuid() == 0 { // who loses it with the user
		c.must(c.primary.StartSidecar())
		<-c.primary.Sidecar().Exited()
		if said := c.primary.Sidecar().Output(); c.primary.Sidecar().ExitCode() != 3 || !strings.Contains(said, "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW") {
			t.Errorf("exit %d: %s", c.primary.Sidecar().ExitCode(), said)
		}
		return
	}
	t.Skip("whether the user of this test has the right is not known: run it as root, who gives it up")
}
