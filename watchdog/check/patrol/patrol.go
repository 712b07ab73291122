package patrol

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/check"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

const (
	// every is how long a member rests between two looks.
	every = 5 * time.Minute
	// soon is how long it waits for the first, when a look was not worth while, and to see whether an error lasts.
	soon = 5 * time.Second
	// again is how long it rests while an error lasts, so that it is not told for long after it was mended.
	again = 30 * time.Second
	// bound is the longest that a look may take.
	bound = 20 * time.Second
	// keptEvents caps the history in etcd, as a failover does.
	keptEvents = 1000
	// file in the state directory keeps what was last told of.
	file = "findings.json"
)

// Store is what the patrol needs of etcd.
type Store interface {
	// Health says how each endpoint is.
	Health(ctx context.Context) []check.Endpoint
	// Apply writes an event.
	Apply(ctx context.Context, change watchdog.Change) (revision int64, err error)
}

// Source is the sidecar.
type Source interface{ Snapshot() sidecar.Snapshot }

// Clock is by how much another member's wall clock is before ours, and by how much that may be wrong.
type Clock struct{ Off, Error time.Duration }

// Options is what a Patrol is made of.
type Options struct {
	Member   string
	StateDir string
	Store    Store
	// Inspect looks at the host, the server and the others, within ctx.
	Inspect func(ctx context.Context, others []check.Other) check.Host
	// Clocks asks the members for theirs; one that does not answer is left out.
	Clocks func(ctx context.Context, members map[string]watchdog.Registered) map[string]Clock
	Wall   func() time.Time
	Log    *slog.Logger
}

// Patrol is one member's.
type Patrol struct {
	options Options

	mu     sync.Mutex
	report check.Report
	before []check.Finding // by the look before, errors included that are not sure yet
	told   []check.Finding
}

// New makes a patrol that knows what an earlier process of this member has told of.
func New(o Options) *Patrol {
	p := &Patrol{options: o}
	if data, err := os.ReadFile(filepath.Join(o.StateDir, file)); err == nil {
		if err := json.Unmarshal(data, &p.told); err != nil {
			o.Log.Warn("what was found before cannot be read, and is told again", "file", file, "error", err)
		}
	}
	return p
}

// Report is what the last look came to.
func (p *Patrol) Report() check.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.report
}

// Run looks now and then until ctx ends.
func (p *Patrol) Run(ctx context.Context, source Source) error {
	wait := time.NewTimer(soon)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
		}
		next := soon
		if s := source.Snapshot(); worthWhile(s) {
			next = p.look(ctx, s.View)
		}
		wait.Reset(next)
	}
}

// worthWhile says whether the member is at rest in a cluster that is.
func worthWhile(s sidecar.Snapshot) bool {
	v := s.View
	if v.Cluster == nil || v.Cluster.Record == nil || v.Cluster.Record.Phase != watchdog.PhaseNormal || v.Flight.Kind != "" {
		return false
	}
	return v.Server.Role == watchdog.RolePrimary || v.Server.Role == watchdog.RoleStandby
}

// look looks once, tells of what has changed, and says when to look again.
func (p *Patrol) look(ctx context.Context, v watchdog.View) time.Duration {
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	others := slices.DeleteFunc(Others(*v.Cluster, p.options.Member), func(o check.Other) bool {
		role := v.Cluster.Members[o.Name].Role
		return role != watchdog.RolePrimary && role != watchdog.RoleStandby // what is down is told by status
	})
	if p.options.Clocks != nil {
		clocks := p.options.Clocks(bounded, v.Cluster.Members)
		for i := range others {
			c := clocks[others[i].Name]
			others[i].ClockOff, others[i].ClockError = c.Off, c.Error
		}
	}
	host := p.options.Inspect(bounded, others)
	host.Member, host.Policy, host.Adopted = p.options.Member, v.Policy, true
	found := check.OfHost(host, p.options.Wall())
	endpoints := p.options.Store.Health(bounded)
	for i := range endpoints {
		endpoints[i].Policy = v.Policy
	}
	found = append(found, check.OfStore(p.options.Member, endpoints)...)
	if ctx.Err() != nil || bounded.Err() != nil {
		return soon // a look that was cut short says nothing
	}
	check.Sort(found)
	sure := p.sure(found)
	p.mu.Lock()
	p.report = check.Report{At: p.options.Wall(), Findings: sure}
	p.mu.Unlock()
	p.tell(bounded, *v.Cluster.Record, sure)
	switch {
	case len(sure) < len(found):
		return soon
	case check.Worst(sure) == check.Error:
		return again
	}
	return every
}

// sure leaves out the errors that the look before has not found: a server that is restarted just then refuses everybody.
func (p *Patrol) sure(found []check.Finding) []check.Finding {
	fresh, _ := check.Changed(p.before, found)
	p.before = found
	return slices.DeleteFunc(slices.Clone(found), func(f check.Finding) bool {
		return f.Severity == check.Error && slices.Contains(fresh, f)
	})
}

// Others are the members of a cluster but the one named, as they are to be reached.
func Others(c watchdog.Cluster, but string) (others []check.Other) {
	for name, m := range c.Members {
		if name != but && !m.Witness && m.Address != "" {
			others = append(others, check.Other{Name: name, Address: m.Address})
		}
	}
	return others
}

// tell writes an event of what is new, and of what is no longer so.
func (p *Patrol) tell(ctx context.Context, r watchdog.Record, found []check.Finding) {
	fresh, over := check.Changed(p.told, found)
	if len(fresh)+len(over) == 0 {
		return
	}
	for _, f := range fresh {
		p.options.Log.Warn("check", "finding", f.Name, "severity", f.Severity, "about", f.About, "what", f.What, "mend", f.Mend)
	}
	for _, f := range over {
		p.options.Log.Info("check: no longer so", "finding", f.Name, "about", f.About, "what", f.What)
	}
	event := eventOf(fresh, over)
	event.Term, event.Seq, event.Time, event.Member = r.Term, r.Seq, p.options.Wall(), p.options.Member
	if _, err := p.options.Store.Apply(ctx, watchdog.Change{Event: &event, PruneEvents: keptEvents}); err != nil {
		p.options.Log.Debug("findings not told", "error", err)
		return
	}
	p.told = found
	if err := sidecar.Save(filepath.Join(p.options.StateDir, file), found); err != nil {
		p.options.Log.Warn("findings not noted, and told again after a restart", "error", err)
	}
}
