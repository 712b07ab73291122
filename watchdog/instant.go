package watchdog

import "time"

// Instant is a reading of CLOCK_BOOTTIME: the time since this machine booted, suspend included. Instants of two machines
// have nothing to do with each other, and none is ever sent to another. Zero means never.
type Instant time.Duration

// Add returns the instant d later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Since returns the time from earlier to i.
func (i Instant) Since(earlier Instant) time.Duration { return time.Duration(i - earlier) }
