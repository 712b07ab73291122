package sidecar

import (
	"context"
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

// awaitCopies waits until enough of the next voters have the WAL that we have. They follow us since we were named.
func (p *promotion) awaitCopies(ctx context.Context) error {
	cluster := p.view.Cluster
	wanted := cluster.CopiesWanted()
	if wanted == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, copyWait)
	defer cancel()
	var before watchdog.LSN
	for bounded.Err() == nil {
		server, alive := p.options.Postgres.Observe(bounded)
		end := max(server.Received, server.Replayed)
		if alive && end == before && cluster.Copies(server, end) >= wanted { // replay of the tail has come to its end
			return nil
		}
		before = end
		pause(bounded, copyTick)
	}
	p.log.Warn("promoting before the next voters have the WAL", "voters", cluster.Record.Next.Voters, "k", cluster.Record.Next.K)
	return bounded.Err()
}
