package virtualip

import (
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

func TestWhatIsDeserved(t *testing.T) {
	primary := func(change func(*sidecar.Snapshot)) sidecar.Snapshot {
		s := sidecar.Snapshot{Writable: true, TrustLeft: 3 * time.Second, Decision: watchdog.Decision{Reason: watchdog.ReasonHolding}}
		s.View.Server = watchdog.Server{Role: watchdog.RolePrimary, PID: 7}
		change(&s)
		return s
	}
	role := func(r watchdog.Role, pid int) func(*sidecar.Snapshot) {
		return func(s *sidecar.Snapshot) { s.Writable, s.View.Server = false, watchdog.Server{Role: r, PID: pid} }
	}
	for _, test := range []struct {
		name     string
		snapshot sidecar.Snapshot
		is, want state
	}{
		{"a primary under trust", primary(func(*sidecar.Snapshot) {}), down, up},
		{"one that a sidecar before us served", primary(func(*sidecar.Snapshot) {}), unknown, up},
		{"trust that ends in a moment", primary(func(s *sidecar.Snapshot) { s.TrustLeft = margin }), up, down},
		{"trust that has ended", primary(func(s *sidecar.Snapshot) { s.TrustLeft, s.Writable = 0, false }), up, down},
		{"a fence that has begun", primary(func(s *sidecar.Snapshot) { s.Writable, s.View.Flight.Kind = false, watchdog.ActFence }), up, down},
		{"a server that does not answer, being fenced", primary(func(s *sidecar.Snapshot) {
			role(watchdog.RoleUnknown, 7)(s)
			s.View.Flight.Kind = watchdog.ActFence
		}), up, down},
		{"a server that did not answer once", primary(role(watchdog.RoleUnknown, 7)), up, up},
		{"and was not served before", primary(role(watchdog.RoleUnknown, 7)), down, down},
		{"and may have been served by a sidecar before us", primary(role(watchdog.RoleUnknown, 7)), unknown, unknown},
		{"a server that has exited", primary(role(watchdog.RoleDown, 0)), up, down},
		{"a standby", primary(role(watchdog.RoleStandby, 7)), unknown, down},
		{"a server that starts", primary(role(watchdog.RoleStarting, 7)), up, down},
		{"a sidecar that has only begun", sidecar.Snapshot{}, unknown, unknown},
	} {
		if got := deserved(test.snapshot, test.is); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func TestWhenItIsAnnounced(t *testing.T) {
	var at []time.Duration
	for number := range 8 {
		at = append(at, announceAt(number))
	}
	for i, want := range []time.Duration{0, 200e6, 400e6, 600e6, 800e6, 1000e6, time.Minute, 2 * time.Minute} {
		if at[i] != want {
			t.Errorf("announcement %d after %s, want %s", i, at[i], want)
		}
	}
}
