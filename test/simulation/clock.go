package simulation

import (
	"math/rand/v2"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// layer is which process of a host an event belongs to: each can be stopped or killed by itself.
type layer uint8

const (
	nobody  layer = iota // of the world: clients, etcd, faults
	sidecar              // the sidecar
	server               // PostgreSQL
	guard                // the guard
	layers
)

// event is one thing that happens at a time. One that belongs to a process is dropped if that process is not the same any
// more, and waits while the process is stopped.
type event struct {
	at    int64 // true time, in nanoseconds
	n     *node
	fn    func()
	life  uint32
	layer layer
}

// schedule is a binary heap, by time and then by order of entry. What is moved about in it holds no pointers, which spares
// the garbage collector: the events themselves stay in their places.
type schedule struct {
	heap   []due
	events []event
	free   []uint32
	seq    uint32
}

type due struct {
	at        int64
	seq, slot uint32
}

func (d due) before(other due) bool { return d.at < other.at || d.at == other.at && d.seq < other.seq }

func (q *schedule) push(e event) {
	q.seq++
	var slot uint32
	if last := len(q.free) - 1; last >= 0 {
		slot, q.free = q.free[last], q.free[:last]
		q.events[slot] = e
	} else {
		slot, q.events = uint32(len(q.events)), append(q.events, e)
	}
	d := due{e.at, q.seq, slot}
	q.heap = append(q.heap, d)
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !d.before(q.heap[parent]) {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = d
}

func (q *schedule) pop() event {
	top, last := q.heap[0], len(q.heap)-1
	e, d := q.events[top.slot], q.heap[last]
	q.events[top.slot].fn = nil
	q.free, q.heap = append(q.free, top.slot), q.heap[:last]
	i := 0
	for last > 0 {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && q.heap[child+1].before(q.heap[child]) {
			child++
		}
		if !q.heap[child].before(d) {
			break
		}
		q.heap[i] = q.heap[child]
		i = child
	}
	if last > 0 {
		q.heap[i] = d
	}
	return e
}

// after has fn happen in the world, d of true time from now.
func (w *world) after(d time.Duration, fn func()) {
	w.queue.push(event{at: w.now + int64(max(d, 0)), fn: fn})
}

// step lets the next event happen. It says false when there is none before the end.
func (w *world) step(end int64) bool {
	if len(w.queue.heap) == 0 || w.queue.heap[0].at > end {
		w.now = max(w.now, end)
		return false
	}
	e := w.queue.pop()
	w.now = e.at
	w.steps++
	w.happen(e)
	return true
}

func (w *world) happen(e event) {
	switch {
	case e.n == nil:
		e.fn()
	case e.n.life[e.layer] != e.life:
	case e.n.stopped(e.layer):
		e.n.held = append(e.n.held, e)
	default:
		e.fn()
	}
}

// after has fn happen in that process of the host, d from now by the host's clock.
func (n *node) after(l layer, d time.Duration, fn func()) {
	n.world.queue.push(event{at: n.world.now + int64(float64(max(d, 0))/n.rate), n: n, layer: l, life: n.life[l], fn: fn})
}

// local is the host's CLOCK_BOOTTIME.
func (n *node) local() watchdog.Instant {
	now := n.world.now
	if n.frozen && n.hiddenPause {
		now = n.frozenAt
	}
	return watchdog.Instant(n.base + int64(float64(now-n.hidden-n.bootedAt)*n.rate))
}

// between draws a duration.
func between(rng *rand.Rand, low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(rng.Int64N(int64(high-low)))
}

func chance(rng *rand.Rand, p float64) bool { return rng.Float64() < p }
