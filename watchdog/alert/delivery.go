package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// delivery is one sink's goroutine.
type delivery struct {
	options Options
	route   Route
	log     *slog.Logger
	wake    chan struct{}
	state   state

	done     Cursor // this process has delivered up to here, noted in etcd or not
	failures int    // in a row
	refused  int    // times in a row that the receiver refused the event after done
}

// signal sends without waiting: one that lies there is as good as many.
func (d *delivery) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run empties the outbox whenever it is woken, and again after a pause as long as that fails and we lead.
func (d *delivery) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		}
		for d.options.Standing().Leads && ctx.Err() == nil {
			err := d.turn(ctx)
			if err == nil {
				d.failures = 0
			}
			if err == nil || ctx.Err() != nil {
				break
			}
			d.failures++
			if d.failures == 1 {
				d.log.Warn("alerts wait", "error", err)
			} else {
				d.log.Debug("alerts wait", "failures", d.failures, "error", err)
			}
			rest(ctx, Pause(d.failures))
		}
	}
}

func rest(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// box is what a turn works on.
type box struct {
	cursor   Cursor
	revision int64 // of the cursor's key; 0: there is none, or another has moved it
	page     Page
}

// turn delivers what the outbox holds, a page at a time. Where another has moved the cursor it ends without an error, to look
// again.
func (d *delivery) turn(ctx context.Context) error {
	for {
		b, err := d.look(ctx)
		if err != nil {
			return err
		}
		d.state.queue(b.page)
		if ready, err := d.prepare(ctx, &b); err != nil || !ready {
			return err
		}
		if err := d.empty(ctx, &b); err != nil || b.revision == 0 || len(b.page.Entries) == b.page.Waiting {
			return err
		}
		if ctx.Err() != nil || !d.options.Standing().Leads {
			return nil
		}
	}
}

// look reads the cursor, and the events after it and after what this process has delivered.
func (d *delivery) look(ctx context.Context) (b box, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeBound)
	defer cancel()
	if b.cursor, b.revision, err = d.options.Store.AlertCursor(ctx, d.route.Name); err != nil {
		return b, err
	}
	after := b.cursor.Revision
	if b.revision != 0 {
		after = max(after, d.done.Revision)
	}
	b.page, err = d.options.Store.Outbox(ctx, after, pageOf)
	return b, err
}

// prepare makes the cursor one to go on from. Not ready: another has moved it, or there is nothing before the present.
func (d *delivery) prepare(ctx context.Context, b *box) (ready bool, err error) {
	present := Cursor{Position: Position{Revision: b.page.Revision, Term: b.page.Newest.Term, Seq: b.page.Newest.Seq}}
	present.Paused = d.options.Standing().Paused
	switch {
	case b.cursor.Revision == 0:
		d.done = Cursor{}
		if begun, afresh := b.page.afresh(time.Now()); afresh {
			present = Cursor{Position: begun}
		}
		d.log.Info("sink is new, and is told of what happens from now on")
		d.signal() // for what may have happened since
		return false, d.move(ctx, b, present)
	case b.cursor.Revision > b.page.Revision:
		d.done = Cursor{}
		if err := d.confess(ctx, b.cursor, "etcd's history is another, and began anew"); err != nil {
			return false, err
		}
		d.signal()
		return false, d.move(ctx, b, present)
	case b.cursor.Before(d.done):
		if err := d.move(ctx, b, d.done); err != nil || b.revision == 0 {
			return false, err
		}
	}
	if lost := b.cursor.gap(b.page); lost > 0 {
		if b.cursor.Lost == 0 {
			if err := d.confess(ctx, b.cursor, fmt.Sprintf("%d events were removed from etcd before", lost)); err != nil {
				return false, err
			}
		}
		d.state.lost(lost)
		if err := d.move(ctx, b, b.cursor.skip(b.page, lost)); err != nil || b.revision == 0 {
			return false, err
		}
	}
	return true, nil
}

// afresh says whether the outbox begins with a record that was lost with all else in etcd, the cursors too, and has just been
// written again: nobody was told. It returns the position before it.
func (p Page) afresh(now time.Time) (begun Position, afresh bool) {
	const just = 10 * time.Minute
	if len(p.Entries) == 0 || p.Entries[0].Kind != watchdog.EventRestored || now.Sub(p.Entries[0].Time) > just {
		return Position{}, false
	}
	first := p.Entries[0]
	return Position{Revision: first.Revision - 1, Term: first.Term, Seq: first.Seq - 1}, true
}

