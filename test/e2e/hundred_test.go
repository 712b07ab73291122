package e2e

import (
	"context"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// switchovers is how many are done in a row: a few, or as many as PGVIGIL_TEST_SWITCHOVERS says.
func switchovers(t *testing.T) int {
	t.Helper()
	said := os.Getenv("PGVIGIL_TEST_SWITCHOVERS")
	if said == "" {
		return 5
	}
	n, err := strconv.Atoi(said)
	if err != nil || n < 1 {
		t.Fatalf("PGVIGIL_TEST_SWITCHOVERS is %q: give a number", said)
	}
	return n
}

// One after another, while sessions write without pause: each is done or put back, and nothing that was acknowledged is lost.
func TestSwitchoversInARow(t *testing.T) {
	rounds := switchovers(t)
	c := whole(t)
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithTimeout(t.Context(), rejoin+time.Duration(rounds)*soon)
	defer cancel()
	var gaps []time.Duration
	putBack := 0
	term := c.keys().Record.Term
	for i := range rounds {
		c.struck = time.Now()
		a, err := c.switchover()
		c.must(err)
		switch {
		case a.OK && a.To != c.primary.Name:
		case !a.OK && a.To == c.primary.Name:
			putBack++
			t.Logf("%d: %s", i+1, a.Message)
		default:
			t.Fatalf("%d is neither done nor put back: %+v", i+1, a)
		}
		c.primary, err = c.WaitWhole(c.ctx, rejoin)
		c.must(err)
		if c.primary.Name != a.To {
			t.Fatalf("%d: %s is primary, and it was said that %s is", i+1, c.primary.Name, a.To)
		}
		c.must(c.writer.WaitAck(c.ctx, soon, c.primary, c.struck))
		gaps = append(gaps, c.writer.Gap(c.struck))
	}
	if r := c.keys().Record; r.Term != term+watchdog.Term(rounds) {
		t.Errorf("%d switchovers took the cluster from term %d to %d", rounds, term, r.Term)
	}
	c.wholeAgain()
	slices.Sort(gaps)
	t.Logf("%d switchovers, %d of them put back: the longest gap between two acknowledged writes was %s in the median, %s at worst; %d writes acknowledged",
		rounds, putBack, gaps[len(gaps)/2].Round(time.Millisecond), gaps[len(gaps)-1].Round(time.Millisecond), c.writer.Acked())
}
