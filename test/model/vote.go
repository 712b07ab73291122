package model

// Ballots: a durable promise, the receiver's end, and the exact position.

// vote gives a ballot of the term that is open, or in advance of the one that is not. Nobody votes whose server holds a term:
// it is stopped first.
func (w *world) vote(s *state, i int) {
	m := &s.m[i]
	for _, term := range []uint8{s.term, s.term + 1} {
		if !w.mayVote(s, i, term) {
			continue
		}
		t := *s
		n := &t.m[i]
		if w.Fine {
			if n.promised < term {
				n.promised, n.detached = term, 1
				if w.is(DurableDetachment) {
					n.was = m.up
				}
				w.emit(promises, i, int(term), &t, "")
				continue
			}
			if n.up != 0 {
				hung := t
				hung.m[i].up = 0
				w.emit(hangsUp, i, 0, &hung, "")
				if !w.is(PositionAfterReceiver) {
					continue
				}
			}
		} else {
			n.promised, n.up = term, 0
		}
		w.publish(&t, i, term)
	}
}

func (w *world) publish(t *state, i int, term uint8) {
	n := &t.m[i]
	n.bterm, n.bwal, n.ballot = term, n.wal, exact
	if int(t.taker) == i {
		n.ballot |= fenced
	}
	w.emit(ballots, i, int(term), t, "")
	if w.Unsure && w.length(n.wal) > 1 {
		// Restarted: what the server says it has received is less than what it has.
		u := *t
		u.m[i].bwal = w.cut(n.bwal, w.length(n.bwal)-1)
		if !w.is(BallotsExact) {
			u.m[i].ballot &^= exact
		}
		w.emit(guesses, i, int(term), &u, "")
	}
}

// mayVote: in an election everybody; in advance, and while somebody holds the term, the voters in force.
func (w *world) mayVote(s *state, i int, term uint8) bool {
	m := &s.m[i]
	switch {
	case m.promised > term || m.bterm >= term && m.ballot&exact != 0:
		return false
	case s.phase == electing:
		return term == s.term
	case term == s.term || !w.Advance || int(term) > w.Terms || s.dur == 0:
		return false
	}
	return s.taken != 0 && s.primary != uint8(i+1) && s.dur.voters()&(1<<i) != 0
}

// withdraw takes a ballot back that was given in advance; the promise goes when that is acknowledged.
func (w *world) withdraw(s *state, i int) {
	if !w.Withdraw || s.m[i].promised <= s.term {
		return
	}
	t := *s
	n := &t.m[i]
	if !w.is(WithdrawalAcknowledged) {
		n.bterm, n.bwal, n.ballot = 0, 0, 0
	}
	n.promised, n.up, n.was = 0, 0, 0
	w.emit(withdraws, i, 0, &t, "")
}

// astray are the steps that only a mutation has.
func (w *world) astray(s *state, i int) {
	m := &s.m[i]
	switch w.Without {
	case OvertakenStops:
		if m.hold != 0 && m.hold < s.term && m.role == standby && s.phase == electing && m.bterm < s.term {
			t := *s
			t.m[i].promised = s.term
			w.publish(&t, i, s.term)
		}
	case FencedAfterFence:
		if m.role == primary && s.phase == electing && int(s.taker) == i && m.bterm < s.term {
			t := *s
			w.publish(&t, i, s.term)
		}
	case BallotsCompared:
		if m.bterm > s.term && m.seen != m.bwal {
			t := *s
			t.m[i].seen = m.bwal
			w.emit(reads, i, 0, &t, "")
		}
	case DurableDetachment:
		// Its server restarts and reads its conninfo again.
		if m.was != 0 && m.up == 0 && m.role == standby && m.hold == 0 {
			t := *s
			t.m[i].up, t.m[i].was, t.m[i].stamp = m.was, 0, s.m[m.was-1].hold
			w.emit(strays, i, int(m.was-1), &t, "")
		}
	case NeverBack:
		if m.role != standby || m.hold != 0 || m.up != 0 {
			return
		}
		for p := range w.Servers {
			if o := &s.m[p]; o.role == primary && o.hold < max(s.term, m.promised) {
				t := *s
				t.m[i].up, t.m[i].stamp = uint8(p+1), o.hold
				w.emit(strays, i, p, &t, "")
			}
		}
	}
}
