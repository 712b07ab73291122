package watchdog

import (
	"errors"
	"fmt"
	"strings"
)

// HandedOver says that the tail is the last taker's own, named in its surrender, and not what an election's winner lacks.
func (t Tail) HandedOver() bool { return t.Start == 0 }

// Here says whether a server whose WAL ends at own has all of the tail. An older timeline's positions say nothing of it.
func (t Tail) Here(own LSN, timeline Timeline) bool {
	return t.End != 0 && own >= t.End && timeline == t.Timeline
}

// TailFetch is what came of fetching the record's tail. The zero value: none was to be fetched.
type TailFetch struct {
	Own     LSN  // our own end before
	Reached LSN  // and after: it is laid in up to here
	Failed  bool // it did not come, or not all of it came
}

// left is where the part begins that did not come.
func (f TailFetch) left() LSN { return max(f.Own, f.Reached) }

// The verdicts on a tail that is not whole.
var (
	// ErrTailRefused: an acknowledged commit may be in what is missing, which quorum does not allow: the term is to be given back.
	ErrTailRefused = errors.New("in quorum an acknowledged commit may be in it")
	// ErrTailAwaited: the winner of an election must reach the best ballot's end: it is to be fetched again.
	ErrTailAwaited = errors.New("the winner of an election must have it")
)

// JudgeTail says whether the one named may be promoted. After a hand-over in async availability does not wait longer than the
// policy's tail_wait, and the event of the promotion reports what is left behind.
func (r Record) JudgeTail(f TailFetch) error {
	t := r.Tail
	if !f.Failed {
		return nil
	}
	missing := fmt.Sprintf("the tail from %s to %s is on %s and did not come", f.left(), t.End, t.From)
	switch {
	case t.HandedOver() && r.Next != nil:
		return fmt.Errorf("%s: %w", missing, ErrTailRefused)
	case !t.HandedOver() && t.Exact:
		return fmt.Errorf("%s: %w", missing, ErrTailAwaited)
	}
	return nil
}

// Loss is what a promotion may have left behind of what was acknowledged before it: WAL of the timelines and what each begins
// with, from From on.
type Loss struct {
	Nothing   bool       `json:"nothing,omitempty"`   // known: nothing is lost, and the rest is empty
	Timelines []Timeline `json:"timelines,omitempty"` // of the last settled term, and of those since that were taken and not settled
	From      LSN        `json:"from,omitempty"`      // where our log leaves theirs, or before
	To        LSN        `json:"to,omitempty"`        // 0: not known
	Flushed   LSN        `json:"flushed,omitempty"`   // of the last renewal, where To is not known: at least so far; 0: not known either
	On        string     `json:"on,omitempty"`        // the member whose disk has it, if any has
}

// lossAt is what the promotion that forked at fork leaves behind. Who took a term and did not live to settle it reported
// nothing, of its own promotion or of the WAL that it left behind in turn: that is reported here, from where it began.
func (v View) lossAt(entry LedgerEntry, fork LSN, f TailFetch) Loss {
	r, t := v.Cluster.Record, v.Cluster.Record.Tail
	loss := Loss{Timelines: []Timeline{r.Timeline}, From: v.sharedWith(entry.Parent, fork)}
	if before, found := v.Cluster.holderBefore(r.Term); found {
		loss.On = before.Owner
	}
	unsettled := v.Cluster.unsettledSince(r.Timeline, r.Term)
	for _, e := range unsettled {
		loss.Timelines, loss.From = append(loss.Timelines, e.Timeline), min(loss.From, e.Least)
	}
	if handedOver := t != nil && t.HandedOver(); handedOver && len(unsettled) == 0 {
		if t.Whole && !f.Failed {
			return Loss{Nothing: true}
		}
		loss.On = t.From
		if t.Whole && t.End > fork {
			loss.To = t.End
		}
	}
	if renewed := v.Cluster.PrimaryTerm; loss.To == 0 && renewed != nil && renewed.Term < r.Term && renewed.Flushed > fork {
		loss.Flushed = renewed.Flushed
	}
	return loss
}

// sharedWith is how far a log on that timeline, which ends at end, and the last settled timeline's are the same: to the end,
// unless it is a stray's that the settled history has left before.
func (v View) sharedWith(own Timeline, end LSN) LSN {
	if fork := v.Cluster.ForkAfter(own); own != v.Cluster.Record.Timeline && fork != 0 {
		return min(end, fork)
	}
	return end
}

// entry is the ledger's for our term: as we took it, or as we take it now.
func (v View) entry(timeline Timeline) LedgerEntry {
	r, s := v.Cluster.Record, v.Server
	for _, e := range v.Cluster.Ledger {
		if e.Term == r.Term && e.Timeline == timeline {
			return e
		}
	}
	e := LedgerEntry{Term: r.Term, Timeline: timeline, Owner: v.Me.Name, Incarnation: v.Me.Incarnation, Parent: s.Timeline}
	if ballot, given := v.Cluster.Ballots[v.Me.Name]; given && ballot.Timeline != 0 { // as its pages say: SQL lags behind
		e.Parent = ballot.Timeline
	}
	e.Least = v.sharedWith(e.Parent, s.Replayed)
	if t := r.Tail; t != nil && !t.HandedOver() {
		e.Parent = t.Timeline
	}
	return e
}

// unsettledSince are the entries of terms since that timeline was settled and before that term.
func (c Cluster) unsettledSince(settled Timeline, term Term) (entries []LedgerEntry) {
	for _, e := range c.Ledger {
		if e.Term > c.OwnerOf(settled) && e.Term < term {
			entries = append(entries, e)
		}
	}
	return entries
}

// holderBefore is the ledger's last entry before that term.
func (c Cluster) holderBefore(term Term) (last LedgerEntry, found bool) {
	for _, e := range c.Ledger {
		if e.Term < term && e.Term >= last.Term {
			last, found = e, true
		}
	}
	return last, found
}

// String is the range as people read it.
func (l Loss) String() string {
	if l.Nothing {
		return "nothing: the old primary's WAL is here to its end"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "possibly lost: WAL of timeline %s from %s ", strings.Trim(strings.ReplaceAll(fmt.Sprint(l.Timelines), " ", ", "), "[]"), l.From)
	switch {
	case l.To != 0:
		fmt.Fprintf(&b, "to %s", l.To)
	case l.Flushed != 0:
		fmt.Fprintf(&b, "to an end that is not known (the last renewal had flushed %s)", l.Flushed)
	default:
		b.WriteString("to an end that is not known")
	}
	if l.On != "" {
		b.WriteString(", on " + l.On)
	}
	return b.String()
}

// facts are what the event of a promotion tells of its fork, its tail and what is lost.
func (l Loss) facts(t *Tail, f TailFetch, fork LSN) map[string]string {
	facts := map[string]string{"fork": fork.String()}
	if t != nil && !f.Failed && f.Reached > f.Own {
		facts["tail"] = fmt.Sprintf("%d bytes fetched from %s, to %s", f.Own.Behind(f.Reached), t.From, f.Reached)
	}
	if l.Nothing {
		facts["lost"] = l.String()
	} else {
		facts["lost_range"] = l.String()
	}
	return facts
}
