package e2e

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

func TestStandbyKilledDisturbsNobody(t *testing.T) {
	c := whole(t)
	c.strike(c.standbys()[0].KillPostmaster())
	c.undisturbed(rest)
	c.wholeAgain()
}

// F27: two standbys with the same position, one winner.
func TestEqualStandbysHaveOneWinner(t *testing.T) {
	c := whole(t)
	c.writer.Stop()
	c.strike(c.primary.FreezeHost())
	fresh, err := c.WaitPrimary(c.ctx, soon, c.primary)
	c.must(err)
	for _, n := range c.standbys() {
		if n != fresh && n.Ask(c.ctx, "SELECT pg_is_in_recovery()") != "true" {
			t.Errorf("%s is a primary too", n.Name)
		}
	}
	c.must(c.primary.ThawHost())
	c.settledWith(500) // async: what nobody had received when the host stopped
}

// F21, F28: the one that lags is not chosen by an election.
func TestLaggingStandbyIsNotChosen(t *testing.T) {
	c := whole(t)
	lagging, other := c.standbys()[0], c.standbys()[1]
	c.must(lagging.SignalTitled("walreceiver", syscall.SIGSTOP))
	c.must(c.bulk(moreThanSocketsHold))
	c.must(c.Until(c.ctx, "the other has it all", soon, func() bool {
		return other.Ask(c.ctx, "SELECT count(*) FROM bulk") == strconv.Itoa(moreThanSocketsHold)
	}))
	c.strike(c.primary.FreezeHost())
	c.must(lagging.SignalTitled("walreceiver", syscall.SIGCONT))
	if fresh := c.takenOver(); fresh != other {
		t.Errorf("%s won, and %s had more", fresh.Name, other.Name)
	}
	c.must(c.primary.ThawHost())
	c.settledWith(500)
}

// A veto chooses who may win and not what may be lost: the one that has more is barred, and gives the winner what it lacks.
func TestBarredStandbyGivesItsTail(t *testing.T) {
	for _, mode := range []string{"async", "quorum"} {
		t.Run(mode, func(t *testing.T) {
			c := whole(t, func(o *lab.Options) { o.Policy = "durability: " + mode })
			barred, other := c.standbys()[0], c.standbys()[1]
			barred.Configure("no_failover: true")
			c.must(barred.Sidecar().Kill())
			c.must(barred.StartSidecar())
			_, err := c.WaitWhole(c.ctx, rejoin)
			c.must(err)
			c.must(other.SignalTitled("walreceiver", syscall.SIGSTOP))
			c.must(c.bulk(moreThanSocketsHold))
			c.must(c.Until(c.ctx, "the barred one has it all", soon, func() bool {
				return barred.Ask(c.ctx, "SELECT count(*) FROM bulk") == strconv.Itoa(moreThanSocketsHold)
			}))
			c.strike(c.primary.FreezeHost())
			c.must(other.SignalTitled("walreceiver", syscall.SIGCONT))
			if fresh := c.takenOver(); fresh != other {
				t.Errorf("%s won, and it was barred", fresh.Name)
			}
			if got := other.Ask(c.ctx, "SELECT count(*) FROM bulk"); got != strconv.Itoa(moreThanSocketsHold) {
				t.Errorf("of %d rows the new primary has %q", moreThanSocketsHold, got)
			}
			c.must(c.primary.ThawHost())
			if mode == "async" {
				c.settledWith(500)
				return
			}
			c.wholeAgain()
		})
	}
}

// F21: paused replay hides what was received; it counts all the same, and the winner resumes.
func TestPausedReplay(t *testing.T) {
	c := whole(t)
	for _, n := range c.standbys() {
		n.Ask(c.ctx, "SELECT pg_wal_replay_pause()")
	}
	c.must(c.bulk(1000))
	c.strike(c.primary.KillPostmaster())
	fresh := c.takenOver()
	if got := fresh.Ask(c.ctx, "SELECT count(*) FROM bulk"); got != "1000" {
		t.Errorf("of 1000 rows the new primary has %q", got)
	}
	for _, n := range c.standbys() {
		if n != fresh {
			n.Ask(c.ctx, "SELECT pg_wal_replay_resume()")
		}
	}
	c.wholeAgain()
}

