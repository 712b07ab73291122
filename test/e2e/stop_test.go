package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/test/lab"
)

// stop runs pgvigil stop as the node's own.
func (c *cluster) stop(n *lab.Node, args ...string) string {
	c.t.Helper()
	out, err := exec.CommandContext(c.ctx, program, append([]string{"stop", "--config", n.ConfigFile()}, args...)...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("stop %v: %v: %s", args, err, out)
	}
	return string(out)
}

// The sidecar ends, and PostgreSQL does not notice where it is back in time.
func TestStopLeavesPostgreSQL(t *testing.T) {
	c := whole(t)
	started := c.primary.Ask(c.ctx, "SELECT pg_postmaster_start_time()")
	said := c.stop(c.primary)
	if !strings.Contains(said, "the sidecar has ended") || c.primary.Sidecar().Running() {
		t.Errorf("%s", said)
	}
	c.must(c.primary.StartSidecar())
	c.undisturbed(2 * rest)
	if again := c.primary.Ask(c.ctx, "SELECT pg_postmaster_start_time()"); again != started {
		t.Errorf("the server was restarted: %s, %s", started, again)
	}
	c.wholeAgain()
}

// With --postgres a standby is shut down, and a primary after it has handed over; both come back with their sidecars.
func TestStopWithPostgreSQL(t *testing.T) {
	for _, who := range []string{"standby", "primary"} {
		t.Run(who, func(t *testing.T) {
			c := whole(t)
			n := c.primary
			if who == "standby" {
				n = c.standbys()[0]
			}
			c.strike(nil)
			said := c.stop(n, "--postgres", "--yes")
			if !strings.Contains(said, "is shut down") || !n.ServerGone() || n.Sidecar().Running() {
				t.Errorf("%s", said)
			}
			if handed := strings.Contains(said, "handed over"); handed != (who == "primary") {
				t.Errorf("%s", said)
			}
			if said = c.stop(n); !strings.Contains(said, "no sidecar runs") {
				t.Errorf("again: %s", said)
			}
			if who == "primary" {
				c.takenOver()
			} else {
				c.undisturbed(rest)
			}
			c.must(n.StartSidecar())
			c.wholeAgain()
		})
	}
}

// The last one that there is has nobody to hand over to: it is shut down all the same, and back with its sidecar.
func TestStopOfTheLastOne(t *testing.T) {
	c := whole(t)
	for _, n := range c.standbys() {
		c.stop(n, "--postgres", "--yes")
	}
	c.must(c.Until(c.ctx, "their leases have ended", soon, func() bool { return len(c.keys().Members) == 1 }))
	said := c.stop(c.primary, "--postgres", "--yes")
	if !strings.Contains(said, "no other member") || !c.primary.ServerGone() {
		t.Errorf("%s", said)
	}
	c.strike(nil)
	for _, n := range c.Nodes {
		c.must(n.StartSidecar())
	}
	c.wholeAgain()
}
