package sidecar_test

import (
	"context"
	"errors"

	"github.com/pgvigil/pgvigil/watchdog"
)

// What the fake servers and peers of a world do for quorum.

func (n *node) Synchronise(_ context.Context, sync watchdog.Sync) (watchdog.LSN, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sync = sync
	return n.end, nil
}

func (n *node) LowCommits(context.Context) ([]string, error) { return nil, nil }

func (n *node) Obstacles(context.Context) ([]watchdog.Obstacle, error) { return nil, nil }

// KnockAt reaches every server that runs.
func (n *node) KnockAt(_ context.Context, address string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, other := range n.nodes {
		if other.name+":5432" == address && other.pid != 0 && !other.hung {
			return nil
		}
	}
	return errors.New("no answer")
}

func (p *fakePeers) Failsafe(ctx context.Context, api string, q watchdog.FailsafeQuestion) (watchdog.FailsafeAnswer, error) {
	s, err := p.at(api)
	if err != nil {
		return watchdog.FailsafeAnswer{}, err
	}
	return s.Failsafe(ctx, q), nil
}

// heirsKnown says whether the primary has heard from both standbys that nothing bars them: each first says that its guard is not
// there yet.
func (w *world) heirsKnown() bool {
	peers := w.nodes["node1"].sidecar.Snapshot().View.Peers
	for _, name := range []string{"node2", "node3"} {
		if p := peers[name]; p.HeardAt == 0 || len(p.Vetoes) > 0 {
			return false
		}
	}
	return true
}
