package sidecar

import (
	"context"
	"fmt"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
)

// nothingPending is what is said of a restart that is not needed.
const nothingPending = "no setting waits for a restart"

// restart stops a standby and starts it again. Where this process ends in between, it is done anew.
func (s *Sidecar) restart(ctx context.Context, v watchdog.View, a watchdog.Action) error {
	if needed, err := s.restartNeeded(ctx, *v.Cluster.Record.Operation); err != nil || !needed {
		return err
	}
	s.options.Crash("restart-stop")
	if err := s.stop(ctx); err != nil {
		return err
	}
	s.options.Crash("restart-start")
	return s.startServer(ctx, v, a)
}

// restartNeeded: whoever asked for a restart only where a setting waits for it is told so where none does.
func (s *Sidecar) restartNeeded(ctx context.Context, o watchdog.Operation) (bool, error) {
	if !o.Pending {
		return true, nil
	}
	names, err := s.options.Postgres.PendingRestart(ctx)
	if err != nil {
		return false, fmt.Errorf("look which settings wait for a restart: %w", err)
	}
	if len(names) == 0 {
		s.with(func(st *state) { st.said = nothingPending })
		return false, nil
	}
	s.log.Info("settings wait for a restart", "settings", strings.Join(names, ", "))
	return true, nil
}

// reload has the server read its settings anew, and keeps what came of it to be told.
func (s *Sidecar) reload(ctx context.Context, v watchdog.View) error {
	bounded, cancel := context.WithTimeout(ctx, v.Policy.TTL.D())
	defer cancel()
	said, err := s.options.Postgres.Reload(bounded)
	if err == nil {
		s.with(func(st *state) { st.said = said })
	}
	return err
}
