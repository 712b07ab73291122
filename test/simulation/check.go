package simulation

import (
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// check judges the truth at every step. It knows every server's log and every acknowledgement, and asks no sidecar.
type check struct {
	w          *world
	failure    *Failure
	promised   []acknowledged // acknowledged under quorum durability: never to be lost
	unpromised []acknowledged // under async: to be lost only if that is said
	top        leading
	owners     map[watchdog.Timeline]uint32
	winners    map[watchdog.Term]uint32
	takers     map[watchdog.Term]string
	modes      map[watchdog.Term]watchdog.Mode
	term       watchdog.Term
	seq        uint64
	ballots    [maxHosts]watchdog.Term   // the term of a standing ballot
	trust      [maxHosts]int64           // true time of the send behind each member's trust
	logs       map[watchdog.Timeline]wal // that each timeline begins with
	acks       int
	lastAck    int64
}

// Failure is an invariant that did not hold.
type Failure struct {
	Invariant string
	Message   string
	At        time.Duration
}

// Error tells of it in one line.
func (f *Failure) Error() string { return fmt.Sprintf("%s at %s: %s", f.Invariant, f.At, f.Message) }

// stands says whether what failed is that nothing goes on, and not that something went wrong.
func (f *Failure) stands() bool { return f.Invariant == "I11" || f.Invariant == "I13" }

type acknowledged struct {
	at int
	e  entry
}

// leading is the promotion of the highest term so far, with the log that it begins with.
type leading struct {
	term watchdog.Term
	log  wal
}

func newCheck(w *world) *check {
	return &check{
		w: w, owners: map[watchdog.Timeline]uint32{1: 0}, winners: map[watchdog.Term]uint32{}, takers: map[watchdog.Term]string{}, modes: map[watchdog.Term]watchdog.Mode{},
		logs: map[watchdog.Timeline]wal{}, top: leading{term: 1},
	}
}

func (c *check) fail(invariant, format string, args ...any) {
	if c.failure == nil {
		c.failure = &Failure{invariant, fmt.Sprintf(format, args...), time.Duration(c.w.now)}
		c.w.trace("CHECK", "%s: %s", invariant, c.failure.Message)
	}
}

// quorum says whether the record promises that nothing of that term is lost, or did when the term ended.
func (c *check) quorum(term watchdog.Term) bool { return c.modes[term] == watchdog.ModeQuorum }

// accepts is I9: a server takes a write only within the trust of its sidecar, or while it is being fenced after that.
func (c *check) accepts(p *postgres) {
	n, policy := p.n, c.w.policy
	sent := c.trust[n.index]
	if sent == 0 || n.exempt > c.w.now {
		return
	}
	bound := float64(policy.FenceDeadline+policy.FenceTime) / (1 - policy.ClockError)
	if late := float64(c.w.now - sent); late > bound {
		c.fail("I9", "%s accepts a write %s after the send of the last renewal that was acknowledged", n.name, time.Duration(late).Round(time.Millisecond))
	}
}

// acknowledges is I1: a lower term acknowledges nothing that the higher one does not have.
func (c *check) acknowledges(p *postgres, done *commit) {
	c.acks++
	c.lastAck = c.w.now
	a := acknowledged{done.at, done.e}
	quorum := c.quorum(p.term)
	if p.term < c.top.term {
		switch {
		case quorum && !c.top.log.has(a.at, a.e):
			c.fail("I1", "%s acknowledges entry %d at %d under term %d, and term %d does not have it", p.n.name, a.e.id, a.at, p.term, c.top.term)
		case !quorum && p.n.exempt <= c.w.now:
			c.fail("I1", "%s acknowledges under term %d, and the primary of term %d accepts writes already: two primaries", p.n.name, p.term, c.top.term)
		}
	}
	switch {
	case quorum:
		c.promised = append(c.promised, a)
	case p.term >= c.top.term: // else: in the declared window after a pause, found and reported by the rewind's receipt

		c.unpromised = append(c.unpromised, a)
	}
}

// promoting is judged before a server becomes primary: I8, I5 and I4.
func (c *check) promoting(p *postgres, e entry) {
	if c.takers[e.term] != p.n.name {
		c.fail("I8", "%s promotes for term %d, which %q has taken", p.n.name, e.term, c.takers[e.term])
	}
	if _, owned := c.owners[e.timeline]; owned {
		c.fail("I5", "%s creates timeline %d for term %d, and that number has an owner", p.n.name, e.timeline, e.term)
	}
	if _, won := c.winners[e.term]; won {
		c.fail("I5", "%s promotes for term %d, which was promoted before", p.n.name, e.term)
	}
	if p.wal.term() >= e.term {
		c.fail("I4", "%s promotes for term %d on a log that ends in term %d", p.n.name, e.term, p.wal.term())
	}
	c.owners[e.timeline], c.winners[e.term] = e.uid, e.uid
}

// promoted is I2: what was acknowledged under quorum durability is in the log of the highest term.
func (c *check) promoted(p *postgres, restarted bool) {
	if restarted || p.term < c.top.term {
		return
	}
	c.top = leading{term: p.term, log: p.wal.cut(len(p.wal))}
	c.logs[p.wal.timeline()] = c.top.log
	for _, a := range c.promised {
		if !p.wal.has(a.at, a.e) {
			c.fail("I2", "%s is primary of term %d and lacks entry %d at %d, which was acknowledged under term %d", p.n.name, p.term, a.e.id, a.at, a.e.term)
			return
		}
	}
	c.covered(p)
}

// recordChanged is I4, and follows what the record promises.
func (c *check) recordChanged(before *watchdog.Record, change *watchdog.Change) {
	r := change.Record
	if r.Term < c.term || r.Term == c.term && r.Seq <= c.seq {
		c.fail("I4", "the record goes back from term %d seq %d to term %d seq %d", c.term, c.seq, r.Term, r.Seq)
	}
	c.term, c.seq = r.Term, r.Seq
	if e := change.Event; e != nil && e.Loss != nil {
		c.judgeLoss(r, *e.Loss)
	}
	if r.Taken {
		c.modes[r.Term] = r.Durability.Mode
	}
	if r.Taken && c.takers[r.Term] == "" {
		c.takers[r.Term] = r.Primary
	} else if r.Taken && c.takers[r.Term] != r.Primary {
		c.fail("I5", "term %d was taken by %s and is taken by %s", r.Term, c.takers[r.Term], r.Primary)
	}
	if before == nil {
		return
	}
	c.paused(before, r)
	holder := c.w.named(r.Primary)
	switch was, is := before.Durability.Mode, r.Durability.Mode; {
	case was == watchdog.ModeAsync && is == watchdog.ModeQuorum: // the barrier covers all that it had acknowledged
		c.promote(holder.pg)
	case was == watchdog.ModeQuorum && is == watchdog.ModeAsync:
		c.unpromised, c.promised = append(c.unpromised, c.promised...), nil
	}
	if holder != nil {
		c.covered(holder.pg)
	}
	if r.Phase == watchdog.PhasePromoting && !r.Taken && c.w.winnerLost > 0 {
		lasting := c.w.winnerLost
		c.w.winnerLost = 0
		c.w.after(between(c.w.rng, 0, 500*time.Millisecond), func() { c.w.losePower(holder, lasting) })
	}
}

// paused is I14: nobody opens a term while the cluster is paused, but by hand. What was open is brought to its end.
func (c *check) paused(before, r *watchdog.Record) {
	if before.Paused != nil && before.Phase == watchdog.PhaseNormal && before.Operation == nil && r.Term != before.Term {
		c.fail("I14", "term %d is opened (%s) and the cluster is paused", r.Term, r.Reason)
	}
}

// promote makes what was acknowledged in async and lies in this log a promise.
func (c *check) promote(p *postgres) {
	kept := c.unpromised[:0]
	for _, a := range c.unpromised {
		if p.wal.has(a.at, a.e) {
			c.promised = append(c.promised, a)
		} else {
			kept = append(kept, a)
		}
	}
	c.unpromised = kept
}

// covered is I6: an election by the record finds every commit that the server acknowledges, by any setting that is in force
// in some process of it, or whose commits the present one does not cover yet.
func (c *check) covered(p *postgres) {
	r := c.w.etcd.c.Record
	if r == nil || r.Durability.Mode != watchdog.ModeQuorum || r.Primary != p.n.name || !r.Taken || p.mode != primary || p.term != r.Term {
		return
	}
	p.coverPast()
	c.coveredBy(p, r, p.syncFile)
	for _, s := range p.senders {
		c.coveredBy(p, r, s.sync)
	}
	for _, u := range p.past {
		c.coveredBy(p, r, u.set)
	}
}

func (c *check) coveredBy(p *postgres, r *watchdog.Record, s setting) {
	if s.K > 0 && s.Term != r.Term {
		return // it counts nobody
	}
	own := 0
	if r.Next != nil && r.Durability.Has(r.Primary) {
		own = 1
	}
	all := len(r.Durability.Voters)
	for _, name := range s.Voters {
		if !r.Durability.Has(name) {
			all++
		}
	}
	if r.Durability.Quorum()+s.K+own <= all {
		c.fail("I6", "term %d: the record has %s, and %s enforces %d of %v: %d + %d + %d is not more than %d",
			r.Term, r.Durability, p.n.name, s.K, s.Voters, r.Durability.Quorum(), s.K, own, all)
	}
}

// balloted and withdraws follow what a member has said.
func (c *check) balloted(n *node, b watchdog.Ballot) {
	if b.Exact {
		c.ballots[n.index] = b.Term
		if then := c.w.onBallot; then != nil {
			then(n)
		}
	}
}

func (c *check) withdraws(n *node) { c.ballots[n.index] = 0 }

// arrives is I7: after its ballot a member takes nothing from a primary of a lower term, by whatever standbys, unless a stranger
// set it to.
func (c *check) arrives(s *stream) {
	n := s.down.n
	up, strange := s.down.source()
	if up == nil || up.mode != primary || strange {
		return
	}
	if r := c.w.etcd.c.Record; r != nil {
		for term := r.Term; term <= r.Term+1; term++ {
			if b, cast := c.w.etcd.ballots[term][n.name]; cast && b.Exact && !b.Withdrawn && up.term < term {
				c.fail("I7", "%s takes WAL from %s, primary of term %d, and its ballot for term %d stands", n.name, up.n.name, up.term, term)
			}
		}
	}
	if b := c.ballots[n.index]; b != 0 && up.term < b {
		c.fail("I7", "%s gave its ballot for term %d, and takes WAL from %s, primary of term %d", n.name, b, up.n.name, up.term)
	}
}

func (c *check) readsOn(p *postgres) {
	if b := c.ballots[p.n.index]; b != 0 {
		c.fail("I7", "%s gave its ballot for term %d, and reads on from an archive", p.n.name, b)
	}
}

// discards is I10: what a rewind or clone throws away was not promised to anybody, or is elsewhere, and one whole copy of all
// that was promised is left.
func (c *check) discards(p, up *postgres) {
	for _, a := range c.promised {
		if p.wal.has(a.at, a.e) && !up.wal.has(a.at, a.e) {
			c.fail("I10", "%s is about to throw entry %d away, which was acknowledged, and %s does not have it", p.n.name, a.e.id, up.n.name)
			return
		}
	}
	for _, n := range c.w.nodes {
		if n.pg != p && c.complete(n.pg) {
			return
		}
	}
	c.fail("I10", "%s is about to throw its log away, and no other has all that was acknowledged", p.n.name)
}

// complete says whether all that was promised is on the server's disk.
func (c *check) complete(p *postgres) bool {
	for _, a := range c.promised {
		if !p.wal.has(a.at, a.e) {
			return false
		}
	}
	return true
}

// admitted is I4 on a member's own disk.
func (c *check) admitted(n *node, a watchdog.Admission) {
	if own := n.journal.admitted; a.Term < own.Term {
		c.fail("I4", "%s notes term %d on its disk after term %d", n.name, a.Term, own.Term)
	}
}

func (c *check) trusted(n *node, sent int64) { c.trust[n.index] = sent }
