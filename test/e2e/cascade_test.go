package e2e

import (
	"testing"

	"github.com/pgvigil/pgvigil/test/lab"
)

// cascade builds four servers, the last of which follows the third; neither of these may win.
func cascade(t *testing.T, policy string) *cluster {
	t.Helper()
	c := servers(t, lab.Options{Nodes: 4, Upstreams: map[string]string{"node4": "node3"}, Policy: policy})
	for _, name := range []string{"node3", "node4"} {
		c.Node(name).Configure("no_failover: true")
	}
	for _, n := range c.Nodes { // the upstream is a member before the one that follows it joins
		c.must(n.StartSidecar())
		c.must(c.Until(c.ctx, n.Name+" is a member", soon, func() bool {
			keys, err := c.Read(c.ctx)
			return err == nil && keys.Record != nil && keys.Record.Confirmed(n.Name)
		}))
	}
	_, err := c.WaitWhole(c.ctx, rejoin)
	c.must(err)
	c.write()
	return c
}

// repointed asks whether the member has written the server's primary_conninfo: it puts its name there.
const repointed = "SELECT count(*) FROM pg_file_settings WHERE name = 'primary_conninfo' AND setting LIKE '%node4%'"

// A standby that was found to follow a standby is left there, through a crash of the primary, and moves when its upstream dies.
func TestCascadeIsLeftInPlace(t *testing.T) {
	c := cascade(t, "")
	node3, node4 := c.Node("node3"), c.Node("node4")
	if got := node4.Ask(c.ctx, repointed); got != "0" {
		t.Errorf("node4 was repointed when it joined: %q", got)
	}
	c.strike(c.primary.KillPostmaster())
	fresh := c.takenOver()
	if fresh != c.Node("node2") {
		t.Errorf("%s won, and it was barred", fresh.Name)
	}
	_, err := c.WaitWhole(c.ctx, rejoin)
	c.must(err)
	if got := node4.Ask(c.ctx, repointed); got != "0" {
		t.Errorf("node4 was repointed when the primary changed: %q", got)
	}
	c.away(node3)
	c.must(c.WaitFollowing(c.ctx, soon, node4, fresh))
	if got := node4.Ask(c.ctx, repointed); got != "1" {
		t.Errorf("node4 was repointed, and its setting says %q", got)
	}
	c.must(node3.StartSidecar())
	c.must(c.WaitFollowing(c.ctx, rejoin, node3, fresh))
	c.must(c.WaitFollowing(c.ctx, rejoin, node4, node3))
	c.wholeAgain()
}

// In an election the cascade hangs up and gives its ballot as any other, and returns to its upstream on the new timeline.
func TestCascadeVotesAndReturns(t *testing.T) {
	c := cascade(t, "")
	c.writer.Stop()
	c.strike(c.primary.FreezeHost())
	fresh, err := c.WaitPrimary(c.ctx, soon, c.primary)
	c.must(err)
	c.must(c.WaitFollowing(c.ctx, soon, c.Node("node3"), fresh))
	c.must(c.WaitFollowing(c.ctx, rejoin, c.Node("node4"), c.Node("node3")))
	c.must(c.primary.ThawHost())
	c.settledWith(500) // async: what nobody had received when the host stopped
}
