package election

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// errClosed is what requests get after Close.
var errClosed = errors.New("client is closed")

// pool is the endpoints and which of them is in use. It owns every goroutine of the package.
type pool struct {
	endpoints []*endpoint
	log       *slog.Logger
	base      context.Context // ends with close
	end       context.CancelFunc

	mu      sync.Mutex
	closed  bool
	inUse   int
	tenure  context.Context // ends when another endpoint comes into use
	depose  context.CancelFunc
	running sync.WaitGroup
}

func newPool(c Config) *pool {
	p := &pool{log: c.Log}
	p.base, p.end = context.WithCancel(context.Background())
	p.tenure, p.depose = context.WithCancel(p.base)
	for _, address := range c.Endpoints {
		p.endpoints = append(p.endpoints, newEndpoint(p.base, address, c))
	}
	return p
}

// run starts a goroutine that close waits for. It says false after close.
func (p *pool) run(work func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.running.Go(work)
	return true
}

// current returns the endpoint in use, and a context that ends when another comes into use.
func (p *pool) current() (int, context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inUse, p.tenure
}

// use makes the endpoint the one in use, because the one before was slow, silent or failed.
func (p *pool) use(i int, instead error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inUse == i || p.closed {
		return
	}
	p.log.Warn("etcd endpoint left", "endpoint", p.endpoints[p.inUse].address, "now", p.endpoints[i].address, "error", instead)
	p.inUse = i
	p.depose()
	p.tenure, p.depose = context.WithCancel(p.base)
}

// leave moves on from the endpoint, if it is the one in use.
func (p *pool) leave(i int, why error) {
	if current, _ := p.current(); current == i {
		p.use((i+1)%len(p.endpoints), why)
	}
}

// close ends everything that runs and waits for it. Twice is fine.
func (p *pool) close() {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	p.mu.Unlock()
	p.end()
	p.running.Wait()
	if closed {
		return
	}
	for _, e := range p.endpoints {
		e.close()
	}
}

// bound returns a context that ends with ctx, with the pool, and at the latest after the default budget; and how long one
// endpoint is waited for before the next is asked too.
func (p *pool) bound(ctx context.Context) (context.Context, context.CancelFunc, time.Duration) {
	cancel := context.CancelFunc(func() {})
	if _, limited := ctx.Deadline(); !limited {
		ctx, cancel = context.WithTimeout(ctx, defaultBudget)
	}
	deadline, _ := ctx.Deadline()
	ctx, stop := context.WithCancelCause(ctx)
	detach := context.AfterFunc(p.base, func() { stop(errClosed) })
	end := func() { detach(); stop(nil); cancel() }
	return ctx, end, slice(time.Until(deadline), len(p.endpoints))
}

// leastSlice is how long an endpoint is waited for at the least: longer than a healthy etcd needs, even on a slow disk.
const leastSlice = 150 * time.Millisecond

// slice is the part of a budget for which one of n endpoints is waited for before the next is asked too.
func slice(budget time.Duration, n int) time.Duration {
	return max(leastSlice, budget/time.Duration(n))
}
