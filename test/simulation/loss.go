package simulation

import (
	"slices"

	"github.com/pgvigil/pgvigil/watchdog"
)

// judgeLoss is I15: what was acknowledged in async and is not in the log of a term that is settled lies in the range that its
// event reports, on the timeline that it names.
func (c *check) judgeLoss(r *watchdog.Record, said watchdog.Loss) {
	if r.Durability.Mode == watchdog.ModeQuorum || c.top.term != r.Term {
		return
	}
	kept := c.unpromised[:0]
	for _, a := range c.unpromised {
		switch {
		case a.e.term >= r.Term || c.top.log.has(a.at, a.e):
			kept = append(kept, a)
		case said.Nothing:
			c.fail("I15", "%s took over term %d and says that nothing is lost: entry %d at %d of timeline %d is, which was acknowledged under term %d",
				r.Primary, r.Term, a.e.id, a.at, a.e.timeline, a.e.term)
		case !c.within(a, said):
			c.fail("I15", "%s took over term %d and reports %q: entry %d at %s of timeline %d is lost too, which was acknowledged under term %d",
				r.Primary, r.Term, said, a.e.id, lsn(a.at), a.e.timeline, a.e.term)
		}
	}
	c.unpromised = kept
}

// within says whether the entry lies in the range, on one of its timelines or on what that begins with.
func (c *check) within(a acknowledged, said watchdog.Loss) bool {
	on := slices.ContainsFunc(said.Timelines, func(timeline watchdog.Timeline) bool {
		return a.e.timeline == timeline || c.logs[timeline].has(a.at, a.e)
	})
	return on && lsn(a.at) >= said.From && (said.To == 0 || lsn(a.at+1) <= said.To)
}
