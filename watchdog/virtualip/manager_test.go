package virtualip

import (
	"bytes"
	"encoding/hex"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// inNamespace gives the test a network of its own, with two ends of a line: what goes out at eth0 comes in at far.
func inNamespace(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	runtime.LockOSThread() // for good: the thread ends with the test, in its own namespace
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespace can be had here: %v", err)
	}
	ip(t, "link", "set", "lo", "up")
	ip(t, "link", "add", "eth0", "type", "veth", "peer", "name", "far")
	ip(t, "link", "set", "eth0", "up")
	ip(t, "link", "set", "far", "up")
	ip(t, "addr", "add", "192.0.2.1/24", "dev", "eth0")
}

func ip(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func shown(t *testing.T) string { return ip(t, "-o", "addr", "show", "dev", "eth0") }

func has(t *testing.T, address string) bool { return strings.Contains(shown(t), " "+address+" ") }

// heard returns the next frame that arrives at far and holds these bytes.
func heard(t *testing.T, fd int, part []byte) []byte {
	t.Helper()
	frame := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(fd, frame, 0)
		if err != nil {
			t.Fatalf("nothing like %x arrives: %v", part, err)
		}
		if bytes.Contains(frame[:n], part) {
			return frame[:n]
		}
	}
}

func listen(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0x0300) // every protocol, in the network's order
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20})
	}
	far, err2 := net.InterfaceByName("far")
	if err == nil && err2 == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: far.Index})
	}
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

var (
	serves  = sidecar.Snapshot{Writable: true, TrustLeft: time.Minute, Decision: watchdog.Decision{Reason: watchdog.ReasonHolding}}
	follows = sidecar.Snapshot{Decision: watchdog.Decision{Reason: watchdog.ReasonFollowing}}
)

func TestAddressesGoUpAndDownAndAreAnnounced(t *testing.T) {
	inNamespace(t)
	fd := listen(t)
	state := t.TempDir()
	m, err := Open([]Config{{"192.0.2.100/24", "eth0"}, {"2001:db8::100/64", "eth0"}}, state, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	m.begin()
	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if next := m.turn(serves, began); next != 0 || m.announced != 0 {
		t.Errorf("looks again after %s, announced %d times", next, m.announced)
	}
	if next := m.turn(serves, began); next != announcePause || m.announced != 1 {
		t.Errorf("looks again after %s, announced %d times", next, m.announced)
	}
	if s := shown(t); !has(t, "192.0.2.100/24") || !has(t, "2001:db8::100/64") || strings.Contains(s, "2001:db8::100/64 scope global tentative") {
		t.Errorf("up: %s", s)
	}
	gratuitous := append(append([]byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 2}, eth0.HardwareAddr...), 192, 0, 2, 100)
	if frame := heard(t, fd, gratuitous); !bytes.Equal(frame[:6], []byte{255, 255, 255, 255, 255, 255}) {
		t.Errorf("ARP is sent to %x", frame[:6])
	}
	target, _ := hex.DecodeString("20010db8000000000000000000000100")
	advertised := append(append([]byte{0x20, 0, 0, 0}, target...), append([]byte{2, 1}, eth0.HardwareAddr...)...)
	frame := heard(t, fd, advertised)
	if at := bytes.Index(frame, advertised) - 4; frame[at] != neighbourAdvertisement || frame[at+2]|frame[at+3] == 0 || frame[21] != hopsOfNeighbours {
		t.Errorf("advertised as %x", frame)
	}
	ip(t, "addr", "del", "192.0.2.100/24", "dev", "eth0") // by somebody else
	if m.turn(serves, began.Add(announcePause)); m.announced != 2 || !has(t, "192.0.2.100/24") {
		t.Errorf("announced %d times: %s", m.announced, shown(t))
	}
	m.turn(follows, began)
	if has(t, "192.0.2.100/24") || has(t, "2001:db8::100/64") || !has(t, "192.0.2.1/24") {
		t.Errorf("down: %s", shown(t))
	}
	if !Noted(state) {
		t.Error("not noted")
	}
}

func TestWhatASidecarBeforeUsLeftIsTakenDown(t *testing.T) {
	inNamespace(t)
	state := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	open := func(c ...Config) *Manager {
		m, err := Open(c, state, log)
		if err != nil {
			t.Fatal(err)
		}
		m.begin()
		return m
	}
	both := []Config{{"192.0.2.100/24", "eth0"}, {"192.0.2.101/24", "eth0"}}
	open(both...).turn(serves, time.Now())
	m := open(both[0]) // the other one is not configured any more
	if has(t, "192.0.2.101/24") || !has(t, "192.0.2.100/24") {
		t.Errorf("after a change of configuration: %s", shown(t))
	}
	m.turn(sidecar.Snapshot{}, time.Now()) // what is ours is not known yet
	if !has(t, "192.0.2.100/24") {
		t.Error("taken down before it was known whether it is deserved")
	}
	m.turn(follows, time.Now())
	if has(t, "192.0.2.100/24") {
		t.Error("left up on a standby")
	}
	if open(); Noted(state) {
		t.Error("noted, and nothing is configured")
	}
	if _, err := Open([]Config{{"192.0.2.100/24", "eth9"}}, state, log); err == nil || !strings.Contains(err.Error(), "no network interface eth9 on this host: there are lo, ") {
		t.Errorf("an interface that is not there: %v", err)
	}
}

func TestComplaint(t *testing.T) {
	for says, c := range map[string]Config{
		"address: it is missing":            {Interface: "eth0"},
		"10.0.0.100 is none":                {"10.0.0.100", "eth0"},
		"10.0.0.300/24 is none":             {"10.0.0.300/24", "eth0"},
		"127.0.0.2/8 is no address that":    {"127.0.0.2/8", "lo"},
		"224.0.0.9/24 is no address that":   {"224.0.0.9/24", "eth0"},
		"::ffff:10.0.0.1/120 is no address": {"::ffff:10.0.0.1/120", "eth0"},
		"10.0.0.0/24 is a network":          {"10.0.0.0/24", "eth0"},
		"interface: it is missing":          {Address: "10.0.0.100/24"},
	} {
		if complaint := c.Complaint(); !strings.Contains(complaint, says) {
			t.Errorf("%+v: %q, want %q", c, complaint, says)
		}
	}
	for _, c := range []Config{{"10.0.0.100/24", "eth0"}, {"10.0.0.100/32", "eth0"}, {"2001:db8::1/64", "bond0.7"}} {
		if complaint := c.Complaint(); complaint != "" {
			t.Errorf("%+v: %s", c, complaint)
		}
	}
}
