package simulation

import (
	"maps"

	"github.com/pgvigil/pgvigil/watchdog"
)

// decide is Decide, with a planted bug in what it sees or in what it says.
func (w *world) decide(n *node, v watchdog.View) watchdog.Decision {
	if w.sabotage == noBug {
		return watchdog.Decide(v)
	}
	seen, fakes := w.sabotage.distort(v)
	d := watchdog.Decide(seen)
	for i := range d.Actions {
		if c := d.Actions[i].Change; c != nil {
			edited := w.edited(n, *c)
			for _, fake := range fakes {
				delete(edited.If.BallotRevs, fake)
			}
			d.Actions[i].Change = &edited
		}
	}
	return w.sabotage.serverFirst(v, d)
}

// distort is the view as the bug has it, and the ballots that it has made up.
func (b bug) distort(v watchdog.View) (seen watchdog.View, fakes []string) {
	if b == dropBarrier {
		v.Server.SyncFrom = 1
	}
	if v.Cluster == nil || v.Cluster.Record == nil {
		return v, nil
	}
	c, leads := *v.Cluster, v.Cluster.Leader == v.Me.Name
	counting := leads && (c.Record.Phase == watchdog.PhaseElecting || len(c.Advance) > 0)
	v.Cluster = &c
	switch b {
	case staleVetoes:
		for _, cast := range []*map[string]watchdog.Cast{&c.Ballots, &c.Advance} {
			if given, there := (*cast)[v.Me.Name]; there {
				*cast = maps.Clone(*cast)
				given.Vetoes = v.Self().Vetoes
				(*cast)[v.Me.Name] = given
			}
		}
	case pauseOverlooked:
		r := *c.Record
		r.Paused, c.Record = nil, &r
	case olderStore:
		v.Me.Admitted.Term, v.Me.Admitted.Seq, v.Me.Admitted.Promised = 0, 0, 0
	case abstentionForgotten:
		v.Abstain = 0
	case silenceOfOurOwn:
		if leads {
			v.ReadAt, v.ReadGap = v.Now, false
		}
	case timelineAsTerm:
		c.Ledger = nil
		for timeline := watchdog.Timeline(1); timeline < 100; timeline++ {
			c.Ledger = append(c.Ledger, watchdog.LedgerEntry{Term: watchdog.Term(timeline), Timeline: timeline})
		}
		for i, e := range v.Cluster.Ledger {
			if e.Fork != 0 && int(e.Timeline) <= len(c.Ledger) {
				c.Ledger[e.Timeline-1].Fork = v.Cluster.Ledger[i].Fork
			}
		}
	case positionOnly:
		if counting {
			c.Ledger = nil
		}
	case countUnknown, withdrawnCounted:
		if counting {
			c.Ballots, c.Advance = b.believed(c.Ballots), b.believed(c.Advance)
		}
	case quorumOffByOne:
		if counting && c.Record.Durability.Mode == watchdog.ModeQuorum {
			c.Ballots, fakes = madeUp(c.Ballots, c.Record, 1)
			var more []string
			c.Advance, more = madeUp(c.Advance, c.Record, 1)
			fakes = append(fakes, more...)
		}
	case tooFewAfterSilence:
		if counting && c.Record.Phase == watchdog.PhaseElecting && c.Record.Durability.Mode == watchdog.ModeQuorum {
			c.Ballots, fakes = madeUp(c.Ballots, c.Record, maxHosts)
		}
	}
	return v, fakes
}

// believed takes ballots for what they do not say that they are.
func (b bug) believed(cast map[string]watchdog.Cast) map[string]watchdog.Cast {
	more := maps.Clone(cast)
	for name, given := range more {
		if b == countUnknown {
			given.Exact = true
		} else {
			given.Withdrawn = false
		}
		more[name] = given
	}
	return more
}

// madeUp adds empty ballots of so many voters that gave none.
func madeUp(cast map[string]watchdog.Cast, r *watchdog.Record, count int) (more map[string]watchdog.Cast, fakes []string) {
	if len(cast) == 0 {
		return cast, nil
	}
	more = maps.Clone(cast)
	for _, name := range r.Durability.Voters {
		if given, there := cast[name]; (!there || !given.Exact || given.Withdrawn) && len(fakes) < count {
			more[name] = watchdog.Cast{Ballot: watchdog.Ballot{Member: name, Timeline: 1, Exact: true}}
			fakes = append(fakes, name)
		}
	}
	return more, fakes
}

// edited is a change on its way to etcd, with a planted bug in it.
func (w *world) edited(_ *node, c watchdog.Change) watchdog.Change {
	named := c.Record != nil && c.Record.Phase == watchdog.PhasePromoting && !c.Record.Taken
	switch {
	case w.sabotage == nextVotersTooEarly && named && c.Record.Next != nil:
		r := *c.Record
		r.Durability = *r.Next
		c.Record = &r
	case w.sabotage == vetoBeatsBest && named && c.Event != nil && c.Event.Kind == watchdog.EventNamed:
		r := *c.Record
		r.Tail = nil
		c.Record = &r
	case w.sabotage == silenceOfOurOwn && c.Event != nil && c.Event.Kind == watchdog.EventElection:
		c.If.PrimaryTermRev = nil
	case c.Event != nil && c.Event.Loss != nil:
		e := *c.Event
		e.Loss = w.sabotage.misreport(*e.Loss, c.Ledger.Fork)
		c.Event = &e
	}
	return c
}

// misreport is a promotion's report as the bug has it.
func (b bug) misreport(said watchdog.Loss, fork watchdog.LSN) *watchdog.Loss {
	switch {
	case said.Nothing:
	case b == lossEndsAtRenewal && said.To == 0:
		said.To = max(said.From, said.Flushed)
	case b == lossOfLastTermOnly:
		said.Timelines, said.From = said.Timelines[:1], max(said.From, fork)
	}
	return &said
}

// serverFirst turns a change of the record's durability into the same change of the server, for the bugs that take the two
// steps in the wrong order.
func (b bug) serverFirst(v watchdog.View, d watchdog.Decision) watchdog.Decision {
	for i, a := range d.Actions {
		if a.Change == nil || a.Change.Record == nil || a.Change.Event == nil || a.Change.Event.Kind != watchdog.EventDurability {
			continue
		}
		now, next := v.Cluster.Record.Durability, a.Change.Record.Durability
		to := next.Sync(v.Cluster.Record.Term)
		wrong := false
		switch b {
		case degradeServerFirst:
			wrong = now.Mode == watchdog.ModeQuorum && next.Mode == watchdog.ModeAsync
		case serverBeforeRecord:
			wrong = now.Mode == watchdog.ModeQuorum && len(next.Voters) > len(now.Voters)
		case kLoweredServerFirst:
			wrong = now.Mode == watchdog.ModeQuorum && next.Mode == watchdog.ModeQuorum && next.K < now.K
		}
		if wrong && !v.Server.Sync.Equal(to) && v.Flight.Kind == "" {
			d.Actions[i] = watchdog.Action{Kind: watchdog.ActSynchronise, Term: a.Term, RecordRev: a.RecordRev, Sync: to}
		}
	}
	return d
}
