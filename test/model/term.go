package model

// A term: taken, its winner's server promoted, settled, and given away.

// take: the winner takes the term in one transaction, hangs up, and sets the next names.
func (w *world) take(s *state, i int) {
	m := &s.m[i]
	if s.phase != promoting || s.taken != 0 || int(s.primary) != i+1 || m.promised > s.term {
		return
	}
	t := *s
	t.apply(*w.core.answer(question{ask: toTake, who: uint8(i), record: s.record(w)}), s.twal)
	n := &t.m[i]
	n.hold, n.need, n.promised = s.term, s.twal, 0
	if n.sync = s.next.bare(); s.next == 0 {
		n.sync = s.dur
	}
	if w.Numbers {
		t.number[s.term] = w.core.nextTimeline(s.number, w.guess(s, m.wal)-1)
	}
	w.emit(takes, i, 0, &t, "")
}

// promote: once the winner has all that the best ballot or the old primary had, and k of the next voters have that too. It
// looks at nothing in etcd: it may have been overtaken.
func (w *world) promote(s *state, i int) {
	m := &s.m[i]
	if w.length(m.wal) < w.length(m.need) { // it knows positions, not what lies there
		w.fetch(s, i)
		return
	}
	backed := s.copies(m, m.sync.voters(), w.length(m.wal)) >= m.sync.k()
	if !backed && !w.Blocked && !w.is(CopiesBeforePromotion) {
		return
	}
	t := *s
	n := &t.m[i]
	n.wal, n.role, n.need = w.append(m.wal, entryOf(m.hold, 0)), primary, 0
	n.barrier = w.length(n.wal) + 1
	wrong := w.judgePromotion(s, i)
	if m.sync != 0 && !w.Blocked {
		t.read |= w.writes(m.wal)
		t.firm |= w.writes(m.wal)
	}
	t.promoted |= 1 << m.hold
	if m.hold > w.term(s.last) {
		t.last = n.wal
	}
	if w.is(TimelineOwner) {
		t.number[m.hold] = w.guess(s, m.wal)
	}
	w.emit(promotes, i, int(m.hold), &t, wrong)
}

// guess is the number that a winner would choose without the ledger: one above those that its own log knows.
func (w *world) guess(s *state, own wal) (highest uint8) {
	for ; own != 0; own = w.nodes[own].parent {
		highest = max(highest, s.number[w.term(own)])
	}
	return highest + 1
}

func (w *world) collides(s *state, m *member) bool {
	number := s.number[m.hold]
	if w.is(TimelineOwner) {
		number = w.guess(s, m.wal)
	}
	for term, taken := range s.number {
		if taken == number && term != int(m.hold) {
			return true
		}
	}
	return false
}

func (w *world) judgePromotion(s *state, i int) string {
	m := &s.m[i]
	has := w.writes(m.wal)
	for write := range s.wrote {
		bit := uint8(1) << write
		switch {
		case s.wterm[write] >= m.hold || has&bit != 0:
		case s.acked&bit != 0:
			return "an acknowledged write is lost"
		case s.read&bit != 0 && m.hold > w.term(s.last):
			return "a row was read and is lost"
		}
	}
	switch {
	case s.promoted&(1<<m.hold) != 0:
		return "two winners of one term"
	case w.numbered() && w.collides(s, m):
		return "a timeline has two owners"
	case m.hold < w.term(s.last) && m.sync != 0 && !w.Blocked && has&^w.writes(s.last) != 0:
		return "a row can be read that a later term's primary does not have"
	}
	return ""
}

// fetch: raw WAL from another member, of what follows the winner's own.
func (w *world) fetch(s *state, i int) {
	m := &s.m[i]
	for j := range w.Servers {
		if j != i && !w.dead(j) && w.begins(m.wal, m.need) && w.begins(m.need, s.m[j].wal) {
			t := *s
			t.m[i].wal = m.need
			w.emit(fetches, i, j, &t, "")
			return
		}
	}
}

// settle: the record says that the winner is writable, and later that the next voters are in force.
func (w *world) settle(s *state, i int) {
	m := &s.m[i]
	if !s.holds(i) || m.hold != s.term {
		return
	}
	if s.phase == promoting {
		t := *s
		t.apply(*w.core.answer(question{ask: toSettle, who: uint8(i), record: s.record(w)}), 0)
		t.forks[s.term] = w.end(m.wal, entryOf(s.term, 0)) - 1
		for j := range w.Servers {
			t.m[j].bterm, t.m[j].bwal, t.m[j].ballot = 0, 0, 0
		}
		w.emit(settles, i, 0, &t, "")
		return
	}
	if !w.ByDecide && s.next != 0 && s.copies(m, s.next.voters(), w.end(m.wal, entryOf(m.hold, 0))) >= s.next.k() {
		w.record(s, i, s.next.bare())
	}
}

// afterStop: the server of the one that holds the term is gone. It names an heir that has this term's timeline, which
// fetches the tail, or itself; or gives up.
func (w *world) afterStop(s *state, i int) {
	if !s.holds(i) || int(s.term) >= w.Terms {
		return
	}
	m := &s.m[i]
	q := question{who: uint8(i), record: s.record(w)}
	q.record.tend, q.record.ttl = w.length(m.wal), w.timeline(s, w.term(m.wal))
	if w.Surrender {
		t := *s
		q.ask = toSurrender
		t.apply(*w.core.answer(q), 0)
		w.emit(surrenders, i, 0, &t, "")
	}
	if !w.HandOver || s.phase != normal && !w.is(WholeFromLastTaker) {
		return
	}
	q.ask = toHandOver
	for h := range w.Servers {
		o := &s.m[h]
		if w.dead(h) || h != i && o.role != standby || o.hold != 0 || w.term(o.wal) != w.term(m.wal) || !w.begins(o.wal, m.wal) {
			continue
		}
		q.by = uint8(h)
		r := *w.core.answer(q)
		w.straighten(s, &r)
		t := *s
		t.apply(r, m.wal)
		w.emit(handsOver, i, h, &t, w.judgeNaming(&t, h))
	}
}
