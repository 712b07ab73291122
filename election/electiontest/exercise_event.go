package electiontest

import (
	"context"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

func eventInTransaction(b *bench) {
	s, c := b.seeded()
	told := &watchdog.Event{Term: 2, Seq: 2, Kind: watchdog.EventElection, Reason: watchdog.ReasonSilence, Message: "opened"}
	b.refused(s, watchdog.Change{If: watchdog.If{RecordRev: at(0)}, Record: record(2, 2), Event: told}, sidecar.ErrCompareLost)
	b.events(s, 10)
	b.apply(s, watchdog.Change{If: watchdog.If{RecordRev: at(c.RecordRev)}, Record: record(2, 2), Event: told})
	events := b.events(s, 10, 2)
	if events[0].Message != "opened" || events[0].Kind != watchdog.EventElection {
		b.Errorf("event %+v", events[0])
	}
	// Events that come with no change of the record do not take the place of the one that does, nor of each other.
	for i := range 2 {
		b.apply(s, watchdog.Change{Event: &watchdog.Event{Term: 2, Seq: 2, Time: time.Unix(int64(1000+i), 0), Kind: watchdog.EventProblem}})
	}
	events = b.events(s, 10, 2, 2, 2)
	if events[0].Message != "opened" || events[1].Kind != watchdog.EventProblem || !events[1].Time.Before(events[2].Time) {
		b.Errorf("events %+v", events)
	}
}

// events reads the newest events, whose sequence numbers must be these.
func (b *bench) events(s sidecar.Store, newest int, seqs ...uint64) []watchdog.Event {
	b.Helper()
	events, err := s.Events(b.ctx, newest)
	if err != nil || len(events) != len(seqs) {
		b.Fatalf("events %+v, error %v, want sequence numbers %v", events, err, seqs)
	}
	for i, e := range events {
		if e.Seq != seqs[i] {
			b.Fatalf("events %+v, want sequence numbers %v", events, seqs)
		}
	}
	return events
}

func eventsPruned(b *bench) {
	s, c := b.seeded()
	revision := c.RecordRev
	for seq := uint64(2); seq <= 12; seq++ { // the tenth sorts behind the ninth
		change := watchdog.Change{If: watchdog.If{RecordRev: at(revision)}, Record: record(1, seq), Event: &watchdog.Event{Term: 1, Seq: seq}}
		if seq == 12 {
			change.PruneEvents = 3
		}
		revision = b.apply(s, change)
	}
	b.eventually("three events are left", func() bool {
		events, err := s.Events(b.ctx, 100)
		return err == nil && len(events) == 3
	})
	b.events(s, 100, 10, 11, 12)
	b.events(s, 2, 11, 12)
	b.events(s, 0)
}

// quiet is how long nothing must come for a watch to count as quiet.
const quiet = 200 * time.Millisecond

// watching opens a watch and waits until it has begun and is quiet.
func (b *bench) watching(s sidecar.Store) (<-chan struct{}, context.CancelFunc) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.ctx)
	b.Cleanup(cancel)
	wakes := s.Watch(ctx)
	b.woken(wakes, "the watch began")
	b.settle(wakes)
	return wakes, cancel
}

func (b *bench) woken(wakes <-chan struct{}, why string) {
	b.Helper()
	select {
	case _, open := <-wakes:
		if !open {
			b.Fatalf("the watch was closed when %s", why)
		}
	case <-time.After(5 * time.Second):
		b.Fatalf("nobody was woken when %s", why)
	}
}

// settle takes wakes until there are none for a while, and returns how many there were.
func (b *bench) settle(wakes <-chan struct{}) (n int) {
	b.Helper()
	for {
		select {
		case <-wakes:
			n++
		case <-time.After(quiet):
			return n
		}
	}
}

func wakes(b *bench) {
	s, c := b.seeded()
	seen, _ := b.watching(b.open())
	revision := c.PrimaryTermRev
	for i := range uint64(5) {
		revision = b.apply(s, watchdog.Change{If: watchdog.If{PrimaryTermRev: at(revision)}, PrimaryTerm: renewalOf("a", i)})
	}
	if n := b.settle(seen); n != 0 {
		b.Fatalf("renewals woke %d times", n)
	}
	recordRev := c.RecordRev
	for _, wake := range []struct {
		why    string
		change func() watchdog.Change
	}{
		{"the record changed", func() watchdog.Change {
			return watchdog.Change{If: watchdog.If{RecordRev: at(recordRev)}, Record: record(2, 2)}
		}},
		{"a member registered", func() watchdog.Change { return watchdog.Change{Member: member("a")} }},
		{"somebody campaigned", func() watchdog.Change { return watchdog.Change{Campaign: "a"} }},
		{"a ballot was given", func() watchdog.Change { return watchdog.Change{Ballot: ballot(2, "a", 1)} }},
		{"ballots were dropped", func() watchdog.Change { return watchdog.Change{DropBallotsOf: 2} }},
		{"the primary key was dropped", func() watchdog.Change { return watchdog.Change{DropPrimary: true} }},
		{"the leader resigned", func() watchdog.Change { return watchdog.Change{Resign: true} }},
	} {
		b.apply(s, wake.change())
		b.woken(seen, wake.why)
	}
	b.settle(seen)
	b.raw.Put(b.raw.Prefix()+"config", "anything")
	b.woken(seen, "the policy changed")
	b.raw.Delete(b.raw.Prefix() + "record")
	b.woken(seen, "the record was deleted")
	b.settle(seen)
	b.raw.Put("/pgvigil/another/record", "anything")
	if n := b.settle(seen); n != 0 {
		b.Errorf("another cluster's key woke %d times", n)
	}
	b.raw.Delete("/pgvigil/another/record")
}

func leaseWakes(b *bench) {
	s, lease := b.leased()
	b.apply(s, watchdog.Change{Member: member("a")})
	seen, _ := b.watching(b.open())
	b.raw.Expire(lease)
	b.woken(seen, "a lease ended")
}

func watchCloses(b *bench) {
	s := b.open()
	ended := func(wakes <-chan struct{}, why string) {
		b.Helper()
		for {
			select {
			case _, open := <-wakes:
				if !open {
					return
				}
			case <-time.After(5 * time.Second):
				b.Fatalf("the watch goes on after %s", why)
			}
		}
	}
	first, cancel := b.watching(s)
	cancel()
	ended(first, "its context ended")
	second, _ := b.watching(s)
	if err := s.Close(); err != nil {
		b.Fatalf("Close: %v", err)
	}
	ended(second, "its client was closed")
	ended(s.Watch(b.ctx), "its client had been closed")
	if _, err := s.Read(b.ctx); err == nil {
		b.Error("a closed client reads")
	}
	if err := s.Close(); err != nil {
		b.Errorf("Close, again: %v", err)
	}
}
