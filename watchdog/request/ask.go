package request

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// Store is what of the cluster's keys a request needs.
type Store interface {
	// Read is one linearizable look.
	Read(ctx context.Context) (watchdog.Cluster, error)
	// Apply makes the change: sidecar.ErrCompareLost when something that it compares has changed; every other error means that
	// the outcome is unknown.
	Apply(ctx context.Context, change watchdog.Change) (int64, error)
}

var (
	// ErrRefused: it may not be asked for, or not as the cluster stands. Nothing was written.
	ErrRefused = errors.New("refused")
	// ErrUnread: the cluster could not be read, and nothing was written.
	ErrUnread = errors.New("the cluster cannot be read")
)

var errChanging = errors.New("the cluster changes too often just now: try again")

// tries bounds how often a request is judged anew, because the record has changed under it.
const tries = 5

// Ask puts the request into the record, with the time now for people, and returns the record's new sequence number.
func Ask(ctx context.Context, store Store, r watchdog.Request, now func() time.Time) (seq uint64, err error) {
	for range tries {
		cluster, err := store.Read(ctx)
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrUnread, err)
		}
		change, err := r.Change(cluster)
		if err != nil {
			return 0, Refusal{err}
		}
		stamp(&change, r.By, now())
		if _, err := store.Apply(ctx, change); !errors.Is(err, sidecar.ErrCompareLost) {
			return change.Record.Seq, err
		}
	}
	return 0, Refusal{errChanging}
}

// Refusal is ErrRefused in the words of the one who refused.
type Refusal struct{ Why error }

// Error is the refusal for people.
func (r Refusal) Error() string { return r.Why.Error() }

// Unwrap makes it ErrRefused too.
func (r Refusal) Unwrap() []error { return []error{ErrRefused, r.Why} }

// stamp adds who writes a change by hand, and when.
func stamp(c *watchdog.Change, by string, now time.Time) {
	record, event := *c.Record, *c.Event
	record.Since, event.Time, event.Member = now, now, by
	c.Record, c.Event = &record, &event
}
