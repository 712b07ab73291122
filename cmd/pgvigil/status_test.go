package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/api"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (-update writes it anew). Got:\n%s\nwant:\n%s", path, got, want)
	}
}

var began = time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)

// scene is a cluster of three that a test changes.
type scene struct {
	cluster watchdog.Cluster
	lives   map[string]live
	events  []watchdog.Event
}

func (s *scene) status(name string) *api.Status { return s.lives[name].status }

// unanswering makes a member's sidecar not answer; gone takes its key away too.
func (s *scene) unanswering(name string) { s.lives[name] = live{err: "connect: connection refused"} }

func (s *scene) gone(name string) {
	delete(s.lives, name)
	delete(s.cluster.Members, name)
}

func well() *scene {
	s := &scene{lives: map[string]live{}}
	s.cluster = watchdog.Cluster{
		Leader: "node3",
		Record: &watchdog.Record{
			Cluster: "orders", Term: 7, Phase: watchdog.PhaseNormal, Primary: "node1", Taken: true, Timeline: 3, Since: began,
			Members: []string{"node1", "node2", "node3"}, Durability: watchdog.Durability{Mode: watchdog.ModeAsync},
			Reason: watchdog.ReasonPromoted,
		},
		Members: map[string]watchdog.Registered{},
	}
	for i, name := range []string{"node1", "node2", "node3"} {
		host := "10.0.0.1" + string(rune('1'+i))
		m := watchdog.Member{
			Name: name, Address: host + ":5432", API: "http://" + host + ":8008", Role: watchdog.RoleStandby, Timeline: 3,
			Received: 0x5000140, Replayed: 0x5000140, Streaming: true, Upstream: "10.0.0.11:5432", Version: "1.0", ServerVersion: 150014,
		}
		status := api.Status{Cluster: "orders", GuardReady: true}
		if i == 0 {
			m.Role, m.Streaming, m.Upstream, m.PrimaryTerm = watchdog.RolePrimary, false, "", 7
			status.Writable, status.TrustLeftMS = true, 3612
			status.Decision.Reason = watchdog.ReasonHolding
		} else {
			none, now := uint64(0), 0.0
			status.Server.LagBytes, status.Server.LagSeconds = &none, &now
			status.Decision.Reason = watchdog.ReasonFollowing
		}
		status.Member = m
		status.Server.Role, status.Server.Timeline, status.Server.Received = m.Role, m.Timeline, m.Received
		status.Server.Replayed, status.Server.Streaming, status.Server.Upstream = m.Replayed, m.Streaming, m.Upstream
		s.cluster.Members[name] = watchdog.Registered{Member: m}
		s.lives[name] = live{status: &status}
	}
	return s
}

var scenes = map[string]func(s *scene){
	"well": func(*scene) {},
	"standby-lags": func(s *scene) {
		status := s.status("node2")
		lag, seconds := uint64(5<<20), 12.25
		status.Server.LagBytes, status.Server.LagSeconds, status.Server.ReplayPaused = &lag, &seconds, true
		status.Server.Replayed -= 5 << 20
	},
	"standby-rewinds": func(s *scene) {
		status := s.status("node2")
		status.Server.Role, status.Server.Streaming, status.Member.Activity = watchdog.RoleDown, false, "rewinding"
		status.Member.Vetoes = []watchdog.Veto{watchdog.VetoNotRunning}
	},
	"sidecar-silent": func(s *scene) { s.unanswering("node2") },
	"sidecar-gone":   func(s *scene) { s.gone("node2") },
	"nobody-could-take-over": func(s *scene) {
		s.gone("node2")
		s.status("node3").Member.Vetoes = []watchdog.Veto{watchdog.VetoSettingsLower}
	},
	"no-standby": func(s *scene) {
		s.gone("node2")
		s.gone("node3")
		s.cluster.Record.Members, s.cluster.Leader = []string{"node1"}, "node1"
	},
	"primary-without-trust": func(s *scene) {
		status := s.status("node1")
		status.Writable, status.TrustLeftMS = false, 0
		status.Decision.Detail = "no renewal was acknowledged for 4.1s"
	},
	"primary-gone": func(s *scene) { s.gone("node1") },
	"electing": func(s *scene) {
		s.gone("node1")
		r := s.cluster.Record
		r.Phase, r.Primary, r.Term, r.Reason = watchdog.PhaseElecting, "", 8, watchdog.ReasonSilence
		s.cluster.Ballots = map[string]watchdog.Cast{"node2": {}}
		s.status("node3").Decision = api.DecisionStatus{Reason: watchdog.ReasonWaitingBallots, Detail: "node3 has not given its ballot"}
		for _, name := range []string{"node2", "node3"} {
			s.status(name).Server.Streaming, s.status(name).Server.Upstream = false, ""
		}
	},
	"promoting": func(s *scene) {
		r := s.cluster.Record
		r.Phase, r.Primary, r.Term = watchdog.PhasePromoting, "node2", 8
		s.status("node1").Server.Role, s.status("node1").Writable = watchdog.RoleDown, false
	},
	"garbage": func(s *scene) {
		s.cluster.Record, s.cluster.Garbage = nil, map[string]string{"/pgvigil/orders/record": "invalid character 'h'"}
	},
	"no-record": func(s *scene) { s.cluster.Record, s.cluster.Leader = nil, "" },
	"wrong-password": func(s *scene) {
		s.status("node2").Member.Problem = "PostgreSQL refuses the password of user pgvigil: correct postgres.connect"
	},
	"quorum": func(s *scene) {
		s.cluster.Record.Durability = watchdog.Durability{Mode: watchdog.ModeQuorum, K: 1, Voters: []string{"node2", "node3"}}
		s.status("node1").Server.LowCommits = []string{"synchronous_commit=off for role batch in database (all)"}
	},
	"commits-wait": func(s *scene) {
		s.cluster.Record.Durability = watchdog.Durability{Mode: watchdog.ModeQuorum, K: 1, Voters: []string{"node2"}}
		s.status("node1").Decision = api.DecisionStatus{Reason: watchdog.ReasonBlocked, Detail: "commits wait: 1 of node2 are needed, and there are none; bring a standby back, or let the policy degrade (when_short)"}
		s.gone("node2")
		s.gone("node3")
	},
	"failsafe": func(s *scene) { s.status("node1").Failsafe = true },
	"paused": func(s *scene) {
		s.cluster.Record.Paused = &watchdog.Pause{By: "alice on node1", Reason: "new kernel", For: watchdog.Duration(4 * time.Hour), Until: began.Add(204 * time.Minute)}
	},
	"alerts-fail": func(s *scene) {
		s.status("node3").Alerts = []api.SinkStatus{
			{Sink: "chat", FailingMS: 30_000, Waiting: 1, Error: "a moment ago"},
			{Sink: "ops", FailingMS: 754_000, Waiting: 7, Lost: 3, Error: "deliver orders/7-12: post to ops.example.org: 503 Service Unavailable"},
		}
		s.status("node1").Alerts = []api.SinkStatus{{Sink: "ops", Failed: 3}}
	},
	"new-member": func(s *scene) { s.cluster.Record.Members = []string{"node1", "node2"} },
}

