package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

// answer is what switchover -o json says.
type answer struct {
	Operation, Message, From, To string
	OK                           bool
	GapMS                        float64 `json:"gap_ms"`
}

// switchover runs the command, and returns what it says; an error is what it says without an outcome.
func (c *cluster) switchover(args ...string) (answer, error) {
	return c.switchoverThrough(strings.Join(c.Endpoints(), ","), args...)
}

// switchoverThrough is switchover by a client that knows these endpoints of etcd.
func (c *cluster) switchoverThrough(endpoints string, args ...string) (answer, error) {
	said, err := c.CommandThrough(endpoints, "switchover", append([]string{"--yes", "-o", "json"}, args...)...)
	var a answer
	if json.NewDecoder(strings.NewReader(said)).Decode(&a) == nil {
		return a, nil
	}
	return a, fmt.Errorf("%w: %s", err, said)
}

func TestSwitchovers(t *testing.T) {
	for _, mode := range []string{"async", "quorum"} {
		t.Run(mode, func(t *testing.T) {
			c := whole(t, func(o *lab.Options) { o.Policy = "durability: " + mode })
			rounds := 6
			if testing.Short() {
				rounds = 2
			}
			for i := range rounds {
				to := c.standbys()[i%2]
				a, err := c.switchover("--to", to.Name)
				c.must(err)
				if !a.OK || a.To != to.Name {
					t.Fatalf("to %s: %+v", to.Name, a)
				}
				t.Log(a.Message)
				c.primary, err = c.WaitWhole(c.ctx, rejoin)
				c.must(err)
			}
			if _, rewound := c.event(watchdog.EventRejoined); rewound {
				t.Error("an old primary had to be rewound or cloned")
			}
			c.wholeAgain()
		})
	}
}

// What speaks against it is said, nothing is done, and it can be ignored.
func TestSwitchoverIsRefusedAndSaysWhy(t *testing.T) {
	c := whole(t)
	refused := func(words string, args ...string) {
		t.Helper()
		a, err := c.switchover(args...)
		if err != nil {
			a.Message = err.Error()
		}
		if a.OK || !strings.Contains(a.Message, words) {
			t.Errorf("%v: %+v, want %q", args, a, words)
		}
	}
	refused("is no member", "--to", "node9")
	refused("is the primary already", "--to", c.primary.Name)
	if a, err := c.switchover("--dry-run"); err != nil || !a.OK || !strings.Contains(a.Message, "would hand over") {
		t.Errorf("dry run: %+v %v", a, err)
	}
	conn, err := c.primary.Connect(c.ctx)
	c.must(err)
	defer conn.Close(c.ctx)
	_, err = conn.Exec(c.ctx, "BEGIN")
	c.must(err)
	c.must(c.Until(c.ctx, "the transaction is old", soon, func() bool {
		return c.primary.Ask(c.ctx, "SELECT count(*) FROM pg_stat_activity WHERE xact_start < now() - interval '10 seconds' AND state = 'idle in transaction'") == "1"
	}))
	refused("--ignore transactions")
	c.undisturbed(rest)
	if a, err := c.switchover("--ignore", "transactions"); err != nil || !a.OK {
		t.Errorf("ignored: %+v %v", a, err)
	}
	c.wholeAgain()
}

// A shutdown that does not come to an end: the old primary is put back into service.
func TestSwitchoverWhoseShutdownHangsIsPutBack(t *testing.T) {
	c := whole(t)
	c.strike(c.primary.SignalTitled("walwriter", syscall.SIGSTOP)) // the postmaster waits for it
	a, err := c.switchover("--shutdown-timeout", "2s")
	c.must(err)
	if a.OK || a.To != c.primary.Name || !strings.Contains(a.Message, "put back") {
		t.Errorf("%+v", a)
	}
	c.must(c.writer.WaitAck(c.ctx, soon, c.primary, c.struck))
	c.wholeAgain()
}

// F64: twenty commands at once, from three clients that each reach another member of etcd: one is carried out, and the others
// are told by whom.
func TestTwentySwitchoversAtOnce(t *testing.T) {
	c := whole(t)
	before := c.keys().Record
	c.struck = time.Now()
	var mu sync.Mutex
	var all sync.WaitGroup
	done, told := 0, 0
	for i := range 20 {
		all.Go(func() {
			a, err := c.switchoverThrough(c.Endpoints()[i%3], "--from", c.primary.Name)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && a.OK:
				done++
			case err != nil && (strings.Contains(err.Error(), "is under way") || strings.Contains(err.Error(), "nobody is primary") || strings.Contains(err.Error(), "is not the primary")):
				told++
			default:
				t.Logf("%+v %v", a, err)
			}
		})
	}
	all.Wait()
	if done != 1 || told != 19 {
		t.Errorf("%d were carried out, %d told", done, told)
	}
	c.wholeAgain()
	if r := c.keys().Record; r.Term != before.Term+1 {
		t.Errorf("term %d became %d", before.Term, r.Term)
	}
}

