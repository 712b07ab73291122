package sidecar

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Clock is the sidecar's time.
type Clock interface {
	// Now reads CLOCK_BOOTTIME.
	Now() watchdog.Instant
	// Wall is for people: logs and events.
	Wall() time.Time
}

// Options is everything that a sidecar is made of.
type Options struct {
	Cluster  string
	Identity watchdog.Identity // what configuration knows of us: name, address, API, priority, site, tags
	Version  string            // of pgvigil
	Policy   watchdog.Policy   // for creating the cluster's; the one in etcd is in force
	StateDir string            // for the member's own state file

	Store    Store
	Postgres Postgres
	Guard    Guard
	Peers    Peers
	Clock    Clock
	Log      *slog.Logger

	// BeforePromote is asked once our server has been named, beside all that comes before its promotion, for at most half of
	// promote_wait; an error is our veto, and gives the term back. nil: nobody is asked.
	BeforePromote func(ctx context.Context, v watchdog.View) error

	// Pools pauses the connection pools in front of the servers for a switchover; nil: there are none.
	Pools Pools

	// Crash is called with the name of each numbered step of a promotion, hand-over or rejoin. Tests end the process there.
	Crash func(step string)
}

// Refusal is a sidecar's own decision to end, PostgreSQL left as it was.
type Refusal struct {
	Reason  watchdog.Reason
	Message string // what, where, what to do next
}

// Error is the message.
func (r *Refusal) Error() string { return fmt.Sprintf("%s (%s)", r.Message, r.Reason) }
