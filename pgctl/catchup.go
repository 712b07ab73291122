package pgctl

import (
	"context"
	"syscall"
	"time"
)

const (
	catchUpTick = 5 * time.Millisecond
	// catchUpWait bounds the wait for replay before a promotion is asked for: past it something else holds replay back, which
	// the promotion itself deals with.
	catchUpWait = 2 * time.Second
)

// catchUp wakes the startup process until it has replayed the last whole record that is there. One that has just looked for more
// WAL in vain looks for the trigger next: a tail that was laid in between, with the trigger right behind it, would be passed over,
// and what it holds lost.
func (p *promotion) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	err := poll(ctx, catchUpTick, func() (bool, error) {
		at, err := p.positions(ctx)
		if err != nil {
			return false, err
		}
		if !at.recovering || at.replayed == 0 {
			return true, nil
		}
		more, err := p.moreToReplay(ctx, at)
		if err != nil || !more {
			return true, err
		}
		if time.Since(p.movedAt) >= blockedTick {
			p.clearTheWay(ctx)
		}
		return false, p.signal(syscall.SIGHUP)
	})
	if err != nil {
		p.log.Warn("promoting before all WAL is replayed: replay goes on first", "error", err)
	}
}
