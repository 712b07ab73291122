package model

import "math/bits"

// limit is the most servers that a state has room for.
const limit = 4

// quorum is a setting in one byte: k, and the set of voters. 0: async, for nobody. Where a setting may be absent, present
// marks one that is there.
type quorum uint8

const present quorum = 0x80

func quorumOf(k int, voters uint8) quorum { return quorum(k<<4) | quorum(voters) }
func (q quorum) k() int                   { return int(q >> 4 & 7) }
func (q quorum) voters() uint8            { return uint8(q & 15) }
func (q quorum) bare() quorum             { return q &^ present }
func size(set uint8) int                  { return bits.OnesCount8(set) }

// What a member's server is.
const (
	gone    uint8 = iota // verified: no process of it is left
	standby              //
	primary              // writable
)

// The phases of the record.
const (
	normal uint8 = iota
	electing
	promoting
)

// What a ballot says beside its position.
const (
	exact  uint8 = 1 << iota
	fenced       // given by the last taker
)

// member is one server and its sidecar. Indices of other members are one more than themselves, 0 being nobody.
type member struct {
	wal  wal // of the server; all of it is on disk
	bwal wal // what its ballot says
	need wal // what it must have before it promotes
	seen wal // its ballot in advance as the leader has read it, where a mutation lets that grow old

	role     uint8
	up       uint8 // whom its receiver streams from
	detached uint8 // the conninfo is empty: the receiver that lives goes, and none comes
	stamp    uint8 // the term in its name
	promised uint8 // never to follow a primary of a lower term
	hold     uint8 // the term that it took, its server being fit to write or on its way there
	bterm    uint8 // of its ballot; 0: none
	ballot   uint8 // what that says
	sync     quorum
	old      quorum // what some backends still wait for, the reload not having reached them
	barrier  uint8  // one more than a position after which every commit has waited for sync; 0: not known
	was      uint8  // its conninfo before it hung up, where a mutation leaves it on disk

	flushed [limit]uint8 // primary: what each standby has told it of under this term's name, on its way or here
}

// state is everything: the members, what etcd holds, and what an observer remembers to judge by.
type state struct {
	m [limit]member

	twal wal // the tail's end
	last wal // what the promotion of the highest term began with

	term, phase       uint8
	primary           uint8 // named; one more than its index
	taken             uint8
	taker, takerTerm  uint8 // the last that took a term
	dur, next         quorum
	tfrom, ttl        uint8 // the tail's member and timeline; its end is twal
	twhole            uint8
	reachTL, reach    uint8    // what the last taker's log had to reach
	reachFrom         uint8    // and on whose disk that lies
	forks             [5]uint8 // by term: where a settled timeline begins
	promoted          uint8    // terms whose winner was promoted, as bits
	acked, read, firm uint8    // writes: acknowledged to the client, readable on a primary, promised in spite of a degrade
	wrote             uint8    // so many writes were begun
	wterm             [3]uint8 // by which term's primary
	open              [2]quorum
	number            [5]uint8 // timelines by term, where a mutation lets them collide
}

// permuted changes the members' order: to[i] is member i's new index.
func (s *state) permuted(to *[limit]uint8, n int) state {
	t := *s
	for i := range n {
		m := s.m[i]
		m.up = moved(m.up, to)
		m.was = moved(m.was, to)
		m.sync, m.old = m.sync.permuted(to, n), m.old.permuted(to, n)
		for j := range n {
			m.flushed[to[j]] = s.m[i].flushed[j]
		}
		t.m[to[i]] = m
	}
	t.primary, t.tfrom, t.reachFrom, t.taker = moved(s.primary, to), moved(s.tfrom, to), moved(s.reachFrom, to), to[s.taker]
	t.dur, t.next = s.dur.permuted(to, n), s.next.permuted(to, n)
	for i := range t.open {
		t.open[i] = s.open[i].permuted(to, n)
	}
	return t
}

func moved(index uint8, to *[limit]uint8) uint8 {
	if index == 0 {
		return 0
	}
	return to[index-1] + 1
}

func (q quorum) permuted(to *[limit]uint8, n int) quorum {
	set := q & 15
	if set == 0 {
		return q
	}
	q &^= 15
	for i := range n {
		if set&(1<<i) != 0 {
			q |= 1 << to[i]
		}
	}
	return q
}

// canonical is the state with its members in an order that does not depend on their names: servers are alike, so that of
// states that differ by names alone one is enough.
func (s *state) canonical(n int) state {
	var keys [limit]uint64
	var order, to [limit]uint8
	for i := range n {
		keys[i] = s.signature(i)
		j := i
		for ; j > 0 && keys[order[j-1]] < keys[i]; j-- {
			order[j] = order[j-1]
		}
		order[j] = uint8(i)
	}
	sorted := true
	for at, i := range order[:n] {
		to[i] = uint8(at)
		sorted = sorted && int(i) == at
	}
	if sorted {
		return *s
	}
	return s.permuted(&to, n)
}

func (s *state) signature(i int) uint64 {
	m := &s.m[i]
	bit := func(when bool) uint64 {
		if when {
			return 1
		}
		return 0
	}
	me := uint8(i + 1)
	key := bit(s.primary == me)<<1 | bit(int(s.taker) == i)
	key = key<<2 | bit(s.dur.voters()&(1<<i) != 0)<<1 | bit(s.next.voters()&(1<<i) != 0)
	key = key<<2 | bit(s.tfrom == me)<<1 | bit(m.up != 0 && m.up == s.primary)
	key = key<<12 | uint64(m.wal)
	key = key<<3 | uint64(m.hold)
	key = key<<2 | uint64(m.role)
	key = key<<3 | uint64(m.promised)
	key = key<<3 | uint64(m.bterm)
	key = key<<12 | uint64(m.bwal)
	key = key<<2 | uint64(m.ballot)
	key = key<<1 | uint64(m.detached)
	key = key<<3 | uint64(m.stamp)
	key = key<<3 | uint64(m.sync.k())
	sum := uint8(0)
	for j := range limit {
		if o := &s.m[j]; o.hold != 0 {
			sum += o.flushed[i]
		}
	}
	return key<<6 | uint64(sum)
}
