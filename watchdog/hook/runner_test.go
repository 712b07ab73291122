package hook

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

const patience = 20 * time.Second

// member is a source whose state a test sets.
type member struct {
	mu       sync.Mutex
	snapshot sidecar.Snapshot
	changed  chan struct{}
}

func (m *member) Snapshot() sidecar.Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.snapshot
}

func (m *member) Changed() <-chan struct{} { return m.changed }

// is makes the member something else.
func (m *member) is(s sidecar.Snapshot) {
	m.mu.Lock()
	m.snapshot = s
	m.mu.Unlock()
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// record is of a term of node1's or node2's, which the ledger knows of all before: odd terms were node1's.
func record(term watchdog.Term) *watchdog.Cluster {
	owner := func(t watchdog.Term) string { return fmt.Sprintf("node%d", 2-t%2) }
	c := &watchdog.Cluster{
		Record:  &watchdog.Record{Term: term, Phase: watchdog.PhaseNormal, Primary: owner(term), Reason: "server-exited"},
		Members: map[string]watchdog.Registered{},
	}
	for t := watchdog.Term(1); t <= term; t++ {
		c.Ledger = append(c.Ledger, watchdog.LedgerEntry{Term: t, Timeline: watchdog.Timeline(t), Owner: owner(t)})
		c.Members[owner(t)] = watchdog.Registered{Member: watchdog.Member{Name: owner(t), Address: owner(t) + ":5432"}}
	}
	return c
}

func view(term watchdog.Term, server watchdog.Server) watchdog.View {
	server.Timeline, server.Received = watchdog.Timeline(term), 0x3000060
	return watchdog.View{Me: watchdog.Identity{Name: "node1"}, Cluster: record(term), Server: server}
}

func serving(term watchdog.Term) sidecar.Snapshot {
	s := sidecar.Snapshot{View: view(term, watchdog.Server{Role: watchdog.RolePrimary, PID: 7}), Writable: true}
	s.View.Trust.Term = term
	return s
}

func following(term watchdog.Term) sidecar.Snapshot {
	c := record(term)
	return sidecar.Snapshot{View: view(term, watchdog.Server{Role: watchdog.RoleStandby, PID: 7, Streaming: true, Upstream: c.Record.Primary + ":5432"})}
}

func down(term watchdog.Term) sidecar.Snapshot {
	return sidecar.Snapshot{View: view(term, watchdog.Server{Role: watchdog.RoleDown, Gone: true})}
}

// stage is a state directory and what its hooks have done there.
type stage struct {
	t    *testing.T
	dir  string
	m    *member
	stop func()
}

func newStage(t *testing.T) *stage {
	return &stage{t: t, dir: t.TempDir(), m: &member{changed: make(chan struct{}, 1)}, stop: func() {}}
}

// note is a command that writes a line to the stage, after which it does what more says.
func (s *stage) note(text, more string) Command {
	script := fmt.Sprintf(`echo "%s" >> %s/ran; %s`, text, s.dir, more)
	return Command{Command: []string{"/bin/sh", "-c", script}}
}

func (s *stage) open(c Config) *Runner {
	s.t.Helper()
	r, err := Open(Options{Cluster: "orders", StateDir: s.dir, Hooks: c, Wall: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// run is a sidecar's process; stop ends it.
func (s *stage) run(c Config) {
	r := s.open(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, s.m) }()
	s.stop = sync.OnceFunc(func() { cancel(); <-done })
	s.t.Cleanup(s.stop)
}

func (s *stage) ran() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "ran"))
	return strings.Join(strings.Fields(string(text)), " ")
}

// until waits until these lines were written, and nothing is owed any more.
func (s *stage) until(want string) {
	s.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); s.ran() != want; <-tick.C {
		if time.Now().After(end) {
			s.t.Fatalf("ran %q, want %q", s.ran(), want)
		}
	}
}

func (s *stage) all() Config {
	return Config{
		OnStart:   []Command{s.note("start", "")},
		OnPromote: []Command{s.note("promote-$PGVIGIL_TERM", "exit 3"), s.note("then", "")},
		OnDemote:  []Command{s.note("demote-$PGVIGIL_TERM", "")},
		OnFollow:  []Command{s.note("follow-$PGVIGIL_TERM-$PGVIGIL_NEW_PRIMARY", "")},
	}
}

