package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/test/faultline"
	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

// quorum builds a cluster of so many nodes that is whole in quorum durability.
func quorum(t *testing.T, nodes int, lines ...string) *cluster {
	t.Helper()
	return whole(t, func(o *lab.Options) {
		o.Nodes, o.Policy = nodes, strings.Join(append([]string{"durability: quorum"}, lines...), "\n")
		o.Settings = "max_connections = 500" // sessions whose commits wait pile up
	})
}

// voters waits until exactly these are in force as voters, k of them, and settled.
func (c *cluster) voters(k int, nodes ...*lab.Node) {
	c.t.Helper()
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	slices.Sort(names)
	c.must(c.Until(c.ctx, fmt.Sprintf("durability is quorum %d of %v", k, names), soon, func() bool {
		r := c.keys().Record
		return r.Durability.Mode == watchdog.ModeQuorum && r.Durability.K == k && slices.Equal(r.Durability.Voters, names) && r.Next == nil
	}))
}

// away takes a node's sidecar and server away for good.
func (c *cluster) away(n *lab.Node) {
	c.t.Helper()
	c.must(n.Sidecar().Kill())
	c.strike(n.StopImmediately())
}

// A frozen primary that is thawed in the middle of the election, its clients still connected, never acknowledges a write of
// its old term: the voters have hung up on it.
func TestFrozenPrimaryThawedMidElection(t *testing.T) {
	c := quorum(t, 3)
	c.strike(c.primary.FreezeHost())
	c.must(c.Until(c.ctx, "a ballot in advance, or the winner", soon, func() bool {
		keys := c.keys()
		return len(keys.Advance) > 0 || keys.Record.Primary != c.primary.Name
	}))
	c.must(c.primary.ThawHost())
	fresh := c.takenOverOrGoesOn()
	c.noneAfter(fresh)
	c.wholeAgain()
}

// takenOverOrGoesOn waits until writes are acknowledged again: a thaw before the naming may have the ballots withdrawn.
func (c *cluster) takenOverOrGoesOn() (primary *lab.Node) {
	c.t.Helper()
	thawed := time.Now()
	c.must(c.Until(c.ctx, "writes are acknowledged again", soon, func() bool {
		primary = c.Primary(c.ctx)
		return primary != nil && c.writer.AckedSince(primary, thawed) > 0
	}))
	return primary
}

// noneAfter: once the new primary has acknowledged a write, nobody of a lower term acknowledges one that is sent later.
func (c *cluster) noneAfter(fresh *lab.Node) {
	c.t.Helper()
	if fresh == c.primary {
		return
	}
	if n := c.writer.SentAndAckedBy(c.primary, c.writer.FirstAck(fresh, c.struck)); n > 0 {
		c.t.Errorf("the deposed %s acknowledged %d writes sent after %s's first", c.primary.Name, n, fresh.Name)
	}
}

// The primary's host is cut off the network, and lives: in quorum it can acknowledge nothing, in async its trust ends.
func TestHostCutOff(t *testing.T) {
	for _, mode := range []string{"quorum", "async"} {
		t.Run(mode, func(t *testing.T) {
			if err := lab.NamespacesAllowed(); err != nil {
				t.Skipf("this fault could not be injected: %v", err)
			}
			c := whole(t, func(o *lab.Options) { o.Namespaces, o.Embedded, o.Policy = true, true, "durability: "+mode })
			old := c.primary
			c.strike(old.CutOff())
			fresh := c.takenOver()
			c.must(c.Until(c.ctx, "the one that is cut off fences itself", soon, old.ServerGone))
			c.must(old.Join())
			c.must(c.WaitStreaming(c.ctx, rejoin, old))
			c.noneAfter(fresh)
			if mode == "async" {
				c.settledWith(500)
				return
			}
			c.wholeAgain()
		})
	}
}

// Quorums of several sizes: the primary's host is lost, and nothing acknowledged is.
func TestHostLostInQuorum(t *testing.T) {
	for _, size := range []struct{ k, of int }{{1, 2}, {2, 2}, {2, 3}, {2, 4}} {
		t.Run(fmt.Sprintf("%d of %d", size.k, size.of), func(t *testing.T) {
			c := quorum(t, size.of+1, fmt.Sprintf("k: %d", size.k))
			c.strike(c.primary.FreezeHost())
			fresh, err := c.WaitPrimary(c.ctx, soon, c.primary)
			c.must(err)
			if size.k < size.of { // else commits wait for the old primary: every voter is needed
				c.must(c.writer.WaitAck(c.ctx, soon, fresh, c.struck))
			}
			c.must(c.primary.ThawHost())
			c.must(c.writer.WaitAck(c.ctx, rejoin, fresh, c.struck))
			c.noneAfter(fresh)
			c.wholeAgain()
		})
	}
}

