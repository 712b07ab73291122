package alert

import (
	"context"
	"errors"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// Store is what of the cluster's keys a Notifier needs. Reads are linearizable.
type Store interface {
	// Outbox returns the events that were written after the revision, at most limit of them in the order in which they were
	// written, and how the outbox stands.
	Outbox(ctx context.Context, after int64, limit int) (Page, error)
	// AlertCursor returns how far the sink of that name has got, and the revision that says so; 0: it has none yet.
	AlertCursor(ctx context.Context, sink string) (at Cursor, revision int64, err error)
	// MoveAlertCursor writes the cursor if its revision is still that (0: if there is none), and returns the new one.
	// sidecar.ErrCompareLost when it is not; every other error means that the outcome is unknown.
	MoveAlertCursor(ctx context.Context, sink string, to Cursor, revision int64) (int64, error)
}

// Entry is an event as it lies in the store.
type Entry struct {
	watchdog.Event
	ID       string // by its key, and no other's: term-seq, or term-seq-time
	Revision int64  // that it came with
	Garbage  string // why it cannot be read; then it has its place and no more
}

// Page is one read of the outbox.
type Page struct {
	Entries  []Entry
	Waiting  int      // events after the revision asked for, with those that the limit has left out
	Oldest   Position // of all that the store holds; zero if there are none
	Newest   Position // of all, by term and sequence number
	Revision int64    // of the store
}

// ErrRefused: the receiver has looked at this alert and will never take it.
var ErrRefused = errors.New("refused by the receiver")

// Sink is where alerts go.
type Sink interface {
	// Deliver returns nil once the receiver has taken the alert. It returns soon after ctx has ended, whatever the
	// receiver does.
	Deliver(ctx context.Context, a Alert) error
}

// Standing is what the Notifier needs to know of its sidecar.
type Standing struct {
	Leads  bool // it holds the leader key, as far as it knows
	Term   watchdog.Term
	Seq    uint64 // of the record: an event has come when it has grown
	Paused bool   // an operator has paused the cluster
}

// StandingOf reads it from the sidecar's last view.
func StandingOf(s sidecar.Snapshot) Standing {
	c, me := s.View.Cluster, s.View.Me
	if c == nil || me.CampaignKey == "" || c.LeaderKey != me.CampaignKey {
		return Standing{}
	}
	standing := Standing{Leads: true}
	if c.Record != nil {
		standing.Term, standing.Seq, standing.Paused = c.Record.Term, c.Record.Seq, c.Record.Paused != nil
	}
	return standing
}
