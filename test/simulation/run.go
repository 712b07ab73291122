package simulation

import (
	"fmt"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Result is what a run came to.
type Result struct {
	Failure  *Failure
	Virtual  time.Duration
	Steps    int
	Faults   int
	Terms    int
	Acks     int
	Recovery time.Duration           // from the healing of the last fault until all was whole
	Reached  map[watchdog.Reason]int // how often each leaf of a decision was come to
	Trace    []string
}

// recoverWithin bounds how long the cluster may take to serve and be whole, once every fault is healed.
const recoverWithin = 60 * time.Second

// Run lets the story happen.
func Run(s Story, tracing bool) Result {
	w := newWorld(s, tracing)
	end := int64(s.Lasts)
	for w.check.failure == nil && w.step(end) {
	}
	result := func() Result {
		r := Result{Failure: w.check.failure, Virtual: time.Duration(w.now), Steps: w.steps, Faults: w.injected, Acks: w.check.acks, Reached: w.reached, Trace: w.lines}
		if record := w.etcd.c.Record; record != nil {
			r.Terms = int(record.Term)
		}
		return r
	}
	if w.check.failure != nil {
		return result()
	}
	w.trace("HEAL", "every fault is healed")
	w.heal()
	healed := w.now
	acksAt := w.check.acks
	var why string
	for w.check.failure == nil && w.now < healed+int64(recoverWithin) {
		target := w.now + int64(250*time.Millisecond)
		for w.check.failure == nil && w.step(target) {
		}
		if why = w.unwhole(acksAt); why == "" {
			break
		}
	}
	if w.check.failure == nil && why != "" {
		w.judgeStandstill(why)
	}
	if w.check.failure == nil {
		w.judgeEnd()
	}
	r := result()
	r.Recovery = time.Duration(w.now - healed)
	return r
}

// deadAfter is how long nobody has done anything where nobody ever will.
const deadAfter = 15 * time.Second

// judgeStandstill is I13 where nobody has anything left to do and it is not whole, else I11.
func (w *world) judgeStandstill(why string) {
	if w.now-w.actedAt < int64(deadAfter) {
		w.check.fail("I11", "%s after the last fault was healed: %s", recoverWithin, why)
		return
	}
	var waiting []string
	for _, n := range w.nodes {
		waiting = append(waiting, fmt.Sprintf("%s: %s (%s)", n.name, n.decision.Reason, n.decision.Detail))
	}
	w.check.fail("I13", "a dead end: %s, and everybody waits: %s", why, strings.Join(waiting, "; "))
}

// unwhole says what is still missing: a primary that serves, every other member streaming from it, every log the same.
func (w *world) unwhole(acksAt int) string {
	r := w.etcd.c.Record
	if r == nil || r.Phase != watchdog.PhaseNormal {
		return "the record is not at rest"
	}
	p := w.named(r.Primary).pg
	switch {
	case p.mode != primary || p.term != r.Term:
		return r.Primary + " is not primary"
	case r.Next != nil:
		return "the term is not settled"
	case r.Operation != nil:
		return "a " + string(r.Operation.Kind) + " has not ended"
	case w.check.acks == acksAt || w.check.lastAck < w.now-int64(time.Second):
		return "no commit is acknowledged"
	}
	for _, n := range w.nodes {
		s := n.pg
		source, _ := s.source()
		switch {
		case s == p:
		case s.mode != standby || source != p:
			return n.name + " does not stream from " + r.Primary
		case len(s.wal) < len(p.wal)-20 || p.wal.shared(s.wal) != len(s.wal):
			return fmt.Sprintf("%s does not have what %s has", n.name, r.Primary)
		}
	}
	if r.Durability.Mode != w.etcd.c.Policy.Durability {
		return fmt.Sprintf("durability is %s", r.Durability)
	}
	return ""
}

// judgeEnd is what must hold when all is whole: I2 in the final log, I12 where nothing was a reason for a failover.
func (w *world) judgeEnd() {
	p := w.named(w.etcd.c.Record.Primary).pg
	for _, a := range w.check.promised {
		if !p.wal.has(a.at, a.e) {
			w.check.fail("I2", "entry %d at %d was acknowledged under term %d and is not in the final log", a.e.id, a.at, a.e.term)
			return
		}
	}
	seen := map[uint32]bool{}
	for i, e := range p.wal {
		if e.id != 0 && seen[e.id] || e.id > w.writes || i > 0 && e.term < p.wal[i-1].term {
			w.check.fail("I3", "entry %d at %d of the final log was never written there", e.id, i)
			return
		}
		seen[e.id] = true
	}
	if !w.harmed && w.etcd.c.Record.Term != 1 {
		w.check.fail("I12", "the term is %d, and nothing happened that is a reason for a failover", w.etcd.c.Record.Term)
	}
}
