package e2e

import (
	"syscall"
	"testing"

	"github.com/pgvigil/pgvigil/test/lab"
)

// A sidecar that is back in time takes lease and guard back: PostgreSQL does not notice.
func TestSidecarKilledAndBackInTime(t *testing.T) {
	c := whole(t)
	started := c.primary.Ask(c.ctx, "SELECT pg_postmaster_start_time()")
	c.strike(c.primary.Sidecar().Kill())
	c.must(c.primary.StartSidecar())
	c.undisturbed(2 * rest)
	if again := c.primary.Ask(c.ctx, "SELECT pg_postmaster_start_time()"); again != started {
		t.Errorf("the server was restarted: %s, %s", started, again)
	}
	c.wholeAgain()
}

// F3: one that is not is replaced by its guard, which fences.
func TestSidecarKilledForGood(t *testing.T) {
	c := whole(t)
	c.strike(c.primary.Sidecar().Kill())
	c.takenOver()
	if !c.primary.ServerGone() {
		t.Error("another is primary, and the old server lives")
	}
	c.must(c.primary.StartSidecar())
	c.must(c.WaitStreaming(c.ctx, rejoin, c.primary))
	c.settledWith(500)
}

// F3: the sidecar alone is stopped past the TTL, and goes on.
func TestSidecarStoppedPastTheTTL(t *testing.T) {
	c := whole(t)
	c.strike(c.primary.Sidecar().Signal(syscall.SIGSTOP))
	c.takenOver()
	if !c.primary.ServerGone() {
		t.Error("another is primary, and the old server lives")
	}
	c.must(c.primary.Sidecar().Signal(syscall.SIGCONT))
	c.must(c.WaitStreaming(c.ctx, rejoin, c.primary))
	c.settledWith(500)
}

// The leader's sidecar dies: nothing happens, and the next fault finds another leader.
func TestLeadersSidecarKilled(t *testing.T) {
	c := whole(t)
	leader := c.standbyCalled(c.keys().Leader)
	c.strike(leader.Sidecar().Kill())
	c.undisturbed(rest)
	c.must(c.Until(c.ctx, "another leads", soon, func() bool {
		keys, err := c.Read(c.ctx)
		return err == nil && keys.Leader != "" && keys.Leader != leader.Name
	}))
	c.must(leader.StartSidecar())
	c.wholeAgain()
}

// No guard, no primary; but a guard that is killed is replaced at once.
func TestGuardKilledIsReplaced(t *testing.T) {
	c := whole(t)
	c.strike(c.primary.KillGuards())
	c.undisturbed(rest)
	if err := c.primary.KillGuards(); err != nil {
		t.Errorf("no guard has taken its place: %v", err)
	}
	c.undisturbed(rest)
	c.wholeAgain()
}

// F65: a second sidecar with a name in use is refused, and PostgreSQL left as it is.
func TestTwoSidecarsWithOneName(t *testing.T) {
	c := whole(t)
	p, err := c.Impostor(c.standbys()[0], c.standbys()[1])
	c.must(err)
	c.must(c.Until(c.ctx, "it is refused", soon, func() bool { return !p.Running() }))
	if p.ExitCode() != 6 {
		t.Errorf("exit code %d: %s", p.ExitCode(), p.Output())
	}
	c.undisturbed(rest)
	c.wholeAgain()
}

var _ = lab.Name
