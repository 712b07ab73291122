package sidecar

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// What the implementations of the interfaces below say by errors.Is. Every other error of a Store means that the outcome is
// unknown: the change may or may not have been made.
var (
	// ErrCompareLost: the change was not made, because what it compared is no longer so.
	ErrCompareLost = errors.New("compare lost")
	// ErrLeaseLost: the lease has expired or was revoked, and every key under it is gone.
	ErrLeaseLost = errors.New("lease lost")
	// ErrDiverged: the server's history leaves the upstream's before its own end.
	ErrDiverged = errors.New("histories diverge")
	// ErrForbidden: a tail was asked for with a token that nobody gave.
	ErrForbidden = errors.New("token does not match")
	// ErrWALGone: the upstream no longer has the WAL that the standby needs next, and no archive is set up to bring it.
	ErrWALGone = errors.New("needed WAL is gone")
	// ErrNotPossible: this server, version or configuration cannot do it, now or later.
	ErrNotPossible = errors.New("not possible here")
)

// Store is the cluster's keys. Reads are linearizable. Each call keeps to its context's deadline, rotating away from a
// sick endpoint within it.
type Store interface {
	// Read returns one consistent read of all keys. A value that cannot be read stands in Garbage and is no error.
	Read(ctx context.Context) (watchdog.Cluster, error)
	// Events returns the newest events, oldest first.
	Events(ctx context.Context, newest int) ([]watchdog.Event, error)
	// Watch sends whenever a key other than primary.term has changed since it was last received from, and when the watch
	// broke: it says only that a read is worth while. The channel has room for one and is closed when ctx ends.
	Watch(ctx context.Context) <-chan struct{}
	// Grant asks for a lease and makes it the one for all the sidecar's own keys.
	Grant(ctx context.Context, ttl time.Duration) (lease int64, err error)
	// Resume makes a lease of an earlier process of this member the one to use, if it is still alive: else ErrLeaseLost.
	Resume(ctx context.Context, lease int64) error
	// KeepAlive renews the lease once. ErrLeaseLost when it is gone.
	KeepAlive(ctx context.Context) error
	// Apply makes the change or none of it, and returns its revision. ErrCompareLost when a compare failed.
	Apply(ctx context.Context, change watchdog.Change) (revision int64, err error)
	// Close lets the connection go, and leaves the lease alive.
	Close() error
}

// Position is the end of a server's WAL.
type Position struct {
	Timeline watchdog.Timeline
	End      watchdog.LSN
	Exact    bool
	Archive  bool // an archive may still be read past End
}

// Promotion is what a promotion came to.
type Promotion struct {
	Timeline watchdog.Timeline
	Fork     watchdog.LSN
	Steps    map[string]time.Duration
}

