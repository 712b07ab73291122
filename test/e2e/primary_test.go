package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

func TestPostmasterKilled(t *testing.T) {
	c := whole(t)
	c.strike(c.primary.KillPostmaster())
	c.takenOver()
	c.wholeAgain()
	e, told := c.event(watchdog.EventHandOver)
	if !told || e.Reason == "" || len(e.Candidates) != 2 || e.TimingsMS["noticed_to_hand_over"] == 0 {
		t.Errorf("the hand-over's event: %+v", e)
	}
}

func TestImmediateShutdownByHand(t *testing.T) {
	c := whole(t)
	c.strike(c.primary.StopImmediately())
	c.takenOver()
	c.wholeAgain()
}

// F48: a stopped postmaster, its sessions alive.
func TestPostmasterStopped(t *testing.T) {
	c := whole(t)
	c.strike(c.primary.StopPostmaster())
	c.takenOver()
	c.wholeAgain()
}

// F3, F4: server, sidecar and guard stop at once, and go on later with open sessions.
func TestHostFrozenAndThawed(t *testing.T) {
	c := whole(t)
	c.strike(c.primary.FreezeHost())
	c.takenOver()
	c.must(c.primary.ThawHost())
	c.must(c.WaitStreaming(c.ctx, rejoin, c.primary))
	promoted, _ := c.event(watchdog.EventPromoted)
	mayLose := 0
	if strings.Contains(promoted.Facts["lost_range"], "possibly lost") {
		mayLose = 500
	}
	c.settledWith(mayLose)
}

// F49: a backend that the dead postmaster leaves behind, committing in a loop.
func TestBackendLeftBehindByADeadPostmaster(t *testing.T) {
	c := whole(t)
	conn, err := c.primary.Connect(c.ctx)
	c.must(err)
	pid := int(conn.PgConn().PID())
	go func() {
		_, _ = conn.Exec(c.ctx, "DO $$ BEGIN LOOP INSERT INTO written (id) VALUES (-1) ON CONFLICT DO NOTHING; COMMIT; END LOOP; END $$")
	}()
	c.must(c.Until(c.ctx, "the loop runs", soon, func() bool {
		return c.primary.Ask(c.ctx, fmt.Sprintf("SELECT state FROM pg_stat_activity WHERE pid = %d", pid)) == "active"
	}))
	c.strike(c.primary.KillPostmaster())
	c.takenOver()
	if lab.Alive(pid) {
		t.Errorf("the backend %d outlived the fence", pid)
	}
	c.must(c.WaitStreaming(c.ctx, rejoin, c.primary))
}

// A backend killed by the kernel: PostgreSQL restarts itself, and comes up as a standby.
func TestBackendKilledByTheKernel(t *testing.T) {
	c := whole(t)
	c.strike(c.primary.KillBackend(c.ctx))
	c.takenOver()
	c.wholeAgain()
}

// F56: somebody starts the old primary by hand while another leads.
func TestPrimaryStartedAgainByHand(t *testing.T) {
	c := whole(t)
	old := c.primary
	c.strike(old.Sidecar().Kill())
	c.takenOver()
	c.must(c.Until(c.ctx, "the old server is fenced by its guard", soon, old.ServerGone))
	c.must(old.StartServer(c.ctx))
	if old.Ask(c.ctx, "SELECT pg_is_in_recovery()") != "true" {
		t.Error("it came up writable")
	}
	c.must(old.StartSidecar())
	c.must(c.WaitStreaming(c.ctx, rejoin, old))
	c.wholeAgain()
}

// F47: no connection is to be had; that is not death.
func TestConnectionSlotsExhausted(t *testing.T) {
	c := whole(t)
	var held []*pgx.Conn
	for {
		conn, err := c.primary.Connect(c.ctx)
		if err != nil {
			if !strings.Contains(err.Error(), "53300") {
				t.Fatal(err)
			}
			break
		}
		held = append(held, conn)
	}
	c.struck = time.Now()
	end := time.Now().Add(8 * time.Second)
	c.must(c.Until(c.ctx, "hang_after has passed three times", soon, func() bool { return time.Now().After(end) }))
	if r := c.keys().Record; r.Term != 1 {
		t.Errorf("a failover: %+v", r)
	}
	for _, conn := range held {
		_ = conn.Close(c.ctx)
	}
	c.undisturbed(time.Second)
}

// moreThanSocketsHold are rows for bulk, some 45 MB of WAL: a receiver's socket grows to 32 MB where tcp_rmem allows it, a sender's to 4.
const moreThanSocketsHold = 80000

// bulk commits rows that take some segments of WAL.
func (c *cluster) bulk(rows int) error {
	conn, err := c.primary.Connect(c.ctx)
	if err != nil {
		return err
	}
	defer conn.Close(c.ctx)
	_, err = conn.Exec(c.ctx, fmt.Sprintf("CREATE TABLE bulk AS SELECT i, repeat('x', 500) AS filler FROM generate_series(1, %d) i", rows))
	return err
}
