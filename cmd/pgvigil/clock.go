package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/watchdog"
)

// clock reads CLOCK_BOOTTIME, which goes on while the machine is suspended.
type clock struct{}

// Now is the time since this machine booted.
func (clock) Now() watchdog.Instant {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		// Linux has had it since 2.6.39. Without a clock nothing may be trusted to be in time.
		panic(fmt.Sprintf("read CLOCK_BOOTTIME: %v", err))
	}
	return watchdog.Instant(t.Nano())
}

// Wall is the time of day, for people.
func (clock) Wall() time.Time { return time.Now() }
