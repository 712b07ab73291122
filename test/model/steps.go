package model

// The steps of servers and clients, and those of a member's sidecar that concern no term.

// successors lists every step that somebody may take.
func (w *world) successors(s *state) []successor {
	w.out = w.out[:0]
	for i := range w.Servers {
		if w.dead(i) {
			continue
		}
		m := &s.m[i]
		switch {
		case m.role == primary:
			w.write(s, i)
			w.acknowledge(s, i)
			w.stop(s, i)
			w.settle(s, i)
			w.reconfigure(s, i)
		case m.role == gone:
			w.afterStop(s, i)
			w.start(s, i)
		case m.hold != 0:
			w.stop(s, i)
			w.promote(s, i)
		default:
			w.stream(s, i)
			w.follow(s, i)
			w.vote(s, i)
			w.withdraw(s, i)
			w.take(s, i)
		}
		w.astray(s, i)
	}
	w.lead(s)
	return w.out
}

// write: a client's write reaches the primary's disk.
func (w *world) write(s *state, i int) {
	if int(s.wrote) == w.Writes {
		return
	}
	t := *s
	m := &t.m[i]
	t.wterm[t.wrote] = m.hold
	t.wrote++
	m.wal = w.append(m.wal, entryOf(m.hold, t.wrote))
	w.emit(writes, i, int(t.wrote), &t, "")
}

// acknowledge: the client is told that its write is safe, because any k of the voters that some backend waits for have it.
func (w *world) acknowledge(s *state, i int) {
	m := &s.m[i]
	for write := uint8(1); write <= s.wrote; write++ {
		bit := uint8(1) << (write - 1)
		length := w.end(m.wal, entryOf(m.hold, write))
		if s.acked&bit != 0 || length == 0 {
			continue
		}
		by := m.sync
		if s.copies(m, by.voters(), length) < by.k() {
			if by = m.old; by&present == 0 || s.copies(m, by.voters(), length) < by.bare().k() {
				continue
			}
		}
		t := *s
		t.acked |= bit
		if s.dur != 0 || m.hold != s.term {
			t.firm |= bit
		}
		wrong := ""
		if w.term(s.last) > m.hold && w.writes(s.last)&bit == 0 {
			wrong = "a write is acknowledged that a later term's primary does not have"
		}
		w.emit(acknowledges, i, int(write), &t, wrong)
	}
}

// stream: one more entry reaches a standby's disk.
func (w *world) stream(s *state, i int) {
	m := &s.m[i]
	if m.up == 0 {
		return
	}
	p := &s.m[m.up-1]
	if p.role == gone || m.wal == p.wal || !w.begins(m.wal, p.wal) {
		return
	}
	t := *s
	t.m[i].wal = w.cut(p.wal, w.length(m.wal)+1)
	w.emit(streams, i, int(m.up-1), &t, "")
}

// stop: a server that held a term is verified gone: it crashed, its sidecar gave up, or was overtaken.
func (w *world) stop(s *state, i int) {
	if s.m[i].hold == s.term && (!w.Crash || s.m[i].role == standby && !w.CrashEarly) {
		return
	}
	t := *s
	t.m[i].role, t.m[i].hold = gone, 0
	w.emit(stops, i, 0, &t, "")
}

// start: as a standby, detached: it never comes up writable. Who holds the term gives it away first.
func (w *world) start(s *state, i int) {
	if s.holds(i) {
		return
	}
	t := *s
	t.m[i].role = standby
	w.emit(starts, i, 0, &t, "")
}

// follow: a standby follows whom the record names, in that term's name, never below its promise. One whose log has left the
// new primary's is rewound first.
func (w *world) follow(s *state, i int) {
	m := &s.m[i]
	if s.phase == electing || s.taken == 0 || s.holds(i) || m.promised > s.term {
		return
	}
	p := &s.m[s.primary-1]
	if p.hold != s.term || m.up == s.primary && m.stamp == s.term && m.detached == 0 {
		return
	}
	t := *s
	n := &t.m[i]
	n.up, n.stamp, n.detached, n.was = s.primary, s.term, 0, 0
	if !w.begins(m.wal, p.wal) {
		if s.phase != normal || !w.Rejoin || p.role != primary {
			return
		}
		n.wal = w.common(m.wal, p.wal)
		w.emit(rewinds, i, int(s.primary-1), &t, "")
		return
	}
	w.emit(follows, i, int(s.primary-1), &t, "")
}
