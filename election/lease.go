package election

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// Grant asks for a lease and makes it the one for all the sidecar's own keys. etcd counts in whole seconds: ttl is rounded up.
func (c *Client) Grant(ctx context.Context, ttl time.Duration) (int64, error) {
	if ttl <= 0 {
		return 0, fmt.Errorf("grant lease: ttl is %s: it must be more than 0", ttl)
	}
	wanted := &pb.LeaseGrantRequest{ID: rand.Int64N(1<<63-1) + 1, TTL: int64((ttl + time.Second - 1) / time.Second)}
	_, err := ask(ctx, c, "grant lease", func(ctx context.Context, e *endpoint) (*pb.LeaseGrantResponse, error) {
		client, err := e.connected(ctx)
		if err != nil {
			return nil, err
		}
		granted, err := pb.NewLeaseClient(client.ActiveConnection()).LeaseGrant(ctx, wanted)
		if errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseExist) {
			return &pb.LeaseGrantResponse{}, nil // by an attempt of ours: nobody else chose that number
		}
		if err == nil {
			c.saw(granted.Header)
		}
		return granted, err
	})
	if err != nil {
		return 0, err
	}
	c.lease.Store(wanted.ID)
	return wanted.ID, nil
}

// Resume makes a lease of an earlier process of this member the one to use, if it is still alive: else ErrLeaseLost.
func (c *Client) Resume(ctx context.Context, lease int64) error {
	if lease == 0 {
		return fmt.Errorf("resume lease: there is none: %w", sidecar.ErrLeaseLost)
	}
	if err := c.keepAlive(ctx, lease); err != nil {
		return fmt.Errorf("resume lease %x: %w", lease, err)
	}
	c.lease.Store(lease)
	return nil
}

// KeepAlive renews the lease once. ErrLeaseLost when it is gone.
func (c *Client) KeepAlive(ctx context.Context) error {
	lease := c.lease.Load()
	if lease == 0 {
		return fmt.Errorf("keep lease alive: none was granted yet: %w", sidecar.ErrLeaseLost)
	}
	return c.keepAlive(ctx, lease)
}

func (c *Client) keepAlive(ctx context.Context, lease int64) error {
	_, _, err := send(ctx, c.pool, request[struct{}]{
		what:  "keep lease alive",
		final: func(err error) bool { return errors.Is(err, sidecar.ErrLeaseLost) },
		ask: func(ctx context.Context, e *endpoint) (struct{}, error) {
			client, err := e.connected(ctx)
			if err != nil {
				return struct{}{}, err
			}
			header, err := e.renewal.renew(ctx, c.pool.base, client, lease)
			c.saw(header)
			return struct{}{}, err
		},
	})
	return err
}

// renewalStream is an endpoint's stream of lease renewals. It is kept open between them, because with authentication each
// new stream costs etcd a bcrypt. One renewal at a time is on it.
type renewalStream struct {
	idle   chan struct{} // holds one token; whoever has it may use the stream
	stream pb.Lease_LeaseKeepAliveClient
	cancel context.CancelFunc
}

// renew sends one renewal and waits for its answer. When ctx ends first the stream is thrown away, so that no later renewal
// takes this one's answer for its own (F10).
func (s *renewalStream) renew(ctx, base context.Context, client *clientv3.Client, lease int64) (*pb.ResponseHeader, error) {
	select {
	case s.idle <- struct{}{}:
		defer func() { <-s.idle }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.stream == nil {
		if err := s.open(ctx, base, client); err != nil {
			return nil, err
		}
	}
	tooLate := context.AfterFunc(ctx, s.cancel)
	answer, err := s.exchange(lease)
	if !tooLate() || err != nil {
		s.drop()
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, rpctypes.Error(err)
	case answer.TTL <= 0:
		return answer.Header, fmt.Errorf("lease %x: %w", lease, sidecar.ErrLeaseLost)
	}
	return answer.Header, nil
}

func (s *renewalStream) open(ctx, base context.Context, client *clientv3.Client) error {
	streaming, cancel := context.WithCancel(clientv3.WithRequireLeader(base))
	tooLate := context.AfterFunc(ctx, cancel)
	stream, err := pb.NewLeaseClient(client.ActiveConnection()).LeaseKeepAlive(streaming)
	if !tooLate() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return rpctypes.Error(err)
	}
	s.stream, s.cancel = stream, cancel
	return nil
}

func (s *renewalStream) exchange(lease int64) (*pb.LeaseKeepAliveResponse, error) {
	if err := s.stream.Send(&pb.LeaseKeepAliveRequest{ID: lease}); err != nil {
		return nil, err
	}
	answer, err := s.stream.Recv()
	if err == nil && answer.ID != lease {
		return nil, fmt.Errorf("etcd answered for lease %x when %x was asked", answer.ID, lease)
	}
	return answer, err
}

func (s *renewalStream) drop() {
	if s.stream != nil {
		s.cancel()
		s.stream, s.cancel = nil, nil
	}
}
