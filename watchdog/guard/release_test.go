package guard

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// alone runs the test in a process that has a network of its own, and says whether this is it.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv("PGVIGIL_TEST_ALONE") != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	again := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), "PGVIGIL_TEST_ALONE=1")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := again.CombinedOutput()
	if err != nil && strings.Contains(err.Error(), "operation not permitted") {
		t.Skipf("no network namespace can be had here: %v", err)
	}
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in a network of its own: %v", err)
	}
	return false
}

// virtual puts an address on the loopback.
func virtual(t *testing.T) Address {
	t.Helper()
	for _, args := range [][]string{{"link", "set", "lo", "up"}, {"addr", "replace", "192.0.2.100/24", "dev", "lo"}} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	return Address{Interface: 1, Prefix: 24, IP: "\xc0\x00\x02\x64"}
}

func isUp(t *testing.T) bool {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.String() == "192.0.2.100/24" {
			return true
		}
	}
	return false
}

func TestAFenceTakesTheAddressesDown(t *testing.T) {
	if !alone(t) {
		return
	}
	o := options(t)
	o.Addresses = []Address{virtual(t)}
	g := newGuard(t, o)
	ready(t, g, 0)
	if !isUp(t) {
		t.Fatal("down before there was a fence")
	}
	arm(t, g, soon)
	gone(t, g.Exited())
	if isUp(t) || fencedBy(g) == 0 {
		t.Errorf("up %v, fenced by %d", isUp(t), fencedBy(g))
	}
}

// The sidecar has fenced by itself, has disarmed its guard, and ends before it has taken the address down; or it ends while the
// server lives, whose address that is.
func TestADisarmedGuardTakesTheAddressesOfADeadServerDown(t *testing.T) {
	if !alone(t) {
		return
	}
	for name, dead := range map[string]bool{"dead": true, "alive": false} {
		t.Run(name, func(t *testing.T) {
			postmaster := exec.Command("sleep", "300")
			if err := postmaster.Start(); err != nil {
				t.Fatal(err)
			}
			end := func() { _ = postmaster.Process.Kill(); _ = postmaster.Wait() }
			defer end()
			o := options(t)
			o.Addresses = []Address{virtual(t)}
			g := newGuard(t, o)
			ready(t, g, postmaster.Process.Pid)
			if dead {
				end()
				tick := time.NewTicker(2 * time.Millisecond)
				defer tick.Stop()
				for deadline := time.Now().Add(patience); ; <-tick.C {
					if s, _ := g.Status(); s.Orphaned {
						break
					}
					if time.Now().After(deadline) {
						t.Fatal("the guard does not see that the server has ended")
					}
				}
			}
			exited := g.Exited()
			s, _ := g.Status()
			if err := syscall.Kill(s.PID, syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			gone(t, exited)
			if isUp(t) == dead {
				t.Errorf("up: %v", isUp(t))
			}
		})
	}
}

func TestOtherAddressesAreAnotherGuard(t *testing.T) {
	if !alone(t) {
		return
	}
	o := options(t)
	first := newGuard(t, o)
	before := ready(t, first, 0)
	deadline := arm(t, first, far)
	o.Addresses = []Address{virtual(t)}
	second := newGuard(t, o)
	if after := ready(t, second, 0); after.PID == before.PID || after.Deadline != deadline {
		t.Errorf("guard %d until %d, and before %d until %d", after.PID, after.Deadline, before.PID, deadline)
	}
	third := newGuard(t, o)
	held, _ := second.Status()
	if same := ready(t, third, 0); same.PID != held.PID || same.Deadline != deadline {
		t.Errorf("with the same addresses it is %+v, want %+v", same, held)
	}
}
