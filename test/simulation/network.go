package simulation

import "time"

// network is every pair of hosts in both directions; the last host is etcd.
type network struct {
	cut  [maxHosts][maxHosts]int // how many faults hold it cut
	slow [maxHosts][maxHosts]int
	wait [maxHosts][maxHosts][]func() // held back until the link is whole
}

const maxHosts = 6

func (w *world) etcdHost() int { return maxHosts - 1 }

// send has fn happen at the other end, or never. What meets a cut link may arrive when it is whole again, as TCP has it.
func (w *world) send(from, to int, fn func()) {
	if w.net.cut[from][to] > 0 {
		if chance(w.rng, 0.4) {
			w.net.wait[from][to] = append(w.net.wait[from][to], fn)
		}
		return
	}
	w.after(w.delay(from, to), fn)
}

func (w *world) delay(from, to int) time.Duration {
	d := between(w.rng, w.latency/2, w.latency*2)
	switch {
	case w.net.slow[from][to] > 0:
		d += between(w.rng, 50*time.Millisecond, 1200*time.Millisecond)
	case chance(w.rng, 0.004):
		d += between(w.rng, 20*time.Millisecond, 400*time.Millisecond)
	}
	return d
}

func (w *world) cutLink(from, to, by int) {
	w.net.cut[from][to] += by
	if w.net.cut[from][to] > 0 {
		return
	}
	held := w.net.wait[from][to]
	w.net.wait[from][to] = nil
	for _, fn := range held {
		w.after(w.delay(from, to), fn)
	}
}

// reaches says whether packets pass both ways.
func (w *world) reaches(a, b int) bool {
	return w.net.cut[a][b] == 0 && w.net.cut[b][a] == 0
}