// Postgres is the server beside the sidecar. Every call is bounded by its context. No call but those that say so touches
// the data directory's files, so that dead storage cannot keep the loop from fencing (F52).
type Postgres interface {
	// Observe asks the process table and one bounded query on a kept connection. It does not touch the data directory
	// but for a short look at postmaster.pid and standby.signal, and never blocks longer than ctx. Times are left zero.
	// What it could not find out is unknown in it, never guessed; alive says whether an answer (or an error that proves
	// life, such as too many connections) came.
	Observe(ctx context.Context) (server watchdog.Server, alive bool)
	// Knock opens a new connection and waits for the first answer. nil, or an error that the server itself sent (too many
	// connections, a refused password), prove life; see Alive.
	Knock(ctx context.Context) error
	// ProbeStorage writes and syncs a small file in the data and the WAL directory. It may hang as long as the disk does.
	ProbeStorage() error
	// Exited returns a channel that is closed when the running postmaster exits (pidfd), and its pid; nil and 0 when none runs.
	Exited() (<-chan struct{}, int)
	// Broken returns a channel that receives when the kept connection was cut by the server: worth an Observe at once.
	Broken() <-chan struct{}

	// Fence stops the server at once and returns when no process of the data directory is left. gentle: an immediate
	// shutdown is asked for first and given 150 ms; else SIGKILL at once.
	Fence(ctx context.Context, gentle bool) error
	// Latch lays standby.signal (before 12 recovery.conf) in the data directory.
	Latch(ctx context.Context) error
	// Unlatch takes it away again.
	Unlatch(ctx context.Context) error

	// Start removes left-over triggers, latches, points primary_conninfo at upstream (detached: empties it) and starts the
	// server. It returns when the postmaster runs, not when it is consistent.
	Start(ctx context.Context, upstream watchdog.Upstream) error
	// Stop asks for a fast shutdown and returns when no process is left.
	Stop(ctx context.Context) error
	// Repoint rewrites primary_conninfo on a running standby, by reload (13+) or restart.
	Repoint(ctx context.Context, upstream watchdog.Upstream) error
	// Prod makes a standby try its upstream again at once: reload, or restart. ErrWALGone when the upstream was asked for
	// the WAL that the standby needs next and said that it is removed.
	Prod(ctx context.Context, upstream watchdog.Upstream, restart bool) error
	// HangUp detaches a running standby for good and returns when no receiver process is left.
	HangUp(ctx context.Context) error
	// EndOfWAL returns the exact end of a running standby's WAL that has hung up, or what is known with Exact false.
	EndOfWAL(ctx context.Context) (Position, error)
	// DeadEnd returns the end of a stopped server's WAL: exact after a clean shutdown, else the end of the last page with a
	// valid header at or after hint.
	DeadEnd(ctx context.Context, timeline watchdog.Timeline, hint watchdog.LSN) (Position, error)
	// ServeTail writes the raw WAL of the timeline in [from, to) to w.
	ServeTail(ctx context.Context, timeline watchdog.Timeline, from, to watchdog.LSN, w io.Writer) error
	// LayTail reads raw WAL of the timeline in [from, to), from being a page's start at or before our own end, checks page
	// headers, and lays it into the WAL directory, written beside and renamed. It returns how far it got.
	LayTail(ctx context.Context, timeline watchdog.Timeline, from, to watchdog.LSN, r io.Reader) (watchdog.LSN, error)
	// PageStart returns where the WAL page begins that holds the position. How big a page is was chosen when PostgreSQL was built.
	PageStart(ctx context.Context, at watchdog.LSN) (watchdog.LSN, error)
	// NextTimeline returns a number above every history that this server knows.
	NextTimeline(ctx context.Context) (watchdog.Timeline, error)
	// Promote makes the standby promote to exactly that timeline: placeholders (which stay: a standby asks its primary for the
	// history of every number on the way), resumed replay, ended sessions, trigger and
	// wake; it returns when the server is writable. step is called before each step, for crash points and timings.
	Promote(ctx context.Context, timeline watchdog.Timeline, step func(name string)) (Promotion, error)
	// Synchronise makes every commit of a primary wait for sync, and returns a position after which each has; on a standby it
	// is in force once that is promoted, and the position is 0.
	Synchronise(ctx context.Context, sync watchdog.Sync) (from watchdog.LSN, err error)
	// Obstacles says what speaks against shutting the primary down just now.
	Obstacles(ctx context.Context) ([]watchdog.Obstacle, error)
	// LowCommits says for whom synchronous_commit is set lower than on.
	LowCommits(ctx context.Context) ([]string, error)
	// KnockAt is Knock at another member's server.
	KnockAt(ctx context.Context, address string) error
	// Kill kills the postmaster, and it alone, by SIGKILL. What is left of its server is not looked after.
	Kill(ctx context.Context) error
	// Reload has the server read its settings anew, and says for people what changed and what waits for a restart. An error where
	// something in its files is wrong.
	Reload(ctx context.Context) (said string, err error)
	// PendingRestart lists the settings that wait for a restart.
	PendingRestart(ctx context.Context) ([]string, error)
	// Checkpoint asks for one and waits.
	Checkpoint(ctx context.Context) error
	// History returns where the timeline forked off its parent, from the server's own history file.
	History(ctx context.Context, timeline watchdog.Timeline) (fork watchdog.LSN, err error)

	// Receipt keeps what only this stopped server has past fork: the segments and a summary. Idempotent by term.
	Receipt(ctx context.Context, term watchdog.Term, timeline watchdog.Timeline, fork watchdog.LSN) (summary string, err error)
	// Rewind runs pg_rewind on the stopped server against upstream and mends the settings that it copied. ErrNotPossible
	// when it cannot work here. step is called before each step.
	Rewind(ctx context.Context, upstream watchdog.Upstream, step func(name string)) error
	// RewindReady says why a rewind would not work, empty if it would. It opens a session on the upstream.
	RewindReady(ctx context.Context) (why string)
	// Clone copies upstream beside the data directory, starts the copy, and swaps once it streams. step as above.
	Clone(ctx context.Context, upstream watchdog.Upstream, step func(name string)) error
}

// Guard fences when the sidecar cannot.
type Guard interface {
	// Ensure makes sure that a guard runs for the postmaster pid, starting or adopting one. 0: for none yet.
	Ensure(ctx context.Context, pid int) error
	// Arm sets the instant at which the guard fences unless fed again. It is a store to shared memory, and returns
	// once the guard has acknowledged if it was disarmed.
	Arm(deadline watchdog.Instant) error
	// Deadline is what the guard is armed with, 0 when it is not: a restarted sidecar takes its trust back from it.
	Deadline() watchdog.Instant
	// Disarm lets the guard rest. Only after the server is verified gone or is a standby.
	Disarm() error
	// Exited returns a channel that is closed when the guard's process is gone.
	Exited() <-chan struct{}
}

// Pools is the connection pools in front of the servers. Who resumes them is for their keeper to see from the record.
type Pools interface {
	// Pause has the pools hold their clients, for the operation of that id, and returns when they do, or within a bound of its
	// own with an error. What waits for open transactions goes on until ctx ends.
	Pause(ctx context.Context, operation string) error
}

// Peers is the other sidecars.
type Peers interface {
	// Heartbeat tells the member at api of ourselves, and returns what it says of itself. answered: the host answered,
	// be it with a refusal or a reset.
	Heartbeat(ctx context.Context, api string, self watchdog.Member) (peer watchdog.Member, answered bool, err error)
	// Failsafe asks the member at api to let us go on though etcd is lost.
	Failsafe(ctx context.Context, api string, question watchdog.FailsafeQuestion) (watchdog.FailsafeAnswer, error)
	// Tail asks for the raw WAL in [from, tail.End).
	Tail(ctx context.Context, tail watchdog.Tail, from watchdog.LSN) (io.ReadCloser, error)
}
