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

// leave ends this member. That it belongs to no cluster any more is on its disk first; keys that could not be taken away end
// with the lease.
func (s *Sidecar) leave(ctx context.Context, v watchdog.View) error {
	if err := s.journal.change(func(k *kept) { k.Left = true }); err != nil {
		return fmt.Errorf("note that this member leaves: %w", err)
	}
	s.options.Crash("left")
	bounded, cancel := context.WithTimeout(ctx, v.Policy.RenewalDeadline.D())
	defer cancel()
	if _, err := s.options.Store.Apply(bounded, watchdog.LeaveChange(v.Me)); err != nil {
		s.log.Warn("our keys end with the lease", "error", err)
	}
	s.with(func(st *state) { st.refusal = removed(s.options.StateDir) })
	signal(s.wake)
	return nil
}

// removed refuses to go on, or to start again.
func removed(stateDir string) *Refusal {
	return &Refusal{Reason: watchdog.ReasonRemoved, Message: fmt.Sprintf(
		"this member was removed from its cluster, and its server is left as it is: move %s away to let it join again", stateDir)}
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