// The primary's sidecar dies at each phase: done by another way, or not begun; nothing lost.
func TestSidecarKilledAtEachStepOfASwitchover(t *testing.T) {
	for _, step := range []string{"switchover-check", "switchover-checkpoint", "switchover-stop", "switchover-stopped", "hand-over", "handed-over"} {
		t.Run(step, func(t *testing.T) {
			c := whole(t)
			c.primary.Env("PGVIGIL_CRASH_AT=" + step)
			c.must(c.primary.Sidecar().Kill())
			c.must(c.primary.StartSidecar())
			_, err := c.WaitWhole(c.ctx, rejoin)
			c.must(err)
			_, err = c.Command("switchover", "--yes", "--wait", "0")
			c.must(err)
			c.crashed([]*lab.Node{c.primary})
			c.primary.Env()
			c.must(c.primary.StartSidecar())
			c.wholeAgain()
			if o := c.keys().Record.Operation; o != nil && step != "switchover-check" {
				c.must(c.Until(c.ctx, "the operation ends", soon, func() bool { return c.keys().Record.Operation == nil }))
			}
		})
	}
}

// The leader, and the one that is to take over, die at each phase that the record shows: done, put back, or done by another, and
// nothing lost.
func TestOthersKilledDuringASwitchover(t *testing.T) {
	phases := map[string]func(r *watchdog.Record) bool{
		"asked": func(r *watchdog.Record) bool { return r.Operation != nil },
		"named": func(r *watchdog.Record) bool { return r.Phase == watchdog.PhasePromoting },
		"taken": func(r *watchdog.Record) bool { return r.Phase == watchdog.PhasePromoting && r.Taken },
	}
	for _, who := range []string{"leader", "candidate"} {
		for phase, reached := range phases {
			t.Run(who+", "+phase, func(t *testing.T) {
				c := whole(t, func(o *lab.Options) { o.Policy = "durability: quorum" })
				before := c.keys()
				leader := c.Node(before.Leader)
				victim, to := leader, leader
				for _, n := range c.standbys() {
					if n != leader {
						to = n
					}
				}
				if who == "candidate" {
					victim = to
				}
				c.strike(nil)
				_, err := c.Command("switchover", "--yes", "--wait", "0", "--to", to.Name)
				c.must(err)
				c.must(c.Until(c.ctx, "it has come so far", soon, func() bool {
					keys, err := c.Read(c.ctx)
					return err == nil && keys.Record != nil && (reached(keys.Record) || keys.Record.Term > before.Record.Term && keys.Record.Phase == watchdog.PhaseNormal)
				}))
				c.must(victim.Sidecar().Kill())
				_ = victim.KillPostmaster()
				c.must(c.Until(c.ctx, "the operation ends", soon, func() bool { return c.keys().Record.Operation == nil }))
				c.must(victim.StartSidecar())
				c.wholeAgain()
			})
		}
	}
}

// An election in quorum that lacks a voter waits, and says for whom; an operator may accept the loss.
func TestFailoverByHand(t *testing.T) {
	c := quorum(t, 3)
	gone, left := c.standbys()[0], c.standbys()[1]
	c.must(gone.Sidecar().Kill())
	c.must(gone.StopImmediately())
	c.strike(c.primary.FreezeHost())
	c.must(c.Until(c.ctx, "an election that waits", rejoin, func() bool {
		said, err := c.Command("failover")
		return err != nil && strings.Contains(said, "accept-data-loss") && strings.Contains(said, gone.Name) && strings.Contains(said, " transaction")
	}))
	if said, _ := c.Command("explain"); !strings.Contains(said, "waits") {
		t.Errorf("explain: %s", said)
	}
	said, err := c.Command("failover", "--to", left.Name, "--accept-data-loss")
	if err != nil || !strings.Contains(said, left.Name+" is primary") {
		t.Fatalf("%s %v", said, err)
	}
	c.must(c.primary.ThawHost())
	c.must(gone.StartSidecar())
	c.must(c.writer.WaitAck(c.ctx, rejoin, left, c.struck))
	c.settledWith(500)
}
