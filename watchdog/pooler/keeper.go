package pooler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// Store is what of the cluster's keys a Keeper needs.
type Store interface {
	Read(ctx context.Context) (watchdog.Cluster, error)
	Apply(ctx context.Context, change watchdog.Change) (int64, error)
}

// Options is what a Keeper works with.
type Options struct {
	Member string
	Config Config
	Store  Store
	Wall   func() time.Time // for people
	Log    *slog.Logger
}

// Source is where the Keeper sees the member's part in the cluster: a *sidecar.Sidecar.
type Source interface {
	Snapshot() sidecar.Snapshot
	Changed() <-chan struct{}
}

// Keeper pauses the pools when its sidecar carries a switchover out, and resumes those that it is to resume.
type Keeper struct {
	options  Options
	consoles []console

	mu     sync.Mutex
	paused string          // the operation for which we have begun to pause, until the pools are resumed
	over   <-chan struct{} // closed when our sidecar carries that operation out no more
}

// Open reads the consoles' conninfos. Nothing is connected to yet.
func Open(o Options) (*Keeper, error) {
	consoles, err := o.Config.open()
	return &Keeper{options: o, consoles: consoles}, err
}

// Pause pauses all pools at once, and returns when all are, or when the bound is over. The consoles are kept until ctx ends,
// so that a PAUSE that still waits for transactions to end is not given up by PgBouncer meanwhile. What did not succeed is an error.
func (k *Keeper) Pause(ctx context.Context, operation string) error {
	k.mu.Lock()
	k.paused, k.over = operation, ctx.Done()
	k.mu.Unlock()
	bound := time.NewTimer(k.options.Config.Limit())
	defer bound.Stop()
	ended := make(chan error, len(k.consoles))
	for _, c := range k.consoles {
		go func() { ended <- c.say(ctx, k.options.Config.statements("PAUSE"), pausedAlready) }()
	}
	var failed error
	for range k.consoles {
		select {
		case err := <-ended:
			failed = errors.Join(failed, err)
		case <-bound.C:
			return errors.Join(failed, fmt.Errorf("the pools are not all paused within %s: open transactions are waited for no longer", k.options.Config.Limit()))
		}
	}
	return failed
}

const (
	// lookEvery is the net beneath the changes.
	lookEvery = time.Second
	// storeBound is the bound of one call to etcd.
	storeBound = 3 * time.Second
)

// Run resumes what is to be resumed, until ctx ends.
func (k *Keeper) Run(ctx context.Context, source Source) error {
	changed := source.Changed()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var owed string // the operation after which the pools are to be resumed, since when we have seen so
	var since time.Time
	for {
		s := source.Snapshot()
		if r := recordOf(s); r != nil {
			switch {
			case !r.PoolsOwed():
				owed = ""
			case owed != r.Pools.Operation:
				owed, since = r.Pools.Operation, time.Now()
			}
			if r.PoolsToResume(s.Writable, time.Since(since)) || k.stray(*r) {
				k.resume(ctx, *r)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
		}
	}
}

func recordOf(s sidecar.Snapshot) *watchdog.Record {
	if s.View.Cluster == nil {
		return nil
	}
	return s.View.Cluster.Record
}

// stray says that we have paused pools of which the record says nothing any more: another has resumed them, perhaps before our
// own PAUSE arrived. While our sidecar is at it the record that was last read may only be older.
func (k *Keeper) stray(r watchdog.Record) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.paused == "" || r.Pools != nil {
		return false
	}
	select {
	case <-k.over:
		return true
	default:
		return false
	}
}

// resume resumes all pools at once, and says so in the record once each has answered.
func (k *Keeper) resume(ctx context.Context, r watchdog.Record) {
	bounded, cancel := context.WithTimeout(ctx, resumeBound)
	defer cancel()
	failed := make([]error, len(k.consoles))
	var all sync.WaitGroup
	for i, c := range k.consoles {
		all.Go(func() { failed[i] = c.say(bounded, k.options.Config.statements("RESUME"), notPaused) })
	}
	all.Wait()
	if err := errors.Join(failed...); err != nil {
		k.options.Log.Warn("connection pools not resumed, and tried again", "error", err)
		return
	}
	k.mu.Lock()
	k.paused = ""
	k.mu.Unlock()
	if r.Pools == nil {
		return
	}
	k.options.Log.Info("connection pools resumed", "operation", r.Pools.Operation)
	if err := k.tell(ctx, r.Pools.Operation); err != nil {
		k.options.Log.Warn("that connection pools are resumed could not be written down: they are resumed again", "error", err)
	}
}

// tell takes the pools out of the record, unless they are paused for another operation by now.
func (k *Keeper) tell(ctx context.Context, operation string) error {
	bounded, cancel := context.WithTimeout(ctx, storeBound)
	defer cancel()
	for {
		c, err := k.options.Store.Read(bounded)
		if err != nil || c.Record == nil || c.Record.Pools == nil || c.Record.Pools.Operation != operation {
			return err
		}
		change := watchdog.PoolsResumedChange(c, k.options.Member)
		change.Record.Since, change.Event.Time, change.Event.Member = k.options.Wall(), k.options.Wall(), k.options.Member
		if _, err := k.options.Store.Apply(bounded, change); !errors.Is(err, sidecar.ErrCompareLost) {
			return err
		}
	}
}