func TestStatusInText(t *testing.T) {
	for name, change := range scenes {
		t.Run(name, func(t *testing.T) {
			s := well()
			change(s)
			r := buildReport("orders", s.cluster, s.lives)
			golden(t, "status/"+name+".txt", renderStatus(r, began.Add(192*time.Minute), false))
		})
	}
}

func TestExplainNow(t *testing.T) {
	for name, change := range map[string]func(*scene){
		"well":     scenes["well"],
		"paused":   scenes["paused"],
		"lags":     scenes["standby-lags"],
		"nobody":   scenes["nobody-could-take-over"],
		"electing": scenes["electing"],
		"quorum":   scenes["quorum"],
		"seen": func(s *scene) {
			for _, took := range []float64{900, 110, 130, 120, 140, 150} {
				s.events = append(s.events, watchdog.Event{Kind: watchdog.EventPromoted, TimingsMS: map[string]float64{"named_to_writable": took}})
			}
		},
		"behind": func(s *scene) {
			for _, name := range []string{"node2", "node3"} {
				seconds := 0.4
				status := s.status(name)
				status.Server.Received, status.Server.Replayed, status.Server.LagSeconds = 0x4F00140, 0x4F00140, &seconds
			}
			s.status("node3").Server.Received, s.status("node3").Server.Replayed = 0x4E00140, 0x4E00140
			s.status("node3").Member.Priority = 5
		},
		"priority": func(s *scene) { s.status("node3").Member.Priority = 5 },
		"silent":   func(s *scene) { s.unanswering("node1") },
		"asked": func(s *scene) {
			s.cluster.Record.Operation = &watchdog.Operation{ID: "a", Kind: watchdog.OperationSwitchover, By: "ann on desk", Since: began}
		},
		"would-lose": func(s *scene) {
			scenes["electing"](s)
			s.cluster.PrimaryTerm = &watchdog.PrimaryTerm{Term: 7, Holder: "node1", Flushed: 0x9000140}
			s.cluster.Ballots = map[string]watchdog.Cast{}
			for _, member := range []string{"node2", "node3"} {
				s.cluster.Ballots[member] = watchdog.Cast{Ballot: watchdog.Ballot{Term: 8, Member: member, Timeline: 3, End: 0x5000140, Exact: true}}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := well()
			change(s)
			golden(t, "explain/"+name+".txt", explainNow(s.cluster, s.lives, s.events, began.Add(time.Minute)).text())
		})
	}
}

func TestStatusInJSONIsStable(t *testing.T) {
	s := well()
	scenes["sidecar-silent"](s)
	data, err := json.MarshalIndent(buildReport("orders", s.cluster, s.lives), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "status/report.json", string(data)+"\n")
}

func TestTheOneLineFollowsTheWorst(t *testing.T) {
	for name, want := range map[string]health{
		"well": healthy, "sidecar-gone": degraded, "standby-rewinds": degraded, "primary-gone": broken, "electing": broken, "garbage": broken,
	} {
		s := well()
		scenes[name](s)
		r := buildReport("orders", s.cluster, s.lives)
		if r.Health != want {
			t.Errorf("%s: %s, want %s: %s", name, r.Health, want, r.Summary)
		}
		if strings.Contains(r.Summary, "\n") {
			t.Errorf("%s: more than one line: %q", name, r.Summary)
		}
	}
}

func TestFramesReplaceEachOther(t *testing.T) {
	if got := frame("a\nb\n", true, true); got != "\x1b[2J\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J" {
		t.Errorf("first: %q", got)
	}
	if got := frame("a\n", true, false); got != "\x1b[Ha\x1b[K\n\x1b[J" {
		t.Errorf("next: %q", got)
	}
	if got := frame("a\n", false, false); got != "a\n\n" {
		t.Errorf("no terminal: %q", got)
	}
}

func TestSizesAndTimesForPeople(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 kB", 5 << 20: "5.0 MB", 3 << 30: "3.0 GB", 5 << 50: "5120.0 TB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 42 * time.Second: "42 s", 61 * time.Second: "1 min 1 s", 25 * time.Hour: "25 h 0 min", 49 * time.Hour: "2 days 1 h",
	} {
		if got := ago(d); got != want {
			t.Errorf("ago(%s) = %q, want %q", d, got, want)
		}
	}
}
