package pgctl

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pgvigil/pgvigil/pgctl/process"
	"github.com/pgvigil/pgvigil/watchdog"
)

// replaceAfter is how long the kept connection may owe an answer before another is opened beside it: should that one
// answer, the fault was the session's and not the server's.
const replaceAfter = time.Second

// watch is what Observe remembers of the postmaster that it saw.
type watch struct {
	mu         sync.Mutex
	pid        int
	wasPrimary bool   // by its last answer
	words      string // the SQLSTATE with which it ended the kept connection since
	timeline   watchdog.Timeline
	version    int
	asking     *inquiry
	replacing  bool
}

// inquiry is one run of the query under way.
type inquiry struct {
	since  time.Time
	done   chan struct{}
	answer answer
	err    error
}

// heard is told the SQLSTATE with which the server ended the kept connection.
func (w *watch) heard(code string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.words = code
}

// sees is told which postmaster runs; another one's past does not count.
func (w *watch) sees(pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pid != pid {
		w.pid, w.wasPrimary, w.words, w.timeline = pid, false, "", 0
	}
}

// Observe asks the process table, looks at postmaster.pid and the latch, and runs one query on the kept connection. It
// returns when ctx ends at the latest, without giving up the query: a slow answer does not cost the connection, which could
// not be had again while the postmaster hangs (F48, F50).
//
// Diverged is always false: whether the server's own history leaves its upstream's before its end takes both histories, and
// so is found out by whoever has both. A server's log says so too, but where it is and in which language is its owner's.
func (in *Instance) Observe(ctx context.Context) (server watchdog.Server, alive bool) {
	dir := in.Directory()
	files := in.look(ctx)
	server = watchdog.Server{Role: watchdog.RoleUnknown, SystemID: files.control.SystemID, Latched: files.latched,
		Upstream: files.upstream, Stamp: files.stamp, Problem: files.problem}
	postmaster := in.master.handle(dir)
	if postmaster == nil {
		in.watch.sees(0)
		server.Role = watchdog.RoleDown
		server.Gone = gone(dir)
		server.ServerVersion = in.watch.lastVersion()
		return server, false
	}
	server.PID = postmaster.PID()
	in.watch.sees(server.PID)
	a, err := in.ask(ctx)
	if err != nil {
		alive = in.explain(ctx, &server, err)
		return server, alive
	}
	in.watch.fill(&server, a)
	in.addReceiver(dir, &server, a)
	if server.Role == watchdog.RoleStandby && settingsLower(a.shape.settings, files.control) {
		server.Vetoes = append(server.Vetoes, watchdog.VetoSettingsLower)
	}
	return server, true
}

// gone says whether no process of the directory is left. One scan may miss a process that is just forked.
func gone(dir process.Directory) bool {
	for range 2 {
		if !process.Gone(dir) {
			return false
		}
	}
	return true
}

// ask runs the query, or goes on waiting for the one under way.
func (in *Instance) ask(ctx context.Context) (answer, error) {
	w := &in.watch
	w.mu.Lock()
	q := w.asking
	if q == nil {
		q = &inquiry{since: time.Now(), done: make(chan struct{})}
		w.asking = q
		go in.inquire(q)
	}
	replace := !w.replacing && time.Since(q.since) > replaceAfter
	w.replacing = w.replacing || replace
	w.mu.Unlock()
	if replace {
		go in.replaceSession()
	}
	select {
	case <-q.done:
		return q.answer, q.err
	case <-ctx.Done():
		return answer{}, errUnanswered
	}
}

// inquire runs the query without a bound but the server's own: nobody waits for it longer than they like.
func (in *Instance) inquire(q *inquiry) {
	q.answer, q.err = in.queryState()
	in.watch.mu.Lock()
	in.watch.asking = nil
	in.watch.mu.Unlock()
	close(q.done)
}

func (in *Instance) queryState() (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*statementBound)
	defer cancel()
	s, err := in.session(ctx)
	if err != nil {
		return answer{}, err
	}
	defer s.busy.unlock()
	a, err := s.state(context.Background())
	if err != nil && !s.usable() {
		in.bury(ctx, s)
	}
	return a, err
}

// replaceSession opens another session while the kept one owes an answer, and keeps it if it can be had.
func (in *Instance) replaceSession() {
	ctx, cancel := context.WithTimeout(context.Background(), connectBound)
	defer cancel()
	if s, err := in.openSession(ctx); err == nil {
		_ = in.sessions.replace(s)
	}
	in.watch.mu.Lock()
	in.watch.replacing = false
	in.watch.mu.Unlock()
}

