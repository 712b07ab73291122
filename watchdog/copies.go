package watchdog

import "slices"

// CopiesWanted is how many of the next voters a promotion waits for before it makes our server writable, so that no reader of
// the new primary sees a row that a further failover could lose. 0: not for any, as in async, or where too few are alive.
func (c Cluster) CopiesWanted() int {
	r := c.Record
	if r.Next == nil {
		return 0
	}
	alive := 0
	for _, name := range r.Next.Voters {
		if _, there := c.Members[name]; there && (r.Tail == nil || r.Tail.From != name) { // the old primary has none, yet
			alive++
		}
	}
	if alive < r.Next.K {
		return 0
	}
	return r.Next.K
}

// Copies counts the next voters that have all up to end: they stream it from our server in its term, or their ballot reaches as
// far on its timeline.
func (c Cluster) Copies(s Server, end LSN) (n int) {
	r := c.Record
	for _, name := range r.Next.Voters {
		streams := slices.ContainsFunc(s.Standbys, func(d Downstream) bool { return d.Name == name && d.Term == r.Term && d.Flushed >= end })
		b, cast := c.Ballots[name]
		if streams || cast && b.Exact && !b.Withdrawn && b.End >= end && b.Timeline == s.Timeline {
			n++
		}
	}
	return n
}
