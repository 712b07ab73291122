package pgctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

const (
	// lookBound is how long an observation waits for the files when it knows what they said before.
	lookBound = 20 * time.Millisecond
	// firstLookBound is how long it does when it knows nothing.
	firstLookBound = 200 * time.Millisecond
	// controlAge is how old what the control file says of settings may be.
	controlAge = 5 * time.Second
)

// files is what a look at the data directory last showed. Each look is on a goroutine of its own, one at a time: storage
// that hangs holds that goroutine and nobody else (F52).
type files struct {
	mu      sync.Mutex
	pending chan struct{} // closed when the look under way is done
	seen    fileState
}

// fileState is what one look showed.
type fileState struct {
	known     bool
	latched   bool
	stopping  bool     // the postmaster says that it shuts down (10 and up)
	pidFile   []string // postmaster.pid's lines
	upstream  string   // by recovery.conf, before 12
	stamp     watchdog.Term
	control   control
	controlAt time.Time // zero: it could not be read
	problem   string
}

// look looks at the files and waits a little for it. It returns what is known by then.
func (in *Instance) look(ctx context.Context) fileState {
	f := &in.files
	f.mu.Lock()
	if f.pending == nil {
		f.pending = make(chan struct{})
		go in.lookAtFiles(f.seen, f.pending)
	}
	pending, before := f.pending, f.seen
	f.mu.Unlock()
	bound := lookBound
	if !before.known {
		bound = firstLookBound
	}
	t := time.NewTimer(bound)
	defer t.Stop()
	select {
	case <-pending:
	case <-ctx.Done():
	case <-t.C:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// forget makes the next look wait for an answer.
func (f *files) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = fileState{}
}

func (in *Instance) lookAtFiles(before fileState, done chan struct{}) {
	now := in.readFiles(before)
	if before.known && !slices.Equal(before.pidFile, now.pidFile) {
		in.locate()
	}
	f := &in.files
	f.mu.Lock()
	f.seen, f.pending = now, nil
	f.mu.Unlock()
	close(done)
}

func (in *Instance) readFiles(before fileState) fileState {
	now := fileState{known: true, control: before.control, controlAt: before.controlAt}
	if _, err := os.Stat(filepath.Join(in.config.DataDir, "PG_VERSION")); err != nil {
		now.problem = in.directoryProblem(err)
	}
	_, err := os.Lstat(in.latchFile())
	now.latched = err == nil
	lines := pidFileLines(in.config.DataDir)
	if len(lines) >= 8 {
		now.stopping = strings.HasPrefix(lines[7], "stopping")
	}
	now.pidFile = lines[:min(len(lines), 5)]
	if in.version.recoveryConf {
		now.upstream, now.stamp = in.recoveryUpstream()
	}
	if now.controlAt.IsZero() || time.Since(now.controlAt) > controlAge || !slices.Equal(before.pidFile, now.pidFile) {
		ctx, cancel := context.WithTimeout(context.Background(), controlAge)
		defer cancel()
		if c, err := in.control(ctx); err == nil {
			now.control, now.controlAt = c, time.Now()
		}
	}
	return now
}

func (in *Instance) directoryProblem(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("%v at %s: mount it, or run pgvigil reinit for a new copy", ErrNoDataDir, in.config.DataDir)
	}
	return fmt.Sprintf("%s %v: %v; mend its storage", in.config.DataDir, ErrUnreadable, err)
}

// recoveryUpstream is where recovery.conf points.
func (in *Instance) recoveryUpstream() (address string, stamp watchdog.Term) {
	data, err := os.ReadFile(in.latchFile())
	if err != nil {
		return "", 0
	}
	value, _ := parseConf(string(data)).get("primary_conninfo")
	return upstreamOf(value)
}

// upstreamOf is the address that a primary_conninfo leads to, empty if none, and the term that its name is stamped with.
func upstreamOf(value string) (address string, stamp watchdog.Term) {
	c, err := parseConninfo(value)
	if err != nil {
		return "", 0
	}
	_, stamp = unstamped(c.get("application_name"))
	return c.address(), stamp
}