// Voters come and go under write load, the primary's sidecar dying at each step of the change and its server after it.
func TestVotersChangeAndThePrimaryDiesAtEachStep(t *testing.T) {
	for _, step := range []string{"synchronised", "durability"} {
		for _, change := range []string{"removed", "added"} {
			t.Run(change+" "+step, func(t *testing.T) {
				c := quorum(t, 3)
				goes, stays := c.standbys()[0], c.standbys()[1]
				if change == "added" {
					c.away(goes)
					c.voters(1, stays)
				}
				c.primary.Env("PGVIGIL_CRASH_AT=" + step)
				c.must(c.primary.Sidecar().Kill())
				c.must(c.primary.StartSidecar())
				if change == "added" {
					c.must(goes.StartSidecar())
				} else {
					c.away(goes)
				}
				c.crashed([]*lab.Node{c.primary})
				c.strike(c.primary.KillPostmaster())
				c.primary.Env()
				if change == "removed" {
					c.must(goes.StartSidecar())
				}
				c.must(c.primary.StartSidecar())
				c.wholeAgain()
			})
		}
	}
}

// A standby that is gone is taken out, and the other takes over alone; it comes back, and is let in again.
func TestVoterTakenOutAndLetIn(t *testing.T) {
	c := quorum(t, 3)
	gone, left := c.standbys()[0], c.standbys()[1]
	c.away(gone)
	c.voters(1, left)
	c.strike(c.primary.KillPostmaster())
	if fresh := c.takenOver(); fresh != left {
		t.Errorf("%s took over, and %s was the only voter", fresh.Name, left.Name)
	}
	c.must(gone.StartSidecar())
	c.wholeAgain()
	c.voters(1, gone, c.primary)
}

// A voter that is cloned anew is a voter again, and may win.
func TestVoterClonedAnew(t *testing.T) {
	c := quorum(t, 3)
	away := c.standbys()[0]
	c.away(away)
	c.voters(1, c.standbys()[1])
	for range 2 {
		c.must(c.primary.Execute(c.ctx, "SET synchronous_commit = local", "SELECT pg_switch_wal()", "CREATE TEMP TABLE t (n int)", "CHECKPOINT"))
	}
	c.must(away.StartSidecar())
	c.must(c.Until(c.ctx, "the clone is told of", rejoin, func() bool {
		e, told := c.event(watchdog.EventRejoined)
		return told && e.Reason == watchdog.ReasonClone
	}))
	c.voters(1, c.standbys()...)
	c.away(c.standbys()[1])
	c.voters(1, away)
	c.strike(c.primary.FreezeHost())
	fresh, err := c.WaitPrimary(c.ctx, soon, c.primary)
	c.must(err)
	if fresh != away {
		t.Errorf("%s took over", fresh.Name)
	}
	c.must(c.primary.ThawHost()) // until it is back commits wait: nobody else is left
	c.must(c.standbys()[1].StartSidecar())
	c.must(c.writer.WaitAck(c.ctx, rejoin, fresh, c.struck))
	c.wholeAgain()
}

// when_short block: commits wait, the record stays, and status says why.
func TestCommitsWaitWhenShort(t *testing.T) {
	c := quorum(t, 3)
	for _, n := range c.standbys() {
		c.away(n)
	}
	c.must(c.Until(c.ctx, "the primary says that commits wait", soon, func() bool {
		return strings.Contains(c.status(), "commits wait")
	}))
	since := time.Now()
	c.must(c.Until(c.ctx, "a while has passed", soon, func() bool { return time.Since(since) > rest }))
	if n := c.writer.SentAndAckedBy(c.primary, since); n > 0 {
		t.Errorf("%d writes were acknowledged without a standby", n)
	}
	if d := c.keys().Record.Durability; d.Mode != watchdog.ModeQuorum {
		t.Errorf("durability went to %s", d)
	}
	for _, n := range c.standbys() {
		c.must(n.StartSidecar())
	}
	c.must(c.writer.WaitAck(c.ctx, soon, c.primary, time.Now()))
	c.wholeAgain()
}

// when_short degrade: the record says async first, writes go on, and quorum is restored by itself.
func TestDegradesWhenShort(t *testing.T) {
	c := quorum(t, 3, "when_short: degrade", "degrade_after: 1s")
	for _, n := range c.standbys() {
		c.away(n)
	}
	c.must(c.Until(c.ctx, "the record degrades", soon, func() bool { return c.keys().Record.Durability.Mode == watchdog.ModeAsync }))
	c.must(c.writer.WaitAck(c.ctx, soon, c.primary, time.Now()))
	if e, told := c.event(watchdog.EventDurability); !told {
		t.Errorf("no event tells of it: %+v", e)
	}
	if said := c.status(); !strings.Contains(said, "async") {
		t.Errorf("status says nothing of async:\n%s", said)
	}
	for _, n := range c.standbys() {
		c.must(n.StartSidecar())
	}
	c.voters(1, c.standbys()...)
	c.wholeAgain()
}

