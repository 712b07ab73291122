package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgvigil/pgvigil/pgctl/writer"
	"github.com/pgvigil/pgvigil/watchdog"
)

const (
	// drillWrites are acknowledged before the primary is changed, so that there is something to lose.
	drillWrites = 50
	// The bounds of a drill's steps.
	writeBound = 15 * time.Second
	legBound   = time.Minute
	wholeBound = 2 * time.Minute
	dropBound  = 10 * time.Second
	// wholeEvery is how often it is looked whether the cluster is whole: what is measured is not to be disturbed.
	wholeEvery = 250 * time.Millisecond
)

// rehearse sets the table up, writes, changes the primary, reads back, and files the report.
func (d *drill) rehearse(ctx context.Context, conn *pgx.Conn, cluster watchdog.Cluster) (result drillResult, err error) {
	if err := setUp(ctx, conn); err != nil {
		return result, err
	}
	defer func() {
		if dropped := d.tearDown(context.WithoutCancel(ctx)); dropped != nil {
			err = errors.Join(err, fail(exitPostgres, fmt.Errorf("drop what the drill wrote: %w: do it by hand, DROP SCHEMA pgvigil_drill CASCADE", dropped)))
		}
	}()
	var ids atomic.Int64
	o := writer.Options{Table: writer.Table, IDs: &ids}
	for name, m := range cluster.Members {
		if !m.Witness {
			o.Targets = append(o.Targets, writer.Target{Name: name, Conninfo: d.conninfo(m.Address)})
		}
	}
	w := writer.Start(o)
	defer w.Stop()
	if err := until(ctx, writeBound, lookEvery, func() bool { return w.Acked() >= drillWrites }); err != nil {
		return result, fail(exitPostgres, fmt.Errorf("no %d writes were acknowledged within %s: see that every member can be written to from here", drillWrites, writeBound))
	}
	result = drillResult{Cluster: d.cfg.Cluster, Kill: d.kill}
	for _, op := range d.plan(cluster.Record.Primary) {
		leg, err := d.change(ctx, w, op)
		if err != nil {
			return result, err
		}
		result.Legs = append(result.Legs, leg)
		if !leg.OK {
			break
		}
	}
	w.Stop()
	if err := d.readBack(ctx, w, &result); err != nil {
		return result, err
	}
	result.judge()
	if _, err := d.request(ctx, watchdog.Request{Drill: result.filed()}); err != nil {
		return result, fmt.Errorf("file the report in the history: %w", err)
	}
	return result, nil
}

// setUp makes the table. What an earlier drill left is not touched: it may be under way.
func setUp(ctx context.Context, conn *pgx.Conn) error {
	bounded, cancel := context.WithTimeout(ctx, writeBound)
	defer cancel()
	switch err := writer.CreateSchema(bounded, conn); {
	case errors.Is(err, writer.ErrSchemaExists):
		return fail(exitRefused, fmt.Errorf("%w: another drill is under way, or was ended; if none is, DROP SCHEMA %s CASCADE", err, writer.Schema))
	case err != nil:
		return fail(exitPostgres, fmt.Errorf("make room to write to: %w: give --user a role that may", err))
	}
	return nil
}

// tearDown drops the table from whoever is primary now.
func (d *drill) tearDown(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, dropBound)
	defer cancel()
	conn, err := d.connectToPrimary(bounded)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return writer.DropSchema(bounded, conn)
}

func (d *drill) connectToPrimary(ctx context.Context) (*pgx.Conn, error) {
	cluster, err := d.readRecord(ctx)
	if err != nil {
		return nil, err
	}
	m, there := cluster.Members[cluster.Record.Primary]
	if !there {
		return nil, fail(exitRefused, fmt.Errorf("nobody is primary: term %d is %s", cluster.Record.Term, cluster.Record.Phase))
	}
	return d.connect(ctx, m.Address)
}

// plan lists what is done, one after the other.
func (d *drill) plan(primary string) []func() watchdog.Operation {
	if d.kill {
		return []func() watchdog.Operation{func() watchdog.Operation {
			op := newOperation(watchdog.OperationKill)
			op.From = primary
			return op
		}}
	}
	switchover := func(to string) func() watchdog.Operation {
		return func() watchdog.Operation {
			op := newOperation(watchdog.OperationSwitchover)
			op.To, op.Bound = to, watchdog.Duration(10*time.Second)
			return op
		}
	}
	return []func() watchdog.Operation{switchover(""), switchover(primary)}
}

// change has the primary changed once, waits until the cluster is whole again, and measures.
func (d *drill) change(ctx context.Context, w *writer.Writer, begin func() watchdog.Operation) (leg drillLeg, err error) {
	before, err := d.readRecord(ctx)
	if err != nil {
		return leg, err
	}
	op := begin()
	op.From = before.Record.Primary
	from := time.Now()
	if _, err := d.request(ctx, watchdog.Request{Operation: &op}); err != nil {
		return leg, err
	}
	ended, err := d.await(ctx, op.ID, legBound, func(events []watchdog.Event) (outcome, bool) { return judgeHandOver(op.ID, op.From, events) })
	if err != nil {
		return leg, err
	}
	leg = drillLeg{What: string(op.Kind), From: op.From, To: ended.To, Term: ended.Term, OK: ended.OK, Message: ended.Message}
	if !ended.OK {
		return leg, nil
	}
	whole := until(ctx, wholeBound, wholeEvery, func() bool {
		cluster, err := d.readRecord(ctx)
		return err == nil && mayDrill(*cluster.Record, buildReport(d.cfg.Cluster, cluster, d.lives(ctx, cluster))) == nil && w.AckedSince(ended.To, from) > 0
	})
	leg.GapMS, leg.WholeMS = milliseconds(w.Gap(from)), milliseconds(time.Since(from))
	if whole != nil {
		leg.OK, leg.Message = false, fmt.Sprintf("%s; the cluster was not whole again within %s: see pgvigil status", leg.Message, wholeBound)
	}
	events, err := d.events(ctx, allEvents)
	if err != nil {
		return leg, err
	}
	leg.TimingsMS = stepsOf(uint64(ended.Term), events)
	return leg, nil
}

// stepsOf collects how long the steps of a term's change of hands took.
func stepsOf(term uint64, events []watchdog.Event) map[string]float64 {
	steps := map[string]float64{}
	for _, e := range events {
		if uint64(e.Term) == term && e.Kind != watchdog.EventDrill {
			maps.Copy(steps, e.TimingsMS)
		}
	}
	return steps
}

func (d *drill) readBack(ctx context.Context, w *writer.Writer, result *drillResult) error {
	bounded, cancel := context.WithTimeout(ctx, writeBound)
	defer cancel()
	conn, err := d.connectToPrimary(bounded)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	v, err := w.Verify(bounded, conn)
	if err != nil {
		return fail(exitPostgres, err)
	}
	result.Acked, result.Lost, result.Phantom = v.Acked, len(v.Lost), len(v.Phantom)
	return nil
}

// until asks so often until so says yes, or the bound is over.
func until(ctx context.Context, within, every time.Duration, so func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
