package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

// said runs a command that must succeed.
func (c *cluster) said(command string, args ...string) string {
	c.t.Helper()
	said, err := c.Command(command, args...)
	if err != nil {
		c.t.Fatalf("%s %v: %v: %s", command, args, err, said)
	}
	return said
}

// set appends lines to a node's postgresql.conf.
func (c *cluster) set(n *lab.Node, lines string) {
	c.t.Helper()
	f, err := os.OpenFile(filepath.Join(n.DataDir(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	c.must(err)
	_, err = f.WriteString(lines + "\n")
	c.must(err)
	c.must(f.Close())
}

// Settings on every node, reloaded, and restarted one after the other where they wait for it: the primary last, by a
// switchover, with nothing lost.
func TestReloadAndRollingRestart(t *testing.T) {
	for _, mode := range []string{"async", "quorum"} {
		t.Run(mode, func(t *testing.T) {
			c := whole(t, func(o *lab.Options) { o.Policy = "durability: " + mode })
			for _, n := range c.Nodes {
				c.set(n, "work_mem = '7MB'\nmax_locks_per_transaction = 77")
			}
			said := c.said("reload")
			for _, n := range c.Nodes {
				if !strings.Contains(said, "reload of "+n.Name+": settings that changed: work_mem; that wait for a restart: max_locks_per_transaction") {
					t.Errorf("reload says %q", said)
				}
			}
			old := c.primary
			said = c.said("restart", "--rolling", "--pending", "--yes")
			if !strings.Contains(said, "restart of "+old.Name) || !strings.Contains(said, "took over") {
				t.Errorf("restart says %q", said)
			}
			for _, n := range c.Nodes {
				if got := n.Ask(c.ctx, "SELECT current_setting('max_locks_per_transaction')"); got != "77" {
					t.Errorf("%s has %s", n.Name, got)
				}
			}
			if said = c.said("restart", "--rolling", "--pending", "--yes"); strings.Count(said, "no setting waits for a restart") != 3 {
				t.Errorf("again: %q", said)
			}
			if c.keys().Record.Term != 2 {
				t.Errorf("%+v", c.keys().Record)
			}
			c.wholeAgain()
		})
	}
}

// The primary is restarted in place: it takes the next term itself.
func TestRestartOfThePrimaryInPlace(t *testing.T) {
	c := whole(t)
	said := c.said("restart", "--in-place", "--yes", c.primary.Name)
	if !strings.Contains(said, "in place") || c.keys().Record.Primary != c.primary.Name || c.keys().Record.Term != 2 {
		t.Errorf("%s: %+v", said, c.keys().Record)
	}
	c.wholeAgain()
}

// What is wrong in the settings is said, with file and line, and nothing is reloaded.
func TestReloadOfWrongSettings(t *testing.T) {
	c := whole(t)
	standby := c.standbys()[0]
	c.set(standby, "work_mem = much")
	said, err := c.Command("reload", standby.Name)
	if err == nil || !strings.Contains(said, "postgresql.conf:") || !strings.Contains(said, "work_mem") {
		t.Errorf("%v: %s", err, said)
	}
	c.wholeAgain()
}

// A voter is cloned anew: taken out of the voters first, and one again when it streams; what it had is kept beside.
func TestReinit(t *testing.T) {
	c := quorum(t, 3)
	standbys := c.standbys()
	c.voters(1, standbys...)
	if said, err := c.Command("reinit", "--yes", c.primary.Name); err == nil || !strings.Contains(said, "is the primary") {
		t.Errorf("the primary: %s", said)
	}
	c.said("reinit", "--yes", standbys[0].Name)
	kept, err := filepath.Glob(standbys[0].DataDir() + ".old-*")
	if err != nil || len(kept) != 1 {
		t.Errorf("kept beside: %v %v", kept, err)
	}
	c.voters(1, standbys...)
	c.away(standbys[0])
	c.voters(1, standbys[1])
	if said, err := c.Command("reinit", "--yes", standbys[1].Name); err == nil || !strings.Contains(said, "is a voter") {
		t.Errorf("the last voter: %s", said)
	}
	c.must(standbys[0].StartSidecar())
	c.wholeAgain()
}

// The sidecar dies at each step of a restart: its server is brought back, and the command is told.
func TestSidecarKilledInARestart(t *testing.T) {
	for _, step := range []string{"restart-stop", "restart-start"} {
		t.Run(step, func(t *testing.T) {
			c := whole(t)
			standby := c.standbys()[0]
			c.must(standby.Sidecar().Kill())
			standby.Env("PGVIGIL_CRASH_AT=" + step)
			c.must(standby.StartSidecar())
			_, err := c.WaitWhole(c.ctx, rejoin)
			c.must(err)
			result := make(chan error, 1)
			go func() {
				_, err := c.Command("restart", "--yes", standby.Name)
				result <- err
			}()
			c.crashed([]*lab.Node{standby})
			standby.Env()
			c.must(standby.StartSidecar())
			if err := <-result; err != nil {
				t.Errorf("restart: %v", err)
			}
			if e, told := c.event(watchdog.EventOperation); !told {
				t.Errorf("%+v", e)
			}
			c.wholeAgain()
		})
	}
}

// A voter is removed: it is no voter and no member any more, its server goes on, and its sidecar has ended.
func TestRemove(t *testing.T) {
	c := quorum(t, 3)
	standbys := c.standbys()
	c.voters(1, standbys...)
	if said, err := c.Command("remove", "--yes", c.primary.Name); err == nil || !strings.Contains(said, "is the primary") {
		t.Errorf("the primary: %s", said)
	}
	c.said("remove", "--yes", standbys[0].Name)
	c.voters(1, standbys[1])
	<-standbys[0].Sidecar().Exited()
	if said := c.status(); strings.Contains(said, standbys[0].Name) || standbys[0].Ask(c.ctx, "SELECT pg_is_in_recovery()") != "true" {
		t.Errorf("status shows it, or its server is gone: %s", said)
	}
	if said, err := c.Command("remove", "--yes", standbys[1].Name); err == nil || !strings.Contains(said, "is a voter") {
		t.Errorf("the last voter: %s", said)
	}
	c.undisturbed(rest)
}

// One that is gone for good is forgotten, and joins again if it comes back.
func TestRemoveOfOneThatIsGone(t *testing.T) {
	c := whole(t)
	gone := c.standbys()[0]
	c.away(gone)
	c.must(c.Until(c.ctx, "its lease has ended", soon, func() bool { return len(c.keys().Members) == 2 }))
	c.said("remove", "--yes", gone.Name)
	if members := c.keys().Record.Members; len(members) != 2 {
		t.Errorf("members: %v", members)
	}
	c.undisturbed(rest)
	c.must(gone.StartSidecar())
	c.wholeAgain()
}
