package e2e

import (
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Paused: a crash waits, a switchover by hand does not, and what waited is done on resumption with nothing lost.
func TestPausedAndResumed(t *testing.T) {
	c := whole(t)
	if said, err := c.Command("pause", "--reason", "new kernel"); err != nil || !strings.Contains(said, "new kernel") || strings.Contains(said, "not read yet") {
		t.Fatalf("pause: %s %v", said, err)
	}
	if said, err := c.Command("pause"); err == nil || !strings.Contains(said, "already") {
		t.Errorf("paused twice: %s", said)
	}
	to := c.standbys()[0]
	if a, err := c.switchover("--to", to.Name); err != nil || !a.OK {
		t.Fatalf("a switchover by hand: %+v %v", a, err)
	}
	var err error
	c.primary, err = c.WaitWhole(c.ctx, rejoin) // the old primary follows: that belongs to it
	c.must(err)
	if c.primary != to {
		t.Fatalf("%s is primary", c.primary.Name)
	}
	c.must(c.Until(c.ctx, "both sidecars have seen them stream", soon, func() bool { return strings.Count(c.status(), " streaming ") == 2 }))
	term := c.keys().Record.Term
	standby := c.standbys()[0]
	c.must(standby.StopImmediately())
	c.strike(c.primary.KillPostmaster())
	c.must(c.Until(c.ctx, "the hand-over waits", soon, func() bool { return strings.Contains(c.status(), "waits until it is resumed") }))
	c.rest(rest)
	if r := c.keys().Record; r.Term != term {
		t.Errorf("paused, and term %d has begun: %+v", r.Term, r)
	}
	if standby.Ask(c.ctx, "SELECT 1") != "" {
		t.Errorf("paused, and %s was started", standby.Name)
	}
	said, err := c.Command("resume")
	c.must(err)
	if !strings.Contains(said, "resumed") {
		t.Errorf("resume: %s", said)
	}
	c.must(c.Until(c.ctx, "the next term is at rest", soon, func() bool { // the one that handed over may be elected: all of it is there
		r := c.keys().Record
		return r.Term > term && r.Phase == watchdog.PhaseNormal
	}))
	fresh, err := c.WaitPrimary(c.ctx, soon)
	c.must(err)
	c.must(c.writer.WaitAck(c.ctx, soon, fresh, c.struck))
	c.wholeAgain()
}

// The time limit ends a pause.
func TestAPauseEndsByItself(t *testing.T) {
	c := whole(t)
	_, err := c.Command("pause", "--for", "3s")
	c.must(err)
	c.must(c.Until(c.ctx, "the pause is over", soon, func() bool { return c.keys().Record.Paused == nil }))
	if e, told := c.event(watchdog.EventResumed); !told || e.Reason != watchdog.ReasonPauseOver {
		t.Errorf("%+v", e)
	}
	c.strike(c.primary.KillPostmaster())
	c.takenOver()
	c.wholeAgain()
}
