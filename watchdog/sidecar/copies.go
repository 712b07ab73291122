package sidecar

import (
	"context"
	"slices"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

const (
	// copyWait bounds the wait for the next voters before a promotion. Past it the server is promoted, and its commits wait.
	copyWait = time.Second
	copyTick = 10 * time.Millisecond
)

// enforceNext has the server make commits wait for the next voters from its first one on; in async for nobody of ours: what a
// copy of another primary's settings has brought along.
func (p *promotion) enforceNext(ctx context.Context) error {
	var sync watchdog.Sync
	if r := p.view.Cluster.Record; r.Next != nil {
		sync = r.Next.Sync(r.Term)
	}
	from, err := p.options.Postgres.Synchronise(ctx, sync)
	if err != nil {
		return err
	}
	p.with(func(st *state) {
		st.epoch++
		st.server.Sync, st.server.SyncFrom = sync, from
	})
	return nil
}

// awaitCopies waits until k of the next voters have the WAL that we have, so that no reader of the new primary sees a row that
// a further failover could lose. They follow us since we were named; a ballot that reaches as far is as good.
func (p *promotion) awaitCopies(ctx context.Context) error {
	r := p.view.Cluster.Record
	if r.Next == nil || p.couldCopy(*r) < r.Next.K {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, copyWait)
	defer cancel()
	var before watchdog.LSN
	for bounded.Err() == nil {
		server, alive := p.options.Postgres.Observe(bounded)
		end := max(server.Received, server.Replayed)
		if alive && end == before && p.copies(*r, server, end) >= r.Next.K { // replay of the tail has come to its end
			return nil
		}
		before = end
		pause(bounded, copyTick)
	}
	p.log.Warn("promoting before the next voters have the WAL", "voters", r.Next.Voters, "k", r.Next.K)
	return bounded.Err()
}

// couldCopy counts the next voters that are alive; the old primary is not, yet.
func (p *promotion) couldCopy(r watchdog.Record) (n int) {
	for _, name := range r.Next.Voters {
		if _, alive := p.view.Cluster.Members[name]; alive && (r.Tail == nil || r.Tail.From != name) {
			n++
		}
	}
	return n
}

// copies counts the next voters that have all up to end.
func (p *promotion) copies(r watchdog.Record, server watchdog.Server, end watchdog.LSN) (n int) {
	for _, name := range r.Next.Voters {
		streams := slices.ContainsFunc(server.Standbys, func(d watchdog.Downstream) bool {
			return d.Name == name && d.Term == r.Term && d.Flushed >= end
		})
		b, cast := p.view.Cluster.Ballots[name]
		if streams || cast && b.Exact && !b.Withdrawn && b.End >= end && b.Timeline == server.Timeline {
			n++
		}
	}
	return n
}
