// Package guard is the second process, which fences when the sidecar cannot: because it has died, is stopped, or starves.
// Both ends are here. Guard is the sidecar's, Run is the guard process's.
//
// The two share one page of memory (an unlinked memfd) that holds the deadline: the instant of CLOCK_BOOTTIME at which the
// guard fences. The sidecar feeds the guard by storing a later one; the guard is not woken for that. It sleeps until the
// deadline that it knows, looks whether there is a later one, and sleeps again, or fences.
//
//	disarmed ──Arm──▶ armed ──deadline passes──▶ fired ──no process left──▶ exit
//	   ▲  │             │ ▲
//	   │  └─sidecar     │ └─Arm (fed)
//	   │    gone: exit  │
//	   └────Disarm──────┘
//
// Each step is one compare-and-swap on that word, so that a deadline is either fed in time or fired, never both: Arm says
// ErrFired, and a sidecar that is told so must not believe that its server accepts writes.
//
// What it promises:
//
//   - A guard that was armed fences when it is not fed, whatever becomes of the sidecar, and goes on until no process of the
//     data directory is left, its postmaster's exit notwithstanding: backends outlive it (F3, F49).
//   - It touches no disk once it is ready: it has gone through all its motions once, with its memory locked where it is
//     allowed to be. Only after it has fenced does it write a line to its log.
//   - A sidecar that is started again finds it by <StateDir>/guard.json, maps the same page through /proc, and feeds the same
//     word. PostgreSQL does not notice.
//   - A guard for another postmaster takes over before the one before it is let go, and carries the deadline.
//   - An armed guard takes the addresses down under which clients find the primary as it fences, beside and not before; a
//     disarmed one does so as it ends after its sidecar, if the server has ended.
//   - A disarmed guard ends with its sidecar; an armed one ignores SIGTERM until it is disarmed.
//
// What it does not promise:
//
//   - Anything while the whole machine is paused, or the guard itself is stopped. Arm notices the latter, once the deadline
//     that the guard knows has passed and it has not stirred.
//   - That memory is locked and priority raised: that takes rights (LimitMEMLOCK, CAP_SYS_NICE). Status says what was had.
//
// The page's words may be added to by later versions, and never change their meaning: a sidecar meets guards that an older
// version has started.
package guard
