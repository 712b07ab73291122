package guard

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAddressesArePassedOn(t *testing.T) {
	for _, a := range []Address{{2, 24, "\x0a\x00\x00\x64"}, {7, 64, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"}} {
		if got, err := parseAddress(a.String()); err != nil || got != a {
			t.Errorf("%s: %+v, %v", a, got, err)
		}
	}
	for _, text := range []string{"", "2/24", "x/24/0a000064", "2/24/0a0000", "2/24/zz"} {
		if a, err := parseAddress(text); err == nil {
			t.Errorf("%q: %+v", text, a)
		}
	}
}

func TestAnAddressIsTakenDown(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	runtime.LockOSThread() // for good: the thread ends with the test, in its own namespace
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespace can be had here: %v", err)
	}
	ip := func(args ...string) string {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	ip("link", "set", "lo", "up")
	ip("addr", "add", "192.0.2.7/24", "dev", "lo")
	ip("addr", "add", "192.0.2.8/24", "dev", "lo")
	ip("addr", "add", "2001:db8::7/64", "dev", "lo")
	for _, a := range []Address{
		{1, 24, "\xc0\x00\x02\x08"}, {1, 64, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"},
		{1, 24, "\xc0\x00\x02\x08"},                               // not there any more
		{99, 24, "\xc0\x00\x02\x07"}, {0, 24, "\xc0\x00\x02\x07"}, // no such interface
	} {
		if err := a.Remove(); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	if left := ip("addr", "show", "dev", "lo"); strings.Contains(left, "192.0.2.8") || strings.Contains(left, "2001:db8") || !strings.Contains(left, "192.0.2.7/24") {
		t.Errorf("left: %s", left)
	}
}
