package watchdog

// OwnerOf returns the term that owns the timeline. Timelines from before the first entry belong to term 1.
func (c Cluster) OwnerOf(timeline Timeline) Term {
	owner := Term(1)
	for _, e := range c.Ledger {
		if e.Timeline == timeline && e.Term > owner {
			owner = e.Term
		}
	}
	return owner
}

// NextTimeline returns a number above every one that the ledger knows and above own, so that each number has one owner
// before it exists (F24).
func (c Cluster) NextTimeline(own Timeline) Timeline {
	highest := own
	for _, e := range c.Ledger {
		highest = max(highest, e.Timeline)
	}
	if c.Record != nil {
		highest = max(highest, c.Record.Timeline)
	}
	return highest + 1
}

// ForkAfter returns where the settled history leaves the timeline: the lowest fork of a later settled timeline. Zero: it
// does not leave it.
func (c Cluster) ForkAfter(timeline Timeline) LSN {
	var fork LSN
	for _, e := range c.Ledger {
		if e.Timeline > timeline && e.Fork != 0 && (fork == 0 || e.Fork < fork) {
			fork = e.Fork
		}
	}
	return fork
}

// TimelineBefore returns the highest timeline that the ledger knows below the given one, which a former primary will have
// written; 1 when there is none.
func (c Cluster) TimelineBefore(timeline Timeline) Timeline {
	before := Timeline(1)
	for _, e := range c.Ledger {
		if e.Timeline < timeline {
			before = max(before, e.Timeline)
		}
	}
	return before
}
