package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

// hookTold is an event as an operator's command reads it: the test shares no code with the sender.
type hookTold struct {
	Event, Member, Role, LSN string
	Term, Timeline           uint64
	OldPrimary               string `json:"old_primary"`
	NewPrimary               string `json:"new_primary"`
}

// hooked has every occasion noted, line by line, in <node>.hooks in the lab's directory.
func (c *cluster) hooked(more func(n *lab.Node) string) {
	for _, n := range c.Nodes {
		var b strings.Builder
		b.WriteString("hooks:\n")
		for _, kind := range []string{"on_start", "before_promote", "on_promote", "on_demote", "on_follow"} {
			fmt.Fprintf(&b, "  %s:\n", kind)
			if extra := more(n); extra != "" && kind == "before_promote" {
				fmt.Fprintf(&b, "  - %s\n", extra)
			}
			fmt.Fprintf(&b, "  - {command: [/bin/sh, -c, 'read line; echo \"$line\" >> %s', hook], timeout: 4s}\n", c.told(n))
		}
		n.Configure(b.String())
	}
}

func (c *cluster) told(n *lab.Node) string { return filepath.Join(c.Dir, n.Name+".hooks") }

// hooks are what the node's commands were told, in order.
func (c *cluster) hooks(n *lab.Node) (all []hookTold) {
	c.t.Helper()
	text, err := os.ReadFile(c.told(n))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		var e hookTold
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			c.t.Fatalf("%s: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

// heard waits until the node's commands were told so of that term, and returns what.
func (c *cluster) heard(n *lab.Node, event string, term uint64) (found hookTold) {
	c.t.Helper()
	c.must(c.Until(c.ctx, n.Name+" is told "+event, soon, func() bool {
		all := c.hooks(n)
		i := slices.IndexFunc(all, func(e hookTold) bool { return e.Event == event && e.Term == term })
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	}))
	return found
}

func TestHooksTellEachMemberOfItsRole(t *testing.T) {
	c := servers(t, lab.Options{})
	c.hooked(func(*lab.Node) string { return "" })
	c.must(c.StartSidecars())
	primary, err := c.WaitWhole(c.ctx, rejoin)
	c.must(err)
	c.primary = primary
	c.write()
	c.heard(primary, "on_promote", 1)
	for _, n := range c.standbys() {
		if e := c.heard(n, "on_follow", 1); e.NewPrimary != primary.Name {
			t.Errorf("%s follows %+v", n.Name, e)
		}
	}
	c.strike(primary.KillPostmaster())
	fresh := c.takenOver()
	if e := c.heard(fresh, "before_promote", 2); e.OldPrimary != primary.Name || e.NewPrimary != fresh.Name || e.Role != "standby" {
		t.Errorf("before the promotion: %+v", e)
	}
	if e := c.heard(fresh, "on_promote", 2); e.OldPrimary != primary.Name || e.NewPrimary != fresh.Name || e.Timeline != 2 || e.Role != "primary" || e.LSN == "0/0" {
		t.Errorf("after it: %+v", e)
	}
	if e := c.heard(primary, "on_demote", 1); e.OldPrimary != primary.Name || e.Role == "primary" {
		t.Errorf("the old primary: %+v", e)
	}
	for _, n := range c.Nodes {
		if n != fresh {
			c.heard(n, "on_follow", 2)
		}
	}
	// A sidecar that is started again finds its role told already.
	c.strike(fresh.Sidecar().Signal(syscall.SIGKILL))
	<-fresh.Sidecar().Exited()
	before := len(c.hooks(fresh))
	c.must(fresh.StartSidecar())
	c.must(c.Until(c.ctx, "on_start is told", soon, func() bool { return len(c.hooks(fresh)) > before }))
	c.primary = fresh
	c.undisturbed(rest)
	if all := c.hooks(fresh); len(all) != before+1 || all[before].Event != "on_start" {
		t.Errorf("told after a restart: %+v", all[before:])
	}
	c.wholeAgain()
}

// A required command that fails is its member's veto, and another is promoted: the other standby, or the old primary itself.
func TestBeforePromoteVetoes(t *testing.T) {
	c := servers(t, lab.Options{})
	refuses := c.Nodes[1]
	c.hooked(func(n *lab.Node) string {
		if n == refuses { // the heir by its name, where both standbys are as far
			return "{command: [/bin/sh, -c, 'echo asked >> " + filepath.Join(c.Dir, "veto") + "; exit 1'], required: true}"
		}
		return ""
	})
	c.must(c.StartSidecars())
	primary, err := c.WaitWhole(c.ctx, rejoin)
	c.must(err)
	c.primary = primary
	c.strike(primary.KillPostmaster())
	c.must(c.Until(c.ctx, "another is promoted", soon, func() bool {
		r := c.keys().Record
		return r.Term > 2 && r.Phase == watchdog.PhaseNormal && r.Primary != refuses.Name
	}))
	if text, err := os.ReadFile(filepath.Join(c.Dir, "veto")); err != nil || string(text) != "asked\n" {
		t.Errorf("asked: %q %v", text, err)
	}
	c.primary = c.Node(c.keys().Record.Primary)
	c.write()
	c.wholeAgain()
}