// F22: a report holds replay back on both standbys; they must hang up and promote all the same.
func TestLongQueryOnTheStandby(t *testing.T) {
	c := whole(t, func(o *lab.Options) { o.Settings = "max_standby_streaming_delay = -1" })
	c.must(c.bulk(1000))
	for _, n := range c.standbys() {
		c.must(c.Until(c.ctx, n.Name+" has the table", soon, func() bool { return n.Ask(c.ctx, "SELECT count(*) FROM bulk") == "1000" }))
		conn, err := n.Connect(c.ctx)
		c.must(err)
		_, err = conn.Exec(c.ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ")
		c.must(err)
		_, err = conn.Exec(c.ctx, "SELECT count(*) FROM bulk")
		c.must(err)
	}
	conn, err := c.primary.Connect(c.ctx)
	c.must(err)
	_, err = conn.Exec(c.ctx, "DROP TABLE bulk")
	c.must(err)
	for _, n := range c.standbys() {
		c.must(c.Until(c.ctx, n.Name+"'s replay is held back", soon, func() bool {
			return n.Ask(c.ctx, "SELECT pg_last_wal_replay_lsn() < pg_last_wal_receive_lsn()") == "true"
		}))
	}
	c.strike(c.primary.FreezeHost())
	c.takenOver()
	c.must(c.primary.ThawHost())
	for _, n := range c.standbys() {
		n.Ask(c.ctx, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()")
	}
	c.settledWith(500)
}

// F58: the winner's sidecar dies at each step of a promotion, and the cluster comes to rest all the same.
func TestSidecarKilledAtEachStepOfAPromotion(t *testing.T) {
	for _, step := range []string{"named", "detached", "taken", "trigger", "latch", "promoted"} {
		t.Run(step, func(t *testing.T) {
			c := whole(t)
			for _, n := range c.standbys() {
				n.Env("PGVIGIL_CRASH_AT=" + step)
				c.must(n.Sidecar().Kill())
				c.must(n.StartSidecar())
			}
			_, err := c.WaitWhole(c.ctx, rejoin)
			c.must(err)
			c.strike(c.primary.KillPostmaster())
			crashed := c.crashed(c.standbys())
			for _, n := range c.standbys() {
				n.Env()
			}
			c.must(crashed.StartSidecar())
			if _, err := c.WaitPrimary(c.ctx, rejoin); err != nil {
				// the other one, which would crash at the same step, may have been named meanwhile
				t.Log(err)
			}
			for _, n := range c.standbys() {
				if !n.Sidecar().Running() {
					c.must(n.StartSidecar())
				}
			}
			c.wholeAgain()
		})
	}
}

// crashed waits until one of the sidecars has ended.
func (c *cluster) crashed(nodes []*lab.Node) *lab.Node {
	c.t.Helper()
	var which *lab.Node
	c.must(c.Until(c.ctx, "a sidecar dies at its step", soon, func() bool {
		i := slices.IndexFunc(nodes, func(n *lab.Node) bool { return !n.Sidecar().Running() })
		if i >= 0 {
			which = nodes[i]
		}
		return which != nil
	}))
	return which
}

// F58, F59: the old primary's sidecar dies at each step of its way back, its WAL diverged.
func TestSidecarKilledAtEachStepOfARejoin(t *testing.T) {
	killedOnTheWayBack(t, "", "rejoin-start", "rejoin-receipt", "rejoin-rewind", "rewind-run", "rewind-restore", "rejoin-rewound")
}

// F59: the sidecar dies at each step of a clone.
func TestSidecarKilledAtEachStepOfAClone(t *testing.T) {
	killedOnTheWayBack(t, "wal_log_hints = off", "rejoin-clone", "clone-copy", "clone-swap", "clone-start", "clone-keep")
}

func killedOnTheWayBack(t *testing.T, settings string, steps ...string) {
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			c := whole(t, func(o *lab.Options) { o.Settings = settings })
			old := c.primary
			c.diverge()
			old.Env("PGVIGIL_CRASH_AT=" + step)
			c.must(old.StartSidecar())
			c.crashed([]*lab.Node{old})
			old.Env()
			c.must(old.StartSidecar())
			c.must(c.WaitStreaming(c.ctx, rejoin, old))
			c.settledWith(100000)
		})
	}
}

