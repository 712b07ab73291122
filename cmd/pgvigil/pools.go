package main

import (
	"log/slog"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog/pooler"
)

// openPools returns what pauses and resumes PgBouncer beside the sidecar, nil if no console is configured.
func openPools(cfg config.Config, store pooler.Store, log *slog.Logger) (*pooler.Keeper, error) {
	if len(cfg.PgBouncer.Consoles) == 0 {
		return nil, nil
	}
	return pooler.Open(pooler.Options{Member: cfg.Name, Config: cfg.PgBouncer, Store: store, Wall: clock{}.Wall, Log: log})
}
