package alert

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

const (
	// lookEvery is how often the sidecar's standing is looked at, which costs etcd nothing.
	lookEvery = time.Second
	// netEvery is how often the leader looks at the outbox though it knows of nothing new.
	netEvery = time.Minute
	// storeBound is the bound of a look at the outbox.
	storeBound = 5 * time.Second
	// pageOf so many events are read at once.
	pageOf = 100
	// refusals of one alert, after which it is passed over.
	refusals = 10
)

// Pause is the rest after so many failures in a row.
func Pause(failures int) time.Duration {
	return min(time.Second<<min(max(failures, 1)-1, 10), 2*time.Minute)
}

// Options is what a Notifier works with.
type Options struct {
	Cluster  string
	Routes   []Route
	Store    Store
	Standing func() Standing // returns at once
	// Tell writes an event that changes nothing else: an alert that was passed over is one too.
	Tell func(ctx context.Context, kind watchdog.EventKind, reason watchdog.Reason, message string, facts map[string]string) error
	Log  *slog.Logger
}

// Notifier delivers alerts while its sidecar leads.
type Notifier struct {
	options    Options
	deliveries []*delivery
}

// New returns a Notifier.
func New(o Options) *Notifier {
	n := &Notifier{options: o}
	for _, r := range o.Routes {
		n.deliveries = append(n.deliveries, &delivery{
			options: o, route: r, log: o.Log.With("sink", r.Name), wake: make(chan struct{}, 1),
		})
	}
	return n
}

// Run delivers until ctx ends, and returns when nothing of it runs any more.
func (n *Notifier) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	for _, d := range n.deliveries {
		running.Go(func() { d.run(ctx) })
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last Standing
	var woken time.Time
	for {
		now := n.options.Standing()
		if now.Leads && (now != last || time.Since(woken) >= netEvery) {
			woken = time.Now()
			for _, d := range n.deliveries {
				d.signal()
			}
		}
		last = now
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
