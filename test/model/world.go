package model

import "fmt"

// world is what one exploration is made in: the bounds, the logs that were seen, and the decisions that were asked for.
type world struct {
	Options
	*forest
	core *core
	out  []successor
}

// step is one that somebody takes; a and b are members or what the kind says.
type step struct {
	kind kind
	a, b uint8
}

type successor struct {
	step  step
	state state
	wrong string // the invariant that the step broke
}

func newWorld(o Options) *world {
	w := &world{Options: o, forest: newForest()}
	w.core = newCore(o.Servers)
	return w
}

// initial is a settled primary of term 1 that all others follow.
func (w *world) initial() state {
	begun := w.append(0, entryOf(1, 0))
	voters := w.Voters
	if voters == 0 {
		voters = w.Servers - 1
	}
	s := state{term: 1, primary: 1, taken: 1, takerTerm: 1, last: begun, promoted: 1 << 1}
	s.dur = quorumOf(w.K, uint8(1<<(voters+1)-2))
	for i := range w.Servers {
		s.m[i] = member{wal: begun, role: standby, up: 1, stamp: 1}
	}
	s.m[0] = member{wal: begun, role: primary, hold: 1, sync: s.dur, barrier: 2}
	if w.numbered() {
		s.number[1] = 1
	}
	w.normalise(&s)
	return s
}

// is says whether this world does without the rule.
func (w *world) is(without Rule) bool { return w.Without == without }

// dead: the member takes no step.
func (w *world) dead(i int) bool { return w.Mute&(1<<i) != 0 }

// emit adds where a step leads.
func (w *world) emit(k kind, a, b int, s *state, wrong string) {
	w.normalise(s)
	if wrong == "" {
		wrong = w.judge(s)
	}
	w.out = append(w.out, successor{step: step{k, uint8(a), uint8(b)}, state: *s, wrong: wrong})
}

// normalise makes one state of those that nobody can tell apart, and lets each standby tell its upstream at once what it
// has on disk: the answer is on its way for as long as the primary does not act on it, so that nothing is left out.
func (w *world) normalise(s *state) {
	if s.taken != 0 { // the tail is the winner's own affair now
		s.tfrom, s.ttl, s.twal, s.twhole = 0, 0, 0, 0
	}
	if s.promoted&(1<<s.takerTerm) != 0 { // it wrote: nobody asks any more what it was to reach
		s.reachTL, s.reach, s.reachFrom = 0, 0, 0
	}
	if !w.Degrade {
		s.firm = 0
	}
	for i := range w.Servers {
		m := &s.m[i]
		if m.bterm < s.term {
			m.bterm, m.bwal, m.ballot = 0, 0, 0
		}
		if m.promised < s.term {
			m.promised = 0
		}
		if m.hold == 0 {
			m.sync, m.old, m.barrier, m.need, m.flushed = 0, 0, 0, 0, [limit]uint8{}
		}
		if m.role == gone || m.hold != 0 {
			m.up, m.detached = 0, 0
		}
		if m.up == 0 {
			m.stamp, m.detached = 0, 0
		}
	}
	for i := range w.Servers {
		m := &s.m[i]
		if m.up == 0 || w.dead(i) {
			continue
		}
		p := &s.m[m.up-1]
		if p.hold != 0 && p.hold == m.stamp && p.role != gone && w.begins(m.wal, p.wal) {
			p.flushed[i] = max(p.flushed[i], w.length(m.wal))
		}
	}
	w.cover(s)
}

// judge says what in a state must never be.
func (w *world) judge(s *state) string {
	if s.phase != normal || s.next != 0 || s.dur == 0 || w.Without != "" {
		return ""
	}
	p := &s.m[s.primary-1]
	if p.hold != s.term {
		return ""
	}
	for _, q := range []quorum{p.sync, p.old, s.open[0], s.open[1]} {
		if (q&present != 0 || q == p.sync) && !w.core.covers(s.dur, q.bare()) {
			return fmt.Sprintf("an election by %s can miss what %s acknowledged", w.core.tellQuorum(s.dur), w.core.tellQuorum(q))
		}
	}
	return ""
}

// copies counts the voters that the server knows to have so much of its log.
func (s *state) copies(p *member, voters uint8, length uint8) (n int) {
	for i := range limit {
		if voters&(1<<i) != 0 && p.flushed[i] >= length {
			n++
		}
	}
	return n
}

// holds says whether the record gives the term to the member and it has taken it.
func (s *state) holds(i int) bool {
	return s.phase != electing && int(s.primary) == i+1 && s.taken != 0
}

// serving: a primary that holds its term, the next voters in force. Where members are dead for good, blocked is all that can
// be, or degraded if that may be.
func (w *world) serving(s *state) bool {
	if s.phase != normal {
		return false
	}
	p := &s.m[s.primary-1]
	if p.role != primary || p.hold != s.term {
		return false
	}
	switch {
	case w.Mute == 0:
		return s.next == 0
	case w.Degrade:
		return s.next == 0 && p.sync.k() == 0
	}
	return true
}