// confess writes an event that the sink lost others.
func (d *delivery) confess(ctx context.Context, at Cursor, what string) error {
	message := fmt.Sprintf("alerts are lost to sink %s: %s it had those after term %d, event %d; see pgvigil history and status", d.route.Name, what, at.Term, at.Seq)
	d.log.Error("alerts are lost", "what", what, "after_term", at.Term, "after_seq", at.Seq)
	return d.options.Tell(ctx, watchdog.EventUndelivered, watchdog.ReasonAlertsLost, message, map[string]string{factSink: d.route.Name})
}

// empty delivers the page's events while we lead.
func (d *delivery) empty(ctx context.Context, b *box) error {
	at := b.cursor // and not yet noted
	for i, e := range b.page.Entries {
		if e.Garbage != "" {
			d.log.Error("event passed over: it cannot be read", "id", e.ID, "error", e.Garbage)
			d.state.skipped()
		}
		for at.Revision < e.Revision {
			if ctx.Err() != nil || !d.options.Standing().Leads {
				return nil
			}
			a, next := d.route.step(d.options.Cluster, at, e)
			if a == nil {
				at = next
				continue
			}
			next, err := d.hand(ctx, next, *a)
			if err != nil {
				return err
			}
			d.done, at = next, next
			if at.Revision == e.Revision {
				d.state.left(b.page, i+1)
			}
			if err := d.move(ctx, b, at); err != nil || b.revision == 0 {
				return err
			}
		}
	}
	if b.cursor.Before(at) {
		d.state.left(b.page, len(b.page.Entries))
		return d.move(ctx, b, at)
	}
	return nil
}

// hand gives one alert to the sink, and returns where that leaves its cursor.
func (d *delivery) hand(ctx context.Context, to Cursor, a Alert) (Cursor, error) {
	err := d.deliver(ctx, a)
	switch {
	case err == nil:
		if to.Lost > 0 {
			if err := d.confess(ctx, to, fmt.Sprintf("%d events in all were removed from etcd before", to.Lost)); err != nil {
				d.log.Warn("lost alerts are not in the history", "error", err) // the first that were lost are
			}
		}
		d.failures, d.refused = 0, 0
		d.state.delivered()
		return to.told(a), nil
	case errors.Is(err, ErrRefused) && d.refused+1 >= refusals:
		d.log.Error("alert passed over: the receiver goes on refusing it", "id", a.ID, "error", err)
		if a.Kind != watchdog.EventUndelivered { // which would have no end
			message := fmt.Sprintf("sink %s refused the alert of event %s %d times, and was not told it: %v", d.route.Name, a.ID, refusals, err)
			facts := map[string]string{factSink: d.route.Name, "alert": a.ID}
			if err := d.options.Tell(ctx, watchdog.EventUndelivered, watchdog.ReasonAlertRefused, message, facts); err != nil {
				return to, err
			}
		}
		d.failures, d.refused = 0, 0
		d.state.skipped()
		return to.passed(a), nil
	case errors.Is(err, ErrRefused):
		d.refused++
	}
	return to, fmt.Errorf("deliver %s: %w", a.ID, err)
}

// deliver makes one attempt.
func (d *delivery) deliver(ctx context.Context, a Alert) error {
	bounded, cancel := context.WithTimeout(ctx, d.route.Timeout)
	defer cancel()
	err := d.route.Sink.Deliver(bounded, a)
	if err != nil {
		d.state.failed(err, time.Now())
		return err
	}
	if d.failures > 0 {
		d.log.Info("alerts go again", "after_failures", d.failures)
	}
	d.log.Debug("alert delivered", "id", a.ID, "key", a.Key, "status", a.Status)
	return nil
}

// noteWithin bounds the noting of what has been delivered: it is still done when ctx has ended meanwhile.
const noteWithin = 2 * time.Second

// move notes how far the sink has got. Where another has moved the cursor, the box is left with no revision, and is
// looked at again.
func (d *delivery) move(ctx context.Context, b *box, to Cursor) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	revision, err := d.options.Store.MoveAlertCursor(bounded, d.route.Name, to, b.revision)
	if errors.Is(err, sidecar.ErrCompareLost) {
		d.log.Debug("another has moved the cursor")
		b.revision = 0
		d.signal()
		return nil
	}
	if err != nil {
		return fmt.Errorf("note that events up to %d-%d are told: %w", to.Term, to.Seq, err)
	}
	b.cursor, b.revision = to, revision
	return nil
}
