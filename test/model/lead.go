package model

// The leader's steps: what watchdog.Decide answers to it. It may be asked at any time, having heard nothing for long.

func (w *world) lead(s *state) {
	switch {
	case s.phase == electing:
		w.name(s, toName, s.term)
	case int(s.term) >= w.Terms:
	case s.taken == 0:
		if w.Decline {
			w.open(s)
		}
	default:
		if w.Silence && (s.dur != 0 || s.m[s.taker].hold == 0) { // in async, T of silence is a fence
			w.open(s)
		}
		if w.Advance && s.dur != 0 {
			w.name(s, toOverrule, s.term+1)
		}
	}
}

func (w *world) open(s *state) {
	r := w.core.answer(question{ask: toOpen, record: s.record(w)})
	if r == nil {
		return
	}
	t := *s
	t.apply(*r, 0)
	w.emit(opens, 0, 0, &t, "")
}

// name asks, for each that gave a ballot of the term, whether it wins where nobody else may.
func (w *world) name(s *state, ask uint8, term uint8) {
	q := question{ask: ask, record: s.record(w), forks: s.forks}
	for t := uint8(1); t <= s.takerTerm; t++ {
		q.timeline[t] = w.timeline(s, t)
	}
	best, any := uint16(0), false
	actual := s
	if w.is(BallotsCompared) && ask == toOverrule {
		remembered := *s
		s = &remembered
		for i := range w.Servers {
			if m := &s.m[i]; m.seen != 0 {
				m.bterm, m.bwal, m.ballot = term, m.seen, exact
			}
		}
	}
	for i := range w.Servers {
		m := &s.m[i]
		if m.bterm != term {
			continue
		}
		q.cast[i] = cast{w.timeline(s, w.term(m.bwal)), w.length(m.bwal), m.ballot}
		if m.ballot&exact != 0 {
			best, any = max(best, rank(q.cast[i])), true
		}
	}
	if !any {
		return
	}
	w.bend(s, &q)
	for i := range w.Servers {
		if s.m[i].bterm != term || s.m[i].ballot&exact == 0 || !w.AnyWinner && rank(q.cast[i]) < best {
			continue
		}
		if w.is(TakerWins) && int(s.taker) == i {
			continue
		}
		q.who = uint8(i)
		r := w.core.answer(q)
		if r == nil || int(r.primary) != i+1 {
			continue
		}
		named := *r
		w.straighten(s, &named)
		t := *actual
		tail := wal(0)
		if named.tfrom != 0 {
			tail = s.m[named.tfrom-1].bwal
		}
		t.apply(named, tail)
		if s.dur == 0 && !w.fencedReaches(s, &q) { // async: what only the old host has may be lost
			t.acked, t.read = t.acked&t.firm, t.read&t.firm
		}
		kind := names
		if ask == toOverrule {
			kind = overrules
		}
		w.emit(kind, i, 0, &t, w.judgeNaming(&t, i))
	}
}

// fencedReaches says whether the ballots have all that the last taker could have acknowledged: its own, given after its fence,
// and what it was named to reach.
func (w *world) fencedReaches(s *state, q *question) bool {
	own := q.cast[s.taker]
	if own.flags&fenced == 0 {
		return false
	}
	reached := own.timeline == w.timeline(s, s.takerTerm)
	for i, b := range q.cast {
		reached = reached || b.flags&exact != 0 && (rank(b) >= rank(cast{s.reachTL, s.reach, 0}) || int(s.reachFrom) == i+1)
	}
	return reached
}

func rank(c cast) uint16 { return uint16(c.timeline)<<8 | uint16(c.end) }

// timeline is the number of what the term's winner wrote. A number has one owner, so that the term itself will do.
func (w *world) timeline(s *state, term uint8) uint8 {
	switch {
	case w.is(TermBeforeLSN):
		return 1
	case w.numbered():
		return s.number[term]
	}
	return term
}

// numbered: timelines have numbers of their own.
func (w *world) numbered() bool { return w.Numbers || w.is(TimelineOwner) }

// judgeNaming: what the winner's server will enforce, its own copy counting where it is a voter, and what the next election
// needs, share a member.
func (w *world) judgeNaming(t *state, i int) string {
	if t.next == 0 || t.dur == 0 || w.Without != "" {
		return ""
	}
	own := 0
	if t.dur.voters()&(1<<i) != 0 {
		own = 1
	}
	needs := size(t.dur.voters()) - t.dur.k() + 1
	if needs+t.next.k()+own <= size(t.dur.voters()|t.next.voters()) {
		return "the next election by " + w.core.tellQuorum(t.dur) + " can miss what " + w.core.tellQuorum(t.next) + " acknowledged"
	}
	return ""
}

// bend alters the question for the rule that is left out.
func (w *world) bend(s *state, q *question) {
	r := &q.record
	n := size(r.dur.voters())
	switch w.Without {
	case QuorumExact:
		r.dur = quorumOf(min(r.dur.k()+1, n), r.dur.voters())
	case QuorumHoweverOpened:
		if q.ask == toName {
			r.dur = quorumOf(n, r.dur.voters())
		}
	case FencedAlone:
		for i := range q.cast {
			q.cast[i].flags &^= fenced
		}
	case StraysBarred:
		q.forks = [5]uint8{255, 255, 255, 255, 255}
	case WholeFromLastTaker:
		r.reach, r.reachTL, r.reachFrom = 0, 0, 0
	}
}

// straighten puts back what bend has altered, and alters the answer.
func (w *world) straighten(s *state, r *record) {
	r.dur, r.reach, r.reachTL, r.reachFrom = s.dur, s.reach, s.reachTL, s.reachFrom
	voters := r.next.voters()
	switch w.Without {
	case QuorumExact, QuorumHoweverOpened:
		r.next = present | quorumOf(min(s.dur.k(), size(voters)), voters)
	case WinnerEqualsFenced:
		r.tfrom, r.ttl, r.twhole = 0, 0, 0
	case OldPrimaryVotes:
		r.next = present | quorumOf(s.dur.k(), s.dur.voters()&^(1<<(r.primary-1)))
	case OutsiderInequality:
		if s.dur.voters()&(1<<(r.primary-1)) == 0 {
			r.next = present | quorumOf(s.dur.k(), s.dur.voters()|1<<s.taker)
		}
	case OldVotersUntilSettled:
		r.dur, r.next = r.next.bare(), 0
	}
}
