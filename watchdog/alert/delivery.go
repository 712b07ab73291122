package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// delivery is one sink's goroutine.
type delivery struct {
	options Options
	route   Route
	log     *slog.Logger
	wake    chan struct{}

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

// turn delivers what the outbox holds. Where another has moved the cursor it ends without an error, to look again.
func (d *delivery) turn(ctx context.Context) error {
	box, err := d.look(ctx)
	if err != nil {
		return err
	}
	switch {
	case box.revision == 0:
		d.done = Cursor{}
		d.log.Info("sink is new, and is told of what happens from now on")
		return d.move(ctx, &box, box.newest())
	case len(box.events) > 0 && box.newest().Term < box.cursor.Term:
		d.done = Cursor{}
		d.log.Warn("cursor is ahead of the history, which must be another's: going on from the present",
			"cursor_term", box.cursor.Term, "term", box.newest().Term)
		return d.move(ctx, &box, box.newest())
	case box.cursor.Before(d.done):
		if err := d.move(ctx, &box, d.done); err != nil || box.revision == 0 {
			return err
		}
	}
	if len(box.events) >= allEvents && box.cursor.Before(At(box.events[0])) {
		d.log.Error("events were pruned before the sink had them", "after_term", box.cursor.Term, "after_seq", box.cursor.Seq)
	}
	return d.empty(ctx, &box)
}

// look reads the cursor and the events.
func (d *delivery) look(ctx context.Context) (box outbox, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeBound)
	defer cancel()
	if box.cursor, box.revision, err = d.options.Store.AlertCursor(ctx, d.route.Name); err != nil {
		return box, err
	}
	for _, newest := range []int{someEvents, allEvents} {
		if box.events, err = d.options.Store.Events(ctx, newest); err != nil {
			return box, err
		}
		if box.revision == 0 || len(box.events) < newest || !box.cursor.Before(At(box.events[0])) {
			break
		}
	}
	return box, nil
}

// empty delivers the events after the cursor while we lead.
func (d *delivery) empty(ctx context.Context, box *outbox) error {
	passed := box.cursor // and not yet noted
	for i, e := range box.events {
		if !box.cursor.Before(At(e)) {
			continue
		}
		if ctx.Err() != nil || !d.options.Standing().Leads {
			break
		}
		passed = At(e)
		a := Of(d.options.Cluster, box.events, i).from(d.route.Least)
		if !a.Severity.Reaches(d.route.Least) {
			continue
		}
		if err := d.deliver(ctx, a); err != nil {
			return err
		}
		d.done = At(e)
		if err := d.move(ctx, box, passed); err != nil || box.revision == 0 {
			return err
		}
	}
	if box.cursor.Before(passed) {
		return d.move(ctx, box, passed)
	}
	return nil
}

// deliver hands one alert to the sink.
func (d *delivery) deliver(ctx context.Context, a Alert) error {
	bounded, cancel := context.WithTimeout(ctx, d.route.Timeout)
	defer cancel()
	err := d.route.Sink.Deliver(bounded, a)
	switch {
	case err == nil:
		if d.failures > 0 {
			d.log.Info("alerts go again", "after_failures", d.failures)
		}
		d.log.Debug("alert delivered", "id", a.ID, "key", a.Key, "status", a.Status)
	case errors.Is(err, ErrRefused):
		if d.refused++; d.refused < refusals {
			return fmt.Errorf("deliver %s: %w", a.ID, err)
		}
		d.log.Error("alert passed over: the receiver goes on refusing it", "id", a.ID, "error", err)
	default:
		return fmt.Errorf("deliver %s: %w", a.ID, err)
	}
	d.failures, d.refused = 0, 0
	return nil
}

// noteWithin bounds the noting of what has been delivered: it is still done when ctx has ended meanwhile.
const noteWithin = 2 * time.Second

// move notes how far the sink has got. Where another has moved the cursor, the outbox is left with no revision, and is
// looked at again.
func (d *delivery) move(ctx context.Context, box *outbox, to Cursor) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	revision, err := d.options.Store.MoveAlertCursor(bounded, d.route.Name, to, box.revision)
	if errors.Is(err, sidecar.ErrCompareLost) {
		d.log.Debug("another has moved the cursor")
		box.revision = 0
		d.signal()
		return nil
	}
	if err != nil {
		return fmt.Errorf("note that events up to %s are told: %w", name(to), err)
	}
	box.cursor, box.revision = to, revision
	return nil
}

func name(c Cursor) string { return fmt.Sprintf("%d-%d", c.Term, c.Seq) }
