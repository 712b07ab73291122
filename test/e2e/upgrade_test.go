package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

// An upgrade ends every sidecar in turn, as systemd does, and starts it again: lease, term, trust and guard are taken back, no
// server notices, and nothing changes hands.
func TestUpgradeOfEverySidecarInTurn(t *testing.T) {
	for _, mode := range []string{"async", "quorum"} {
		t.Run(mode, func(t *testing.T) {
			c := whole(t, func(o *lab.Options) { o.Policy = "durability: " + mode })
			before, started := c.keys(), map[*lab.Node]string{}
			for _, n := range c.Nodes {
				started[n] = n.Ask(c.ctx, "SELECT pg_postmaster_start_time()")
			}
			guards := c.primary.Guards()
			c.struck = time.Now()
			for _, n := range append(c.standbys(), c.primary) {
				c.must(n.Sidecar().Stop())
				if code := n.Sidecar().ExitCode(); code != 0 {
					t.Errorf("%s ended with %d", n.Name, code)
				}
				c.must(n.StartSidecar())
				c.must(c.WaitSidecar(c.ctx, soon, n))
				c.undisturbed(rest)
			}
			if !strings.Contains(c.primary.Sidecar().Output(), "term taken back") {
				t.Error("the primary's sidecar did not take its term back")
			}
			after := c.keys()
			for name, m := range before.Members {
				if a := after.Members[name]; a.CreateRev != m.CreateRev || a.Incarnation != m.Incarnation {
					t.Errorf("%s is registered anew: its lease was not taken back", name)
				}
			}
			if kept := c.primary.Guards(); len(guards) != 1 || len(kept) != 1 || kept[0] != guards[0] {
				t.Errorf("guards were %v, and are %v", guards, kept)
			}
			if after.Record.Term != before.Record.Term || after.Record.LastTaker != before.Record.LastTaker {
				t.Errorf("term %d of %+v became %d of %+v", before.Record.Term, before.Record.LastTaker, after.Record.Term, after.Record.LastTaker)
			}
			for n, at := range started {
				if now := n.Ask(c.ctx, "SELECT pg_postmaster_start_time()"); now != at {
					t.Errorf("the server of %s was restarted: %s, %s", n.Name, at, now)
				}
			}
			if e, changed := c.event(watchdog.EventDurability); changed {
				t.Errorf("durability was changed: %s", e.Message)
			}
			t.Logf("longest gap between two acknowledged writes: %s", c.writer.Gap(c.struck).Round(time.Millisecond))
			c.wholeAgain()
		})
	}
}
