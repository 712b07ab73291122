package alert

import (
	"slices"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Position is a place in the outbox: behind the event of that revision, term and sequence number.
type Position struct {
	// Revision is the store's that the event came with. Events are told in its order, which is that in which they were written:
	// one that was on its way for long, and whose term and sequence number are behind us, is told all the same.
	Revision int64         `json:"revision"`
	Term     watchdog.Term `json:"term"`
	Seq      uint64        `json:"seq"`
}

// Cursor is how far a sink has got, and what it was told that is not over. The zero value: it has not begun.
type Cursor struct {
	Position
	// Open are the incidents that the sink was told of and that nothing has resolved.
	Open []Incident `json:"open,omitempty"`
	// Doubtful are those that were open when events were lost to the sink: what was lost may have resolved them.
	Doubtful []Incident `json:"doubtful,omitempty"`
	// Paused: the event that it stands behind was written while the cluster was paused.
	Paused bool `json:"paused,omitempty"`
	// Hushed are alerts that were not told because of the pause, and of things that last: what still does at its end is told then.
	Hushed []Alert `json:"hushed,omitempty"`
	// Lost is how many events, at most, were removed before the sink had them, since it was last told one.
	Lost uint64 `json:"lost,omitempty"`
}

// What a cursor keeps is bounded; the oldest is forgotten first.
const openMost, hushedMost = 100, 20

// Before says whether c is before other: at the same event, the one that has yet to tell more of what was hushed.
func (c Cursor) Before(other Cursor) bool {
	return c.Revision < other.Revision || c.Revision == other.Revision && len(c.Hushed) > len(other.Hushed)
}

// to is the cursor behind the event.
func (c Cursor) to(e Entry) Cursor {
	c.Position = Position{Revision: e.Revision, Term: max(c.Term, e.Term), Seq: max(c.Seq, e.Seq)}
	return c
}

// told is the cursor once the sink has taken the alert.
func (c Cursor) told(a Alert) Cursor {
	c.Lost = 0
	over := func(i Incident) bool {
		return slices.ContainsFunc(a.Resolves, func(r Incident) bool { return r.Key == i.Key }) || i.Key == a.Key
	}
	c.Open, c.Doubtful = without(c.Open, over), without(c.Doubtful, over)
	if a.Status == Firing {
		c.Open = append(c.Open, Incident{Key: a.Key, Kind: a.Kind, Term: a.Term, Severity: a.Severity, Since: a.Time, Labels: a.Labels})
		c.Open = c.Open[max(0, len(c.Open)-openMost):]
	}
	return c
}

// hush is the cursor once the alert is kept for the end of the pause, if it tells of what lasts.
func (c Cursor) hush(a Alert) Cursor {
	if a.Status == Firing {
		c.Hushed = append(c.Hushed, a)
		c.Hushed = c.Hushed[max(0, len(c.Hushed)-hushedMost):]
	}
	return c
}

// passed is the cursor once the sink has refused the alert for good: what it resolves stays open no longer than that.
func (c Cursor) passed(a Alert) Cursor {
	lost := c.Lost
	a.Status = Notice
	c = c.told(a)
	c.Lost = lost
	return c
}

func without(all []Incident, over func(Incident) bool) []Incident {
	return slices.DeleteFunc(slices.Clone(all), over)
}

// gap says how many events, at most, were removed between the cursor and the oldest that is left: those that told of a change of
// the record, whose sequence numbers leave no holes. Removed are the oldest, so that none is missing as long as the cursor's own
// event stands.
func (c Cursor) gap(p Page) uint64 {
	oldest := p.Oldest
	if oldest.Seq == 0 || oldest.Revision <= c.Revision || oldest.Seq <= c.Seq+1 {
		return 0
	}
	return oldest.Seq - c.Seq - 1
}

// skip is the cursor once so many are given up. What is left comes after its revision, as before.
func (c Cursor) skip(p Page, lost uint64) Cursor {
	c.Term, c.Seq = p.Oldest.Term, p.Oldest.Seq-1
	c.Lost += lost
	c.Doubtful = append(slices.Clone(c.Doubtful), c.Open...)
	c.Doubtful = c.Doubtful[max(0, len(c.Doubtful)-openMost):]
	c.Open = nil
	c.Paused = false // it may have ended among them: rather told than not
	return c
}
