package api

import (
	"sync"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// lagSamples reach back a quarter of an hour at four heartbeats a second; beyond that the memory grows coarser.
const lagSamples = 4096

// Lag knows how long ago the primary's WAL ended where this standby's replay ends now. It asks neither server: it
// remembers the positions that the primary's heartbeats told, and when, by this machine's clock alone. So an idle
// primary shows no lag, clocks that run apart do not matter, and it works for every version of PostgreSQL.
type Lag struct {
	now func() watchdog.Instant

	mu      sync.Mutex
	samples []lagSample // by position, which grows
}

type lagSample struct {
	at  watchdog.Instant // first heard
	end watchdog.LSN
}

// NewLag returns an empty memory that reads the time from now.
func NewLag(now func() watchdog.Instant) *Lag { return &Lag{now: now} }

// Note remembers what a primary said of its own position. Other members are passed over.
func (l *Lag) Note(m watchdog.Member) {
	if l == nil || m.Role != watchdog.RolePrimary || m.Received == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.samples); n > 0 {
		switch last := l.samples[n-1].end; {
		case m.Received == last:
			return
		case m.Received < last: // another primary, whose history is another
			l.samples = l.samples[:0]
		}
	}
	if len(l.samples) == lagSamples {
		l.thin()
	}
	l.samples = append(l.samples, lagSample{l.now(), m.Received})
}

// thin drops every other sample but never the oldest: what is long ago is remembered in coarser steps.
func (l *Lag) thin() {
	kept := l.samples[:0]
	for i, s := range l.samples {
		if i%2 == 0 {
			kept = append(kept, s)
		}
	}
	l.samples = kept
}

// Behind returns for how long the primary has been known to be past replayed: 0 when it is not. Since what came before
// the first sample is not known, it is a lower bound for a standby that lags from before this process began.
func (l *Lag) Behind(replayed watchdog.LSN) time.Duration {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.samples {
		if s.end > replayed {
			return l.now().Since(s.at)
		}
	}
	return 0
}
