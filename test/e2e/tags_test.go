package e2e

import (
	"strings"
	"syscall"
	"testing"

	"github.com/pgvigil/pgvigil/test/lab"
)

// tagged builds a cluster whose sidecars have these lines of configuration, by name.
func tagged(t *testing.T, policy string, lines map[string]string) *cluster {
	t.Helper()
	c := servers(t, lab.Options{Policy: policy})
	for name, configured := range lines {
		c.Node(name).Configure(configured)
	}
	c.must(c.StartSidecars())
	primary, err := c.WaitWhole(c.ctx, rejoin)
	c.must(err)
	c.primary = primary
	return c
}

// Among standbys with the same WAL the policy's site decides before priority.
func TestTagsDecideAtEqualWAL(t *testing.T) {
	for _, test := range []struct{ name, policy, node2, node3, wins string }{
		{"priority", "", "priority: 1", "priority: 1000", "node3"},
		{"the old primary's site before priority", "", "priority: 1000\nsite: south", "site: north", "node3"},
		{"a site by its name", "prefer_site: south", "site: north\npriority: 1000", "site: south", "node3"},
		{"no site", "prefer_site: none", "priority: 5\nsite: south", "site: north", "node2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := tagged(t, test.policy, map[string]string{"node1": "site: north", "node2": test.node2, "node3": test.node3})
			c.must(c.Until(c.ctx, "both have all there is", soon, func() bool {
				return c.primary.Ask(c.ctx, "SELECT bool_and(flush_lsn = pg_current_wal_flush_lsn()) FROM pg_stat_replication") == "true"
			}))
			c.strike(c.primary.FreezeHost())
			fresh, err := c.WaitPrimary(c.ctx, soon, c.primary)
			c.must(err)
			if fresh.Name != test.wins {
				t.Errorf("%s won", fresh.Name)
			}
			c.must(c.primary.ThawHost())
		})
	}
}

// Priority is no reason to lose anything.
func TestPriorityDoesNotOutweighWAL(t *testing.T) {
	c := tagged(t, "", map[string]string{"node2": "priority: 1000"})
	c.write()
	lagging, other := c.Node("node2"), c.Node("node3")
	c.must(lagging.SignalTitled("walreceiver", syscall.SIGSTOP))
	c.must(c.bulk(30000)) // more than sockets hold
	c.must(c.Until(c.ctx, "the other has it all", soon, func() bool { return other.Ask(c.ctx, "SELECT count(*) FROM bulk") == "30000" }))
	c.strike(c.primary.FreezeHost())
	c.must(lagging.SignalTitled("walreceiver", syscall.SIGCONT))
	if fresh := c.takenOver(); fresh != other {
		t.Errorf("%s won by its priority, and %s had more", fresh.Name, other.Name)
	}
	c.must(c.primary.ThawHost())
	c.settledWith(500)
}

// With nobody but members tagged no_failover the election waits; a person overrules the tag by saying so.
func TestNoFailoverTakesAPerson(t *testing.T) {
	c := tagged(t, "", map[string]string{"node2": "no_failover: true", "node3": "no_failover: true"})
	c.strike(c.primary.FreezeHost())
	c.must(c.Until(c.ctx, "both have voted", soon, func() bool { return len(c.keys().Ballots) == 2 }))
	c.rest(rest)
	if r := c.keys().Record; r.Primary != "" {
		t.Errorf("%s was named", r.Primary)
	}
	if said, err := c.Command("failover", "--to", "node3", "--accept-data-loss"); err == nil || !strings.Contains(said, "--ignore no_failover") {
		t.Errorf("failover to a barred member says %v: %s", err, said)
	}
	if said, err := c.Command("failover", "--to", "node3", "--accept-data-loss", "--ignore", "no_failover"); err != nil {
		t.Errorf("failover in spite of the tag: %v: %s", err, said)
	}
	if fresh, err := c.WaitPrimary(c.ctx, soon, c.primary); err != nil || fresh.Name != "node3" {
		t.Errorf("%v is primary: %v", fresh, err)
	}
	c.must(c.primary.ThawHost())
}
