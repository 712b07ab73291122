package e2e

import (
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

// behind stops the standbys' receivers, and has the primary commit much that they do not get, beside what the writer writes.
func (c *cluster) behind() {
	c.t.Helper()
	for _, n := range c.standbys() {
		c.must(n.SignalTitled("walreceiver", syscall.SIGSTOP))
	}
	c.must(c.bulk(moreThanSocketsHold))
}

// crash kills the primary's postmaster, and lets the receivers go on, with what the kernel holds for them and no more.
func (c *cluster) crash() {
	c.t.Helper()
	c.strike(c.primary.KillPostmaster())
	for _, n := range c.standbys() {
		c.must(n.SignalTitled("walreceiver", syscall.SIGCONT))
	}
}

// The tail: a receiver stopped before the crash has none of what was committed since, and with room to fetch it in nothing is
// lost.
func TestReceiverStoppedBeforeTheCrash(t *testing.T) {
	c := whole(t, func(o *lab.Options) { o.Policy = "tail_wait: 40s\npromote_wait: 50s" })
	c.behind()
	c.crash()
	fresh := c.takenOver()
	if got := fresh.Ask(c.ctx, "SELECT count(*) FROM bulk"); got != strconv.Itoa(moreThanSocketsHold) {
		t.Errorf("of %d rows the new primary has %q", moreThanSocketsHold, got)
	}
	if e, told := c.event(watchdog.EventPromoted); !told || e.Loss == nil || !e.Loss.Nothing || !strings.Contains(e.Facts["tail"], c.primary.Name) {
		t.Errorf("the promotion's event: %+v", e)
	}
	c.wholeAgain()
}

// The old primary's sidecar takes the request for its tail, and its answer never arrives: the failover does not wait for it,
// and every acknowledged row that is lost lies in the range that is reported.
func TestTailThatNeverArrives(t *testing.T) {
	c := servers(t, lab.Options{})
	line, err := c.primary.InterposeAPI()
	c.must(err)
	c.must(c.StartSidecars())
	c.primary, err = c.WaitWhole(c.ctx, rejoin)
	c.must(err)
	c.write()
	old := c.primary
	c.behind()
	line.Set(func() { line.Mute = true })
	c.crash()
	c.takenOver()
	e, told := c.event(watchdog.EventPromoted)
	if !told || e.Loss == nil || e.Loss.Nothing || e.Loss.On != old.Name || len(e.Loss.Timelines) != 1 || e.Loss.From >= e.Loss.To {
		t.Fatalf("the promotion's event: %+v, %+v", e, e.Loss)
	}
	line.Set(func() { line.Cut = true }) // what was swallowed would never come
	line.Set(func() { line.Cut, line.Mute = false, false })
	primary, err := c.WaitWhole(c.ctx, rejoin)
	c.must(err)
	c.writer.Stop()
	v, err := c.writer.Verify(c.ctx, primary)
	c.must(err)
	if len(v.Lost) == 0 || len(v.Phantom) > 0 {
		t.Errorf("of %d acknowledged rows %d are lost, and %d were never written: the fault did not hit", v.Acked, len(v.Lost), len(v.Phantom))
	}
	for _, id := range v.Lost {
		if from, to := c.writer.Committed(id); from == 0 || from >= e.Loss.To || to != 0 && to <= e.Loss.From {
			t.Errorf("row %d was committed between %s and %s, and is lost: reported is %s", id, from, to, e.Loss)
		}
	}
	t.Logf("of %d acknowledged rows %d are lost: %s", v.Acked, len(v.Lost), e.Loss)
}