func TestEachRoleIsToldOnceInOrder(t *testing.T) {
	s := newStage(t)
	s.run(s.all())
	s.m.is(serving(3))
	s.until("start promote-3 then") // the failure of the first does not keep the second from its turn
	s.m.is(serving(3))
	s.m.is(down(3))
	s.until("start promote-3 then demote-3")
	s.m.is(following(4))
	s.until("start promote-3 then demote-3 follow-4-node2")
	s.m.is(serving(5))
	s.until("start promote-3 then demote-3 follow-4-node2 promote-5 then")
	s.stop()
	s.m.is(serving(7)) // the term before was lost and the next won while no sidecar ran
	s.run(s.all())
	s.until("start promote-3 then demote-3 follow-4-node2 promote-5 then demote-5 start promote-7 then")
}

func TestACommandIsToldWhatHappened(t *testing.T) {
	s := newStage(t)
	t.Setenv("PGVIGIL_ETCD_PASSWORD", "secret")
	s.run(Config{OnFollow: []Command{{Command: []string{"/bin/sh", "-c", `cat > "$0/in"; env > "$0/env"; echo >> "$0/ran" told`, s.dir}}}})
	s.m.is(following(4))
	s.until("told")
	env, _ := os.ReadFile(filepath.Join(s.dir, "env"))
	for _, line := range []string{
		"PGVIGIL_EVENT=on_follow", "PGVIGIL_CLUSTER=orders", "PGVIGIL_MEMBER=node1", "PGVIGIL_ROLE=standby", "PGVIGIL_TERM=4", "PGVIGIL_TIMELINE=4",
		"PGVIGIL_LSN=0/3000060", "PGVIGIL_OLD_PRIMARY=node1", "PGVIGIL_NEW_PRIMARY=node2", "PGVIGIL_REASON=server-exited", "PGVIGIL_TEST=false",
	} {
		if !strings.Contains(string(env), line+"\n") {
			t.Errorf("%s is not in\n%s", line, env)
		}
	}
	if strings.Contains(string(env), "secret") {
		t.Error("our own settings are handed on")
	}
	var e Event
	in, _ := os.ReadFile(filepath.Join(s.dir, "in"))
	if err := json.Unmarshal(in, &e); err != nil || e.Event != OnFollow || e.Term != 4 || e.OldPrimary != "node1" || e.LSN != 0x3000060 {
		t.Errorf("%s: %+v %v", in, e, err)
	}
}

// A sidecar that ends while a command runs leaves it and those after it to the next, and not those before it.
func TestWhatIsOwedIsRunByTheNextSidecar(t *testing.T) {
	s := newStage(t)
	c := Config{OnPromote: []Command{s.note("first", ""), s.note("second", "test -e $0/go || sleep 300"), s.note("third", "")}}
	c.OnPromote[1].Command = append(c.OnPromote[1].Command, s.dir)
	s.run(c)
	s.m.is(serving(3))
	s.until("first second")
	s.stop()
	if err := os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(c)
	s.until("first second second third")
	s.stop()
	s.run(c)
	s.m.is(down(3))
	s.until("first second second third")
}

// What was owed for a role that is over is not run any more, as it would undo what came after; that it is over is told.
func TestARoleThatIsOverIsNotAnnounced(t *testing.T) {
	s := newStage(t)
	c := Config{OnPromote: []Command{s.note("first", "sleep 300"), s.note("never", "")}, OnDemote: []Command{s.note("demoted", "")}}
	s.run(c)
	s.m.is(serving(3))
	s.until("first")
	s.stop()
	s.m.is(following(4))
	s.run(c)
	s.until("first demoted")
}

func TestACommandThatHangsIsKilledAndTheNextIsRun(t *testing.T) {
	s := newStage(t)
	c := Config{OnPromote: []Command{s.note("hangs", "sleep 300"), s.note("next", "")}}
	c.OnPromote[0].Timeout = watchdog.Duration(200 * time.Millisecond)
	s.run(c)
	s.m.is(serving(3))
	s.until("hangs next")
}

func TestWhatIsUnknownIsNotTold(t *testing.T) {
	now := standingOf(sidecar.Snapshot{View: view(3, watchdog.Server{Role: watchdog.RolePrimary, PID: 7})})
	if kind, _ := (kept{Serving: 3}).next(now, false); kind != "" {
		t.Errorf("%s for a primary whose trust has run out, which is about to be fenced", kind)
	}
	for _, server := range []watchdog.Server{{Role: watchdog.RoleUnknown, PID: 7}, {Role: watchdog.RoleStarting, PID: 7}, {Role: watchdog.RoleDown}} {
		if kind, _ := (kept{Serving: 3}).next(standingOf(sidecar.Snapshot{View: view(3, server)}), false); kind != "" {
			t.Errorf("%s for a server that is %s and not verified gone", kind, server.Role)
		}
	}
}
