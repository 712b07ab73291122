package e2e

import (
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
)

// A scheduled switchover outlives a restart of the primary's sidecar and a change of leader, blocks nothing, and begins when
// its time has come.
func TestScheduledSwitchover(t *testing.T) {
	c := whole(t)
	before := c.keys().Record
	a, err := c.switchover("--at", "+20s")
	c.must(err)
	if !a.OK || !strings.Contains(a.Message, "scheduled for") {
		t.Fatalf("%+v", a)
	}
	if said := c.status(); !strings.Contains(said, "is scheduled for") {
		t.Errorf("status: %s", said)
	}
	if _, err := c.switchover(); err == nil || !strings.Contains(err.Error(), a.Operation) || !strings.Contains(err.Error(), "--cancel") {
		t.Errorf("another: %v", err)
	}
	if dry, err := c.switchover("--dry-run"); err != nil || !dry.OK {
		t.Errorf("a dry run meanwhile: %+v %v", dry, err)
	}
	leader := c.Node(c.keys().Leader)
	c.must(leader.Sidecar().Kill())
	c.must(leader.StartSidecar())
	c.must(c.primary.Sidecar().Stop())
	c.must(c.primary.StartSidecar())
	c.must(c.WaitSidecar(c.ctx, soon, c.primary))
	fresh, err := c.WaitPrimary(c.ctx, rejoin, c.primary)
	c.must(err)
	c.must(c.writer.WaitAck(c.ctx, soon, fresh, c.struck))
	e, found := c.event(watchdog.EventHandOver)
	if r := c.keys().Record; !found || e.Facts["operation"] != a.Operation || r.Term != before.Term+1 || r.Scheduled != nil || r.Operation != nil {
		t.Errorf("%+v; the record is %+v", e, r)
	}
	c.wholeAgain()
}

// A term that ends takes what was scheduled in it with it, and says so; what is withdrawn is gone.
func TestScheduledSwitchoverThatDoesNotBegin(t *testing.T) {
	c := whole(t)
	_, err := c.switchover("--at", "+3h")
	c.must(err)
	if a, err := c.switchover("--cancel"); err != nil || !a.OK || c.keys().Record.Scheduled != nil {
		t.Fatalf("withdrawn: %+v %v", a, err)
	}
	later, err := c.switchover("--at", "+3h")
	c.must(err)
	c.strike(c.primary.KillPostmaster())
	c.takenOver()
	c.must(c.Until(c.ctx, "it is dropped", soon, func() bool { return c.keys().Record.Scheduled == nil }))
	e, told := c.event(watchdog.EventOperation)
	if !told || e.Reason != watchdog.ReasonOperationFailed || e.Facts["operation"] != later.Operation || !strings.Contains(e.Message, "which is over") {
		t.Errorf("%+v", e)
	}
	c.wholeAgain()
}
