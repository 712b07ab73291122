package alert

import (
	"sync"
	"time"
)

// SinkStatus is how a sink fares. Counters are of this process.
type SinkStatus struct {
	Name      string
	Delivered uint64 // alerts that the receiver took
	Failed    uint64 // attempts that failed
	Skipped   uint64 // events passed over: refused for good, or unreadable
	Lost      uint64 // events, at most, that were removed from etcd before the sink had them

	// While this member leads; else zero.
	Waiting      int       // events that the sink has not passed
	OldestAt     time.Time // when the oldest of them was written, by its writer's wall clock; zero: none waits
	FailingSince time.Time // the first of the failures in a row; zero: the last attempt went well
	Error        string    // of the last attempt
}

// For says for how long the sink has been failing, and the age of the oldest event that waits; 0: neither.
func (s SinkStatus) For(now time.Time) (failing, oldest time.Duration) {
	return age(now, s.FailingSince), age(now, s.OldestAt)
}

// age is how long ago that was: 0 for the zero time, and for what another's clock has in our future.
func age(now, at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return max(0, now.Sub(at))
}

// state is a SinkStatus in the making.
type state struct {
	mu  sync.Mutex
	now SinkStatus
}

func (s *state) edit(change func(*SinkStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.now)
}

// queue notes what waits.
func (s *state) queue(p Page) { s.left(p, 0) }

// left notes that so many of the page's events are dealt with.
func (s *state) left(p Page, done int) {
	s.edit(func(now *SinkStatus) {
		now.Waiting, now.OldestAt = p.Waiting-done, time.Time{}
		if done < len(p.Entries) {
			now.OldestAt = p.Entries[done].Time
		}
	})
}

func (s *state) delivered() {
	s.edit(func(now *SinkStatus) { now.Delivered++; now.FailingSince, now.Error = time.Time{}, "" })
}

func (s *state) skipped() {
	s.edit(func(now *SinkStatus) { now.Skipped++; now.FailingSince, now.Error = time.Time{}, "" })
}

func (s *state) lost(n uint64) { s.edit(func(now *SinkStatus) { now.Lost += n }) }

func (s *state) failed(err error, at time.Time) {
	s.edit(func(now *SinkStatus) {
		now.Failed++
		if now.Error = err.Error(); now.FailingSince.IsZero() {
			now.FailingSince = at
		}
	})
}

// status is what is known now, by one who leads or not.
func (s *state) status(leads bool) SinkStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !leads {
		s.now.Waiting, s.now.OldestAt, s.now.FailingSince, s.now.Error = 0, time.Time{}, time.Time{}, ""
	}
	return s.now
}

// Status says how each sink fares, in the order of the routes. It may be called from any goroutine.
func (n *Notifier) Status() (all []SinkStatus) {
	leads := n.options.Standing().Leads
	for _, d := range n.deliveries {
		status := d.state.status(leads)
		status.Name = d.route.Name
		all = append(all, status)
	}
	return all
}
