package election

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The pause after every endpoint has failed, doubled with each round: an etcd that elects its leader is back within moments,
// and one that refuses our password is not to be asked for it all the time.
const leastRest, longestRest = 50 * time.Millisecond, 400 * time.Millisecond

// request is what is asked of one endpoint, and how its answers are to be taken.
type request[T any] struct {
	what string
	ask  func(ctx context.Context, e *endpoint) (T, error)
	// final says of an error that etcd has spoken: no other endpoint is asked.
	final func(error) bool
	// doubtful says of an answer that it may be an effect of another attempt at the same request.
	doubtful func(T) bool
}

// answer is what one attempt came to.
type answer[T any] struct {
	endpoint int
	value    T
	err      error
}

// race is one request on its way. Only the caller's goroutine touches it.
type race[T any] struct {
	pool    *pool
	request request[T]
	answers chan answer[T]
	running []bool
	first   int // endpoint with which a round begins
	next    int // how far the round has got
	rest    time.Duration
	unknown bool
	lastErr error
}

// send sends the request to one endpoint after the other until one answers. certain is false when the answer is doubtful
// and another attempt's outcome is not known.
func send[T any](ctx context.Context, p *pool, req request[T]) (value T, certain bool, err error) {
	ctx, cancel, slice := p.bound(ctx)
	defer cancel()
	first, _ := p.current()
	r := &race[T]{
		pool: p, request: req, first: first, rest: leastRest,
		answers: make(chan answer[T], len(p.endpoints)), running: make([]bool, len(p.endpoints)),
	}
	return r.run(ctx, slice)
}

func (r *race[T]) run(ctx context.Context, slice time.Duration) (value T, certain bool, err error) {
	patience := time.NewTimer(slice)
	defer patience.Stop()
	var doubtful *answer[T]
	r.askNext(ctx)
	for {
		select {
		case <-ctx.Done():
			if doubtful != nil {
				return doubtful.value, false, nil
			}
			return value, false, r.failure(ctx)
		case <-patience.C:
			if doubtful != nil {
				return doubtful.value, false, nil
			}
			if !r.askNext(ctx) {
				r.next = 0
				r.askNext(ctx)
			}
			patience.Reset(slice)
		case a := <-r.answers:
			r.running[a.endpoint] = false
			switch {
			case a.err != nil && r.request.final(a.err):
				r.won(a)
				return value, true, fmt.Errorf("%s: %w", r.request.what, a.err)
			case a.err != nil:
				r.unknown, r.lastErr = true, fmt.Errorf("etcd at %s: %w", r.pool.endpoints[a.endpoint].address, a.err)
				if doubtful == nil && !r.askNext(ctx) {
					r.next = 0
					patience.Reset(r.rest)
					r.rest = min(2*r.rest, longestRest)
				}
			case r.request.doubtful == nil || !r.request.doubtful(a.value):
				r.won(a)
				return a.value, true, nil
			case doubtful == nil:
				r.won(a)
				doubtful = &a
				patience.Reset(slice) // an attempt that is still on its way may have been made, and say so
			}
			if doubtful != nil && (r.unknown || !r.anyRunning()) {
				return doubtful.value, !r.unknown, nil
			}
		}
	}
}

// askNext asks the round's next endpoint that is not being asked already. It says false when the round is over.
func (r *race[T]) askNext(ctx context.Context) bool {
	for r.next < len(r.running) {
		i := (r.first + r.next) % len(r.running)
		r.next++
		if r.running[i] {
			continue
		}
		started := r.pool.run(func() {
			value, err := r.request.ask(ctx, r.pool.endpoints[i])
			r.answers <- answer[T]{i, value, err}
		})
		r.running[i] = started
		return started
	}
	return false
}

// won notes which endpoint answered.
func (r *race[T]) won(a answer[T]) { r.pool.use(a.endpoint, errors.Join(errSlow, r.lastErr)) }

// errSlow stands in the log when an endpoint is left.
var errSlow = errors.New("another endpoint answered first")

func (r *race[T]) anyRunning() bool {
	for _, running := range r.running {
		if running {
			return true
		}
	}
	return false
}

func (r *race[T]) failure(ctx context.Context) error {
	if r.lastErr == nil {
		return fmt.Errorf("%s: no answer from etcd: %w", r.request.what, context.Cause(ctx))
	}
	return fmt.Errorf("%s: no answer from etcd: %w (last: %w)", r.request.what, context.Cause(ctx), r.lastErr)
}
