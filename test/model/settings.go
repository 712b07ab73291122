package model

import (
	"math/bits"

	"github.com/pgvigil/pgvigil/watchdog"
)

// plan is a question to the planner.
type plan struct {
	record, server, want quorum
	covered              bool
}

// reconfigure is what the primary's sidecar does about durability. What is wanted is any setting that the options allow, and
// another one the next time: which standbys live is not the model's to say.
func (w *world) reconfigure(s *state, i int) {
	m := &s.m[i]
	if m.old != 0 {
		w.reload(s, i)
	}
	if w.Forget && m.barrier != 0 {
		t := *s
		t.m[i].barrier = 0
		w.emit(forgets, i, 0, &t, "")
	}
	if w.is(DegradeCompares) && m.hold < s.term && s.dur != 0 {
		t := *s
		t.dur, t.next = 0, 0
		t.m[i].sync, t.m[i].old = 0, 0
		w.emit(records, i, 0, &t, "")
	}
	if m.hold != s.term || s.phase != normal {
		return
	}
	if w.ByDecide {
		w.decides(s, i)
		return
	}
	if s.next != 0 {
		if w.mayDegrade(s, i) {
			w.record(s, i, 0)
		}
		return
	}
	var moves [8]uint64 // the records and servers that some plan begins with
	if w.mayDegrade(s, i) || s.dur == 0 {
		w.toward(s, m, 0, &moves)
	}
	for _, k := range w.Ks {
		for voters := range uint8(1 << w.Servers) {
			if voters&(1<<i) == 0 && size(voters) >= k {
				w.toward(s, m, quorumOf(k, voters), &moves)
			}
		}
	}
	w.move(s, i, &moves)
}

// move takes the steps that were noted, each once.
func (w *world) move(s *state, i int, moves *[8]uint64) {
	for word, set := range moves {
		for ; set != 0; set &= set - 1 {
			move := word*64 + bits.TrailingZeros64(set)
			if move < 256 {
				w.record(s, i, quorum(move))
			} else {
				w.set(s, i, quorum(move-256))
			}
		}
	}
}

// toward notes the planner's next step.
func (w *world) toward(s *state, m *member, want quorum, moves *[8]uint64) {
	move := -1
	switch step := w.next(s, m, want); {
	case step.Record != nil:
		move = int(w.core.quorum(*step.Record))
	case step.Server != nil && m.old == 0:
		move = 256 + int(quorumOf(step.Server.K, w.core.set(step.Server.Voters)))
	}
	if move >= 0 {
		moves[move/64] |= 1 << (move % 64)
	}
}

// set makes the server wait for others.
func (w *world) set(s *state, i int, q quorum) {
	before := s.m[i].sync
	t := *s
	n := &t.m[i]
	if q == before { // it looks for a position anew
		if m := &s.m[i]; m.barrier == 0 && m.old == 0 {
			n.barrier = w.length(m.wal) + 1
			w.emit(reloads, i, 0, &t, "")
		}
		return
	}
	if !t.remember(before) {
		return
	}
	n.sync, n.old, n.barrier = q, before|present, 0
	if w.is(BarrierAfterReload) {
		n.barrier = w.length(n.wal) + 1
	} else if !w.Reload {
		n.old, n.barrier = 0, w.length(n.wal)+1
	}
	w.emit(sets, i, 0, &t, "")
}

// next is the planner's step, or what a mutation does in its stead.
func (w *world) next(s *state, m *member, want quorum) watchdog.Step {
	covered := m.barrier != 0 && s.copies(m, m.sync.voters(), m.barrier-1) >= m.sync.k()
	if w.is(BarrierAwaited) {
		covered = true
	}
	record, server := w.core.durability(want), w.core.durability(want).Sync(1)
	switch {
	case w.is(AddRecordFirst) && m.sync != want:
		return watchdog.Step{Server: &server}
	case w.is(AddRecordFirst) && s.dur != want, w.is(RemoveServerFirst) && s.dur != want:
		return watchdog.Step{Record: &record}
	case w.is(RemoveServerFirst) && m.sync != want:
		return watchdog.Step{Server: &server}
	}
	return w.core.plan(plan{record: s.dur, server: m.sync, want: want, covered: covered})
}

// record changes the durability in force. Degrading gives up what was promised before, by the policy; and with a quorum
// in force again everything is promised again.
func (w *world) record(s *state, i int, q quorum) {
	t := *s
	switch {
	case q == 0:
		t.acked, t.read, t.firm = 0, 0, 0
	case s.dur == 0:
		t.firm = t.acked | t.read
	}
	kind := records
	if s.next != 0 && q == s.next.bare() {
		kind = enforces
		t.inherit(w, &s.m[i])
	}
	t.dur, t.next = q, 0
	w.emit(kind, i, 0, &t, "")
}

// inherit: the term is settled. What lay before it on its primary can be read, and is never lost.
func (t *state) inherit(w *world, m *member) {
	inherited := w.writes(w.cut(m.wal, w.end(m.wal, entryOf(m.hold, 0))))
	t.read |= inherited
	t.firm |= inherited
}

// mayDegrade: every earlier primary has fenced; T after its term's end that is so by its clock.
func (w *world) mayDegrade(s *state, i int) bool {
	if !w.Degrade || s.dur == 0 {
		return false
	}
	for j := range w.Servers {
		if j != i && s.m[j].hold != 0 && !w.is(DegradeAfterFence) {
			return false
		}
	}
	return true
}

// reload: the last backend has read the setting, and a position is taken after which every commit waits for it.
func (w *world) reload(s *state, i int) {
	t := *s
	n := &t.m[i]
	n.old = 0
	if !w.is(BarrierAfterReload) {
		n.barrier = w.length(n.wal) + 1
	}
	w.emit(reloads, i, 0, &t, "")
}

// remember keeps a setting whose commits are not covered yet.
func (s *state) remember(q quorum) bool {
	for i := range s.open {
		switch s.open[i] {
		case q | present:
			return true
		case 0:
			s.open[i] = q | present
			return true
		}
	}
	return false
}

// cover forgets the settings that a barrier has covered: k of those that the server waits for now have all that was written
// before every backend did.
func (w *world) cover(s *state) {
	if s.open[0] == 0 {
		return
	}
	if s.phase == normal && s.next == 0 {
		if m := &s.m[s.primary-1]; m.hold == s.term && (m.old != 0 || m.barrier == 0 || s.copies(m, m.sync.voters(), m.barrier-1) < m.sync.k()) {
			return
		}
	}
	s.open = [2]quorum{}
}

func (c *core) plan(p plan) watchdog.Step {
	step, known := c.planned[p]
	if !known {
		step = watchdog.PlanStep(c.durability(p.record), c.durability(p.server).Sync(1), p.covered, c.durability(p.want))
		c.planned[p] = step
	}
	return step
}
