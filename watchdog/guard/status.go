package guard

import (
	"errors"

	"github.com/pgvigil/pgvigil/watchdog"
)

// What Ensure, Arm and Disarm say by errors.Is.
var (
	// ErrNone: no guard runs.
	ErrNone = errors.New("no guard")
	// ErrFired: the guard's deadline has passed, and it has fenced or is about to.
	ErrFired = errors.New("guard has fired")
	// ErrUnresponsive: the guard's process lives and does not stir.
	ErrUnresponsive = errors.New("guard does not respond")
)

// Status is what a guard's memory says of it.
type Status struct {
	PID        int
	Postmaster int              // for which it was started, 0: for none yet
	Orphaned   bool             // that postmaster has exited
	Ready      watchdog.Instant // since when
	Deadline   watchdog.Instant // 0: disarmed, or fired
	Fired      watchdog.Instant // when it began to fence
	Fenced     watchdog.Instant // when no process was left
	Failures   int              // how often fencing ended with processes left, and was begun again

	MemoryLocked bool // nothing that it needs can be paged out
	RealTime     bool // SCHED_FIFO
	Nice         bool // priority -20
	OOMExempt    bool // the kernel does not kill it for memory
}

func (m *memory) status() Status {
	rights := m.rights.Load()
	s := Status{
		Orphaned:     m.orphaned.Load() != 0,
		Ready:        watchdog.Instant(m.ready.Load()),
		Fired:        watchdog.Instant(m.firedAt.Load()),
		Fenced:       watchdog.Instant(m.fencedAt.Load()),
		Failures:     int(m.failures.Load()),
		MemoryLocked: rights&rightMemory != 0,
		RealTime:     rights&rightScheduler != 0,
		Nice:         rights&rightNice != 0,
		OOMExempt:    rights&rightOOM != 0,
	}
	if d := m.deadline.Load(); d > 0 {
		s.Deadline = watchdog.Instant(d)
	}
	return s
}
