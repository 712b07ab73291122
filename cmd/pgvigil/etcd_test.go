package main

import (
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

func TestWhereEtcdsLeaderShouldBe(t *testing.T) {
	policy := watchdog.DefaultPolicy()
	now := watchdog.Instant(1000e9)
	heard := func(at watchdog.Instant) map[string]watchdog.Peer {
		return map[string]watchdog.Peer{"node3": {HeardAt: at}}
	}
	see := func(writable bool, leader string, peers map[string]watchdog.Peer) sidecar.Snapshot {
		return sidecar.Snapshot{
			Self: watchdog.Member{Name: "node1"}, Writable: writable,
			View: watchdog.View{Now: now, Policy: policy, Cluster: &watchdog.Cluster{Leader: leader}, Peers: peers},
		}
	}
	for _, test := range []struct {
		name string
		see  sidecar.Snapshot
		want string
	}{
		{"away from the primary, with the one who leads", see(true, "node3", heard(now)), "node3"},
		{"a standby's host may lead etcd", see(false, "node3", heard(now)), ""},
		{"nobody leads", see(true, "", heard(now)), ""},
		{"we lead ourselves", see(true, "node1", heard(now)), ""},
		{"the one who leads was never heard", see(true, "node3", nil), ""},
		{"the one who leads is silent", see(true, "node3", heard(now.Add(-policy.Detection.D()-1))), ""},
		{"nothing is known yet", sidecar.Snapshot{Writable: true}, ""},
	} {
		if got := betterPlace(test.see); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
