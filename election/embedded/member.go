package embedded

import (
	"context"
	"fmt"
	"os"
	"sync"

	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"
)

// Member is a running etcd member.
type Member struct {
	etcd    *embed.Etcd
	streams streams
	stop    sync.Once
}

// Start starts the member and returns while it still looks for the others. ctx is looked at before it begins; it is Stop that
// ends the member.
func Start(ctx context.Context, c Config) (*Member, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start embedded etcd: %w", err)
	}
	config, err := c.etcd()
	if err != nil {
		return nil, fmt.Errorf("start embedded etcd: %w", err)
	}
	if err := private(c.Dir); err != nil {
		return nil, fmt.Errorf("start embedded etcd: %w", err)
	}
	streams := newStreams()
	config.GRPCAdditionalServerOptions = append(config.GRPCAdditionalServerOptions, grpc.ChainStreamInterceptor(streams.intercept))
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		streams.stop()
		return nil, fmt.Errorf("start embedded etcd %q in %s: %w", c.Name, c.Dir, err)
	}
	return &Member{etcd: etcd, streams: streams}, nil
}

// private makes the directory, or takes from others what they may do there.
func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make etcd's directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("make etcd's directory private: %w", err)
	}
	return nil
}

// Ready returns a channel that is closed when the member serves requests: it has found a leader and caught up once.
func (m *Member) Ready() <-chan struct{} { return m.etcd.Server.ReadyNotify() }

// Done returns a channel that is closed when the member has ended, by Stop or by itself.
func (m *Member) Done() <-chan struct{} { return m.etcd.Server.StopNotify() }

// Stop ends the member, its leadership given away first, and waits for it. Twice is fine.
func (m *Member) Stop() {
	m.stop.Do(func() {
		// The server goes before its listeners, so that the leadership has moved before clients are cut off.
		m.etcd.Server.Stop()
		m.streams.stop()
		m.etcd.Close()
	})
}