// Durability is changed on a running cluster, there and back.
func TestDurabilityChangedOnARunningCluster(t *testing.T) {
	c := whole(t)
	c.policy(func(p *watchdog.Policy) { p.Durability = watchdog.ModeQuorum })
	c.voters(1, c.standbys()...)
	c.policy(func(p *watchdog.Policy) { p.K = 2 })
	c.voters(2, c.standbys()...)
	c.policy(func(p *watchdog.Policy) { p.Durability = watchdog.ModeAsync })
	c.must(c.Until(c.ctx, "async again, on the server too", soon, func() bool {
		return c.keys().Record.Durability.Mode == watchdog.ModeAsync && c.primary.Ask(c.ctx, "SELECT 'is:' || current_setting('synchronous_standby_names')") == "is:"
	}))
	c.strike(c.primary.KillPostmaster())
	c.takenOver()
	c.wholeAgain()
}

// Etcd is lost for a minute: by failsafe the primary goes on, and nobody notices.
func TestEtcdLostForAMinuteWithFailsafe(t *testing.T) {
	for _, mode := range []string{"async", "quorum"} {
		t.Run(mode, func(t *testing.T) {
			c := whole(t, func(o *lab.Options) { o.Policy = "durability: " + mode })
			for i := range 2 {
				c.strike(c.Etcd[i].Kill())
			}
			c.must(c.Until(c.ctx, "a minute has passed", 90*time.Second, func() bool { return time.Since(c.struck) > time.Minute }))
			c.must(c.writer.WaitAck(c.ctx, soon, c.primary, time.Now()))
			t.Logf("longest gap in a minute without etcd: %s", c.writer.Gap(c.struck))
			for i := range 2 {
				c.must(c.StartEtcd(i))
			}
			c.undisturbed(rest)
			if r := c.keys().Record; r.Term != 1 {
				t.Errorf("term %d: a failover", r.Term)
			}
			c.wholeAgain()
		})
	}
}

// Failsafe with one member that reaches etcd: in async the primary must be fenced, for that member may lead.
func TestFailsafeIsRefusedByAMemberThatReachesEtcd(t *testing.T) {
	c := interposed(t)
	primary := c.primary
	primary.BreakEtcd(func(l *faultline.Line) { l.Cut = true })
	c.struck = time.Now()
	c.must(c.Until(c.ctx, "the primary is fenced", soon, primary.ServerGone))
	c.takenOver()
	primary.BreakEtcd(func(l *faultline.Line) { l.Cut = false })
	c.settledWith(500)
}

// policy changes the policy that all members share.
func (c *cluster) policy(change func(*watchdog.Policy)) {
	c.t.Helper()
	keys := c.keys()
	p := *keys.Policy
	change(&p)
	_, err := c.Store.Apply(c.ctx, watchdog.Change{If: watchdog.If{PolicyRev: &keys.PolicyRev}, Policy: &p})
	c.must(err)
}

// A standby that is added under load becomes a voter behind the barrier, and counts in the next failover; one that is gone for
// good leaves no trace among the voters.
func TestStandbyAddedAndGoneUnderLoad(t *testing.T) {
	c := quorum(t, 3)
	old := c.standbys()
	added, err := c.Add(c.ctx, c.primary)
	c.must(err)
	c.writer.Include(added)
	c.voters(1, old[0], old[1], added)
	c.strike(c.primary.KillPostmaster())
	c.takenOver()
	primary, err := c.WaitWhole(c.ctx, rejoin)
	c.must(err)
	gone := added
	if gone == primary {
		gone = old[0]
	}
	c.away(gone)
	var left []*lab.Node
	for _, n := range c.Nodes {
		if n != gone && n != primary {
			left = append(left, n)
		}
	}
	c.voters(1, left...)
	c.must(c.Until(c.ctx, "its key is gone", soon, func() bool { _, there := c.keys().Members[gone.Name]; return !there }))
	if names := primary.Ask(c.ctx, "SELECT current_setting('synchronous_standby_names')"); strings.Contains(names, gone.Name+":") || strings.Contains(names, gone.Name+"\"") {
		t.Errorf("%s is gone, and commits wait for %s", gone.Name, names)
	}
	c.strike(primary.KillPostmaster())
	fresh, err := c.WaitPrimary(c.ctx, soon, primary)
	c.must(err)
	c.must(c.writer.WaitAck(c.ctx, soon, fresh, c.struck))
	c.must(gone.StartSidecar())
	c.wholeAgain()
}