// explain fills in what an error says of the server, and says whether it proves that it lives.
func (in *Instance) explain(ctx context.Context, server *watchdog.Server, err error) (alive bool) {
	server.ServerVersion = in.watch.lastVersion()
	state := sqlState(err)
	stopping := state == sqlCannotConnectNow && in.look(ctx).stopping
	server.Restarting = in.watch.restarting(state, stopping, in.version.waitsShutdownStatus)
	switch {
	case state == sqlCannotConnectNow, server.Restarting:
		server.Role = watchdog.RoleStarting
		server.Problem = "the server does not accept sessions yet"
		if stopping {
			server.Problem = "the server is shutting down"
		}
	case state == sqlTooManyConnections:
		server.Problem = "the server has no connection left: raise max_connections or superuser_reserved_connections, or close sessions"
	case state == sqlNoPrivilege:
		server.Problem = fmt.Sprintf("pgvigil's role may not look at the server: grant it pg_monitor: %v", err)
	case errors.Is(err, errUnanswered):
	default:
		server.Problem = err.Error()
	}
	return state != ""
}

// restarting says whether the server restarts itself after a crash. That it was told so (57P02) is proof; so is that a
// postmaster which was primary refuses sessions without shutting down, for which there is no other reason.
func (w *watch) restarting(state string, stopping, saysStopping bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.wasPrimary || stopping || w.words == sqlAdminShutdown {
		return false
	}
	return w.words == sqlCrashShutdown || state == sqlCrashShutdown || state == sqlCannotConnectNow && saysStopping
}

func (w *watch) lastVersion() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.version
}

// fill takes an answer over.
func (w *watch) fill(server *watchdog.Server, a answer) {
	server.ServerVersion = a.shape.version
	server.Received, server.Replayed, server.NextXID = a.received, a.replayed, a.nextXID
	server.Standbys = a.standbys
	server.Role = watchdog.RoleStandby
	if a.conninfo != nil {
		server.Upstream, server.Stamp = upstreamOf(*a.conninfo)
	}
	server.Sync = parseSync(a.sync)
	server.ReplayPaused = a.paused
	server.Receiver, server.Streaming = a.receiver, a.streaming
	if !a.recovery {
		server.Role, server.Replayed = watchdog.RolePrimary, a.received
		server.Upstream, server.Stamp = "", 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wasPrimary, w.words, w.version = !a.recovery, "", a.shape.version
	w.timeline = max(w.timeline, a.timeline)
	if !a.recovery {
		w.timeline = a.timeline
	}
	server.Timeline = w.timeline
}

// addReceiver finds out from the processes' titles what no view says: whether a receiver lives that has no connection, and
// which timeline is replayed without one.
func (in *Instance) addReceiver(dir process.Directory, server *watchdog.Server, a answer) {
	if !a.recovery || a.receiver {
		return
	}
	if pid, ok := process.Receiver(dir); ok {
		server.Receiver = true
		server.Streaming = !in.version.receiverView && strings.Contains(process.Title(pid), " streaming ")
	}
	if server.Timeline == 0 || !in.version.receiverView {
		if pid, ok := process.Startup(dir); ok {
			server.Timeline = in.watch.learns(titleTimeline(process.Title(pid)))
		}
	}
}

func (w *watch) learns(timeline watchdog.Timeline) watchdog.Timeline {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timeline = max(w.timeline, timeline)
	return w.timeline
}

// titleTimeline reads the timeline from "startup recovering 000000020000000000000003": the segment that is replayed.
func titleTimeline(title string) watchdog.Timeline {
	for word := range strings.FieldsSeq(title) {
		if len(word) != 24 {
			continue
		}
		if n, err := strconv.ParseUint(word[:8], 16, 32); err == nil {
			return watchdog.Timeline(n)
		}
	}
	return 0
}

// settingsLower says whether one of the five settings is lower than the primary's, which a standby has in its control file
// (F32): a promotion would end the server.
func settingsLower(own [5]int, c control) bool {
	primary := [5]int{c.MaxConnections, c.MaxWorkerProcesses, c.MaxWalSenders, c.MaxPreparedXacts, c.MaxLocksPerXact}
	for i := range own {
		if own[i] >= 0 && own[i] < primary[i] {
			return true
		}
	}
	return false
}
