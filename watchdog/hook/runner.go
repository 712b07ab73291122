package hook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// Options is what a Runner is made of.
type Options struct {
	Cluster  string
	StateDir string // for hooks.json
	Hooks    Config
	Wall     func() time.Time // for people
	Log      *slog.Logger
}

// Source is where the runner sees the member's part in the cluster: a *sidecar.Sidecar.
type Source interface {
	Snapshot() sidecar.Snapshot
	Changed() <-chan struct{}
}

// Runner runs the hooks of one member.
type Runner struct {
	options Options
	journal *journal
	metrics metrics
	started bool // on_start is begun
}

// Open reads what has been run. Nothing is run yet.
func Open(o Options) (*Runner, error) {
	j, err := openJournal(filepath.Join(o.StateDir, "hooks.json"))
	if err != nil {
		return nil, err
	}
	if p := j.kept.Running; p != nil && p.Event.Event == OnStart {
		j.kept.Running = nil // this start has its own
	}
	return &Runner{options: o, journal: j, metrics: newMetrics()}, nil
}

// retryEvery is the pause after the journal could not be written, and the net beneath the changes.
const retryEvery = 5 * time.Second

// Run runs what is owed, one after another, until ctx ends.
func (r *Runner) Run(ctx context.Context, source Source) error {
	changed := source.Changed()
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		for ctx.Err() == nil && r.step(ctx, source) {
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
		}
	}
}

// step runs one event, or the rest of one that was begun, and says whether another may be owed.
func (r *Runner) step(ctx context.Context, source Source) (more bool) {
	k, snapshot := r.journal.read(), source.Snapshot()
	now := standingOf(snapshot)
	if k.Running != nil {
		return now.known && r.finish(ctx, source, *k.Running)
	}
	kind, term := k.next(now, r.started)
	if kind == "" {
		return false
	}
	e := eventOf(kind, term, snapshot)
	e.Cluster, e.Time = r.options.Cluster, r.options.Wall()
	if err := r.journal.change(func(k *kept) { k.begin(e) }); err != nil {
		r.options.Log.Error("hook not begun: it could not be noted", "event", kind, "term", term, "error", err)
		return false
	}
	r.started = r.started || kind == OnStart
	return r.finish(ctx, source, progress{Event: e})
}

// finish runs the commands of an event that are left.
func (r *Runner) finish(ctx context.Context, source Source, p progress) (more bool) {
	commands := r.options.Hooks.Of(p.Event.Event)
	for p.Done < len(commands) && !p.Event.over(standingOf(source.Snapshot())) {
		_ = r.execute(ctx, commands[p.Done], p.Event)
		if interrupted(ctx) {
			return false // it was ended with us, and is owed
		}
		p.Done++
		noted := p
		if err := r.journal.change(func(k *kept) { k.Running = &noted }); err != nil {
			r.options.Log.Error("hook not noted: it may be run again", "event", p.Event.Event, "term", p.Event.Term, "error", err)
		}
	}
	if left := len(commands) - p.Done; left > 0 {
		r.options.Log.Warn("hook overtaken: the role that it is about is over", "event", p.Event.Event, "term", p.Event.Term, "commands_left", left)
	}
	if err := r.journal.change(func(k *kept) { k.Running = nil }); err != nil {
		r.options.Log.Error("hook not noted: it may be run again", "event", p.Event.Event, "term", p.Event.Term, "error", err)
		return false
	}
	return true
}

// execute runs one command, logs and counts it.
func (r *Runner) execute(ctx context.Context, c Command, e Event) error {
	began := time.Now()
	said, err := Execute(ctx, c, e)
	took := time.Since(began)
	if err != nil && interrupted(ctx) {
		return err
	}
	r.metrics.note(e.Event, took, err)
	log := r.options.Log.With("event", e.Event, "term", e.Term, "command", c.String(), "after", took.Round(time.Millisecond), "output", said)
	if err != nil {
		log.Warn("hook failed", "error", err)
	} else {
		log.Info("hook done")
	}
	if err != nil && said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// interrupted: not because its time is up.
func interrupted(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// BeforePromote runs before_promote for the term that the view's record names, what is done of it excepted. It returns an
// error if a required command has failed, now or earlier in this term; any other failure is logged.
func (r *Runner) BeforePromote(ctx context.Context, v watchdog.View) error {
	term, commands := v.Cluster.Record.Term, r.options.Hooks.BeforePromote
	b := r.journal.read().Before
	if b.Term != term {
		b = before{Term: term}
	}
	e := eventOf(BeforePromote, term, sidecar.Snapshot{View: v})
	e.Cluster, e.Time = r.options.Cluster, r.options.Wall()
	for b.Veto == "" && b.Done < len(commands) {
		c := commands[b.Done]
		err := r.execute(ctx, c, e)
		if interrupted(ctx) {
			return ctx.Err() // by a fence or our own end: it has not been answered
		}
		if err != nil && c.Required {
			b.Veto = err.Error()
		}
		b.Done++
		if err := r.journal.change(func(k *kept) { k.Before = b }); err != nil {
			r.options.Log.Error("hook not noted: it may be run again", "event", BeforePromote, "term", term, "error", err)
		}
	}
	if b.Veto != "" {
		return vetoed(b.Veto)
	}
	return nil
}

// vetoed is why a member will not be promoted.
type vetoed string

func (v vetoed) Error() string { return "before_promote says no: " + string(v) }
