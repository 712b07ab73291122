package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

// receivers are a webhook, a command and the real Alertmanager, which a test makes hang and kills.
type receivers struct {
	t       *testing.T
	hook    *process
	hooked  func() *inbox
	manager *alertmanager
	dir     string // the command's
	config  string
}

func startReceivers(t *testing.T) *receivers {
	t.Helper()
	r := &receivers{t: t, manager: startAlertmanager(t), dir: open(t)}
	var address string
	address, r.hook, r.hooked = hookProcess(t)
	secret := filepath.Join(r.dir, "secret")
	if err := os.WriteFile(secret, []byte(hookSecret+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// It says which process it is, and hangs as long as there is a file 'hang'.
	script := `echo $$ > "$0/pid"; while [ -e "$0/hang" ]; do sleep 0.05; done; cat >> "$0/alerts"`
	r.config = fmt.Sprintf("alerts:\n- {name: hook, type: webhook, url: %q, secret_file: %q, severity: info, timeout: 4s}\n"+
		"- {name: page, type: command, command: [/bin/sh, -c, '%s', %q], severity: info, timeout: 4s}\n"+
		"- {name: am, type: alertmanager, url: 'http://%s', timeout: 4s}\n", address, secret, script, r.dir, r.manager.address)
	return r
}

func (r *receivers) paged() *inbox { return inboxOf(r.t, filepath.Join(r.dir, "alerts")) }

// hang stops them all: what is sent to them is on its way.
func (r *receivers) hang() {
	r.t.Helper()
	r.hook.signal(syscall.SIGSTOP)
	r.manager.signal(syscall.SIGSTOP)
	if err := os.WriteFile(filepath.Join(r.dir, "hang"), nil, 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *receivers) goOn() {
	r.t.Helper()
	r.hook.signal(syscall.SIGCONT)
	r.manager.signal(syscall.SIGCONT)
	if err := os.Remove(filepath.Join(r.dir, "hang")); err != nil {
		r.t.Fatal(err)
	}
}

// kill ends them with what they have not answered, and starts them again, still hanging.
func (r *receivers) kill() {
	r.t.Helper()
	for _, p := range []*process{r.hook, r.manager.process} {
		p.kill()
		p.start()
		p.signal(syscall.SIGSTOP)
	}
	if pid := r.command(); pid == 0 || syscall.Kill(-pid, syscall.SIGKILL) != nil {
		r.t.Log("no command was running just then")
	}
}

// command is the process group of the command that runs, 0 if none does.
func (r *receivers) command() int {
	text, _ := os.ReadFile(filepath.Join(r.dir, "pid"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if pid == 0 || !strings.Contains(string(line), r.dir) {
		return 0
	}
	return pid
}

// A failover's alerts reach a webhook, a command and the real Alertmanager, once each by their ids, though who has a part in it is
// killed while they are on their way: all receivers hang until it is dead.
func TestAlertArrivesThoughOneIsKilledOnTheWay(t *testing.T) {
	for name, kill := range map[string]func(c *cluster, r *receivers) (host *lab.Node){
		"the old primary's host": func(c *cluster, _ *receivers) *lab.Node { return c.primary },
		"the leader's host":      func(c *cluster, _ *receivers) *lab.Node { return c.Node(c.keys().Leader) },
		"the receivers":          func(_ *cluster, r *receivers) *lab.Node { r.kill(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			r := startReceivers(t)
			c := whole(t, func(o *lab.Options) { o.Config = r.config })
			c.outboxRead("hook", "page", "am")
			r.hang()
			c.strike(c.primary.KillPostmaster())
			c.must(c.Until(c.ctx, "an alert is on its way", soon, func() bool {
				_, begun := c.event(watchdog.EventHandOver)
				return begun && r.command() != 0
			}))
			c.notTold("hook", "page", "am")
			host := kill(c, r)
			if host != nil {
				c.must(host.KillHost())
			}
			c.notTold("hook", "page", "am")
			r.goOn()
			c.must(c.Until(c.ctx, "the failover is over", rejoin, func() bool { _, over := c.event(watchdog.EventPromoted); return over }))
			if host != nil {
				c.must(host.StartHost())
			}
			_, err := c.WaitWhole(c.ctx, rejoin)
			c.must(err)
			c.everythingTold("webhook", r.hooked)
			c.everythingTold("command", r.paged)
			c.standsResolved(r.manager)
			r.manager.tells("firing " + string(watchdog.EventHandOver))
		})
	}
}

// notTold: no sink has been told of what happened since the strike.
func (c *cluster) notTold(sinks ...string) {
	c.t.Helper()
	for _, s := range sinks {
		at, _, err := c.Store.AlertCursor(c.ctx, s)
		c.must(err)
		for id, e := range c.owed() {
			if at.Seq >= e.Seq && e.Kind != watchdog.EventFinding { // whose number is that of the event before it
				c.t.Errorf("sink %s was told of %s, and nothing is on its way", s, id)
			}
		}
	}
}

// everythingTold waits until the receiver, who knows an alert again by its id, was told each of what happened since the strike, in
// order, and looks at the failover's beginning and end.
func (c *cluster) everythingTold(name string, in func() *inbox) {
	c.t.Helper()
	var once []alertTold
	c.must(c.Until(c.ctx, "the "+name+" is told everything", rejoin, func() bool {
		once = nil
		for _, a := range in().all {
			if !slices.ContainsFunc(once, func(b alertTold) bool { return a.ID == b.ID }) {
				once = append(once, a)
			}
		}
		return len(once) >= len(c.owed())
	}))
	owed := c.owed()
	opened, closed := "", false
	last := uint64(0)
	for _, a := range once {
		e, real := owed[a.ID]
		if !real || e.Seq <= last && e.Kind != watchdog.EventFinding {
			c.t.Errorf("the %s was told of %s after event %d, and is owed %v", name, a.ID, last, owed)
		}
		last = max(last, e.Seq)
		if a.Kind == string(watchdog.EventHandOver) && a.Status == "firing" && opened == "" {
			opened = a.Key
		}
		for _, over := range a.Resolves {
			closed = closed || opened != "" && over.Key == opened
		}
	}
	if opened == "" || !closed {
		c.t.Errorf("the %s was told %+v: the hand-over or its end is missing", name, once)
	}
}

// standsResolved waits until Alertmanager holds the hand-over once, and its end: an incident stands for two minutes at least, one
// that nothing has resolved for a month.
func (c *cluster) standsResolved(m *alertmanager) {
	c.t.Helper()
	var found []standing
	c.must(c.Until(c.ctx, "Alertmanager knows that the hand-over is over", rejoin, func() bool {
		found = slices.DeleteFunc(m.holds(), func(a standing) bool { return a.Labels["kind"] != string(watchdog.EventHandOver) })
		return len(found) > 0 && time.Until(found[0].EndsAt) < time.Hour
	}))
	if len(found) != 1 || found[0].Labels["cluster"] != lab.Name || found[0].Labels["severity"] != "critical" {
		c.t.Errorf("Alertmanager holds %+v", found)
	}
}