// diverge leaves the old primary's server stopped with WAL that nobody else has: its sidecar dies, its receivers are held,
// it goes on writing until its guard fences it, and another is elected.
func (c *cluster) diverge() {
	c.t.Helper()
	c.strike(c.primary.Sidecar().Kill())
	for _, n := range c.standbys() {
		c.must(n.SignalTitled("walreceiver", syscall.SIGSTOP))
	}
	c.must(c.bulk(moreThanSocketsHold))
	c.must(c.Until(c.ctx, "the guard fences", soon, c.primary.ServerGone))
	for _, n := range c.standbys() {
		_ = n.SignalTitled("walreceiver", syscall.SIGCONT)
	}
	c.takenOver()
}

// F24, F25: WAL that only the old primary had is kept as a receipt, and the server is rewound.
func TestDivergedPrimaryIsRewound(t *testing.T) {
	c := whole(t)
	old := c.primary
	c.diverge()
	c.must(old.StartSidecar())
	c.must(c.WaitStreaming(c.ctx, rejoin, old))
	receipts, _ := filepath.Glob(old.DataDir() + ".pgvigil/receipts/*")
	if len(receipts) == 0 {
		t.Error("no divergence receipt was kept")
	}
	if e, told := c.event(watchdog.EventRejoined); !told || !strings.Contains(e.Message, old.Name) {
		t.Errorf("the event: %+v", e)
	}
	c.settledWith(100000)
}

// A server that cannot be rewound is cloned beside and swapped, the old directory kept.
func TestServerThatCannotBeRewoundIsCloned(t *testing.T) {
	c := whole(t, func(o *lab.Options) { o.Settings = "wal_log_hints = off" })
	old := c.primary
	c.diverge()
	c.must(old.StartSidecar())
	c.must(c.WaitStreaming(c.ctx, rejoin, old))
	c.must(c.Until(c.ctx, "the old data directory is put aside", soon, func() bool {
		kept, _ := filepath.Glob(old.DataDir() + ".old-*")
		return len(kept) > 0
	}))
	c.settledWith(100000)
}

// F29: two winners in a row die while they promote.
func TestTwoWinnersInARowDieWhilePromoting(t *testing.T) {
	c := whole(t)
	for _, n := range c.standbys() {
		n.Env("PGVIGIL_CRASH_AT=taken")
		c.must(n.Sidecar().Kill())
		c.must(n.StartSidecar())
	}
	_, err := c.WaitWhole(c.ctx, rejoin)
	c.must(err)
	c.strike(c.primary.KillPostmaster())
	first := c.crashed(c.standbys())
	_ = first.KillPostmaster()
	rest := slices.DeleteFunc(c.standbys(), func(n *lab.Node) bool { return n == first })
	primary, err := c.WaitPrimary(c.ctx, rejoin, append(rest, first)...)
	if err != nil {
		c.crashed(rest)
		c.must(rest[0].KillPostmaster())
		primary, err = c.WaitPrimary(c.ctx, rejoin)
		c.must(err)
	}
	t.Logf("%s is primary after two that died", primary.Name)
	for _, n := range c.standbys() {
		n.Env()
		if !n.Sidecar().Running() {
			c.must(n.StartSidecar())
		}
	}
	c.wholeAgain()
}

// F60: a standby was away for so long that its primary has removed the WAL that it needs: it is cloned.
func TestStandbyWhoseWALIsGoneIsCloned(t *testing.T) {
	c := whole(t)
	away := c.standbys()[0]
	c.must(away.Sidecar().Kill())
	c.strike(away.StopImmediately())
	c.must(c.Until(c.ctx, "its server is gone", soon, away.ServerGone))
	for range 2 {
		c.must(c.primary.Execute(c.ctx, "SELECT pg_switch_wal()", "CREATE TEMP TABLE t (n int)", "CHECKPOINT"))
	}
	c.must(away.StartSidecar())
	c.must(c.WaitStreaming(c.ctx, rejoin, away))
	c.must(c.Until(c.ctx, "the clone is told of", rejoin, func() bool { // the copy streams before it is swapped in
		e, told := c.event(watchdog.EventRejoined)
		return told && e.Reason == watchdog.ReasonClone
	}))
	c.wholeAgain()
}
