package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// A tail that did not come is asked for again so often, and so far apart.
const (
	tailRetries    = 5
	tailRetryPause = 40 * time.Millisecond
)

// errNoEnd says that there is nothing to fetch: the old primary could not say how far its WAL reaches.
var errNoEnd = errors.New("its member did not say where it ends")

// fetchTail hangs up and lays in what the one before had and we have not, for no longer than the policy says.
func (p *promotion) fetchTail(ctx context.Context) error {
	r, pg := p.view.Cluster.Record, p.options.Postgres
	if p.view.Server.ReloadsConninfo() || p.view.Server.Receiver {
		if err := p.timed("hang_up", func() error { return pg.HangUp(ctx) }); err != nil {
			return fmt.Errorf("hang up from the old primary: %w", err)
		}
	}
	p.options.Crash("detached")
	if r.Tail == nil || r.Tail.From == p.options.Identity.Name {
		return nil
	}
	err := p.timed("tail", func() error {
		bounded, cancel := context.WithTimeout(ctx, p.view.Policy.TailWait.D())
		defer cancel()
		return p.layTail(bounded, *r.Tail)
	})
	p.fetched.Failed = err != nil
	return p.goOn(*r.Tail, err)
}

// layTail is tried again: the other sidecar may just have started.
func (p *promotion) layTail(ctx context.Context, tail watchdog.Tail) error {
	look, done := context.WithTimeout(ctx, p.view.Policy.TailWait.D()/4) // a server that hangs must not cost us the tail
	server, _ := p.options.Postgres.Observe(look)
	done()
	own := max(server.Received, server.Replayed, p.view.Server.Received, p.view.Server.Replayed)
	p.fetched.Own = own
	if tail.Here(own, server.Timeline) {
		return nil
	}
	if tail.End == 0 {
		return errNoEnd
	}
	err := p.layFrom(ctx, tail, own)
	for again := 0; err != nil && again < tailRetries && ctx.Err() == nil; again++ {
		pause(ctx, tailRetryPause)
		err = p.layFrom(ctx, tail, max(own, p.fetched.Reached))
	}
	return err
}

// layFrom asks for the tail from the start of the page on that we end in.
func (p *promotion) layFrom(ctx context.Context, tail watchdog.Tail, own watchdog.LSN) error {
	from, err := p.options.Postgres.PageStart(ctx, own)
	if err != nil {
		return err
	}
	body, err := p.options.Peers.Tail(ctx, tail, from)
	if err != nil {
		return err
	}
	defer body.Close()
	got, err := p.options.Postgres.LayTail(ctx, tail.Timeline, from, tail.End, body)
	p.fetched.Reached = max(p.fetched.Reached, got)
	if err == nil && got < tail.End {
		err = fmt.Errorf("laid in to %s and not to %s", got, tail.End)
	}
	return err
}

// goOn says whether the promotion may go on with what came. That it does without all of it is noted on our disk first: a
// sidecar that takes the promotion over from us has to report it.
func (p *promotion) goOn(tail watchdog.Tail, why error) error {
	verdict := p.view.Cluster.Record.JudgeTail(p.fetched)
	switch {
	case errors.Is(verdict, watchdog.ErrTailRefused):
		return fmt.Errorf("%w: %w: %w", verdict, ErrNotPossible, why)
	case verdict != nil:
		return fmt.Errorf("%w: %w", verdict, why)
	case why == nil:
		return nil
	}
	p.log.Warn("tail not whole", "from", p.fetched.Reached, "to", tail.End, "member", tail.From, "error", why)
	if err := p.journal.change(func(k *kept) { k.TailLeft = p.view.Cluster.Record.Term }); err != nil {
		return fmt.Errorf("note that the tail was left behind: %w", err)
	}
	return nil
}
