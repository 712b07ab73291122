package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/election/embedded"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

const (
	lookForLeader = 500 * time.Millisecond
	moveBound     = 2 * time.Second
)

func startEtcd(ctx context.Context, cfg config.Config, log *slog.Logger) (*embedded.Member, error) {
	e, certs := cfg.Etcd.Embedded, embedded.Certs{}
	if t := cfg.Etcd.TLS; t.Cert != "" {
		certs = embedded.Certs{Cert: t.Cert, Key: t.Key, CA: t.CA}
	}
	member, err := embedded.Start(ctx, embedded.Config{
		Name: cfg.Name, Dir: e.Dir, ListenPeer: e.ListenPeer, ListenClient: e.ListenClient,
		AdvertisePeer: e.InitialCluster[cfg.Name], AdvertiseClient: e.AdvertiseClient, InitialCluster: e.InitialCluster,
		Cluster: cfg.Cluster, New: true, PeerCerts: certs, ClientCerts: certs, Log: log,
	})
	return member, fail(exitEtcd, err)
}

// keepEtcd moves etcd's leadership away from the primary's host, so that the loss of that host is not the loss of both, and
// ends the sidecar when its etcd member has ended: whoever starts it again starts both.
func keepEtcd(ctx context.Context, cfg config.Config, etcd *embedded.Member, member *sidecar.Sidecar, log *slog.Logger) error {
	tick := time.NewTicker(lookForLeader)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-etcd.Done():
			if ctx.Err() != nil {
				return nil
			}
			return fail(exitEtcd, errors.New("the embedded etcd member has ended: see what it logged before"))
		case <-tick.C:
		}
		to := betterPlace(member.Snapshot())
		if _, runsEtcd := cfg.Etcd.Embedded.InitialCluster[to]; !runsEtcd || !etcd.IsLeader() {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, moveBound)
		if err := etcd.MoveLeader(bounded, to); err != nil {
			log.Warn("etcd's leadership stays on the primary's host", "error", err)
		}
		cancel()
	}
}

// betterPlace is the member that should lead etcd: the one that leads the cluster, if our own server is the primary and that
// member has just been heard. Empty: it may stay where it is.
func betterPlace(s sidecar.Snapshot) string {
	cluster := s.View.Cluster
	if !s.Writable || cluster == nil || cluster.Leader == s.Self.Name {
		return ""
	}
	peer, known := s.View.Peers[cluster.Leader]
	if !known || peer.HeardAt == 0 || s.View.Now.Since(peer.HeardAt) > s.View.Policy.Detection.D() {
		return ""
	}
	return cluster.Leader
}
