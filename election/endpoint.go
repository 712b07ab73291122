package election

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
)

// endpoint is one of etcd's members with a connection of its own.
type endpoint struct {
	address string
	config  clientv3.Config

	opening chan struct{} // holds one token; whoever has it may look at client
	client  *clientv3.Client
	renewal renewalStream
}

func newEndpoint(ctx context.Context, address string, c Config) *endpoint {
	e := &endpoint{
		address: address,
		opening: make(chan struct{}, 1),
		config: clientv3.Config{
			Endpoints: []string{address}, Username: c.Username, Password: c.Password, TLS: c.TLS, Context: ctx,
			DialTimeout: c.DialTimeout,
			// grpc sends no pings more often than every 10 s.
			DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 2 * time.Second,
			// Retrying is ours: the library's own would neither keep to a slice nor know about the other endpoints. One
			// more attempt is left to it, for a login that has expired.
			MaxUnaryRetries: 2, BackoffWaitBetween: 10 * time.Millisecond,
			// The library logs every failed attempt; we log when the endpoint in use changes.
			Logger: zap.NewNop(),
			DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
				MinConnectTimeout: c.DialTimeout,
			}), grpc.WithChainUnaryInterceptor(failFast)},
		},
	}
	e.renewal.idle = make(chan struct{}, 1)
	return e
}

// failFast lets a request to an endpoint without a connection fail at once, so that the next is asked. The library's own way
// is to wait.
func failFast(ctx context.Context, method string, request, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, request, reply, cc, append(opts, grpc.WaitForReady(false))...)
}

// connected returns the endpoint's client. Opening it connects in the background, except that a password is logged in with
// first, for which the library waits DialTimeout whatever ctx says.
func (e *endpoint) connected(ctx context.Context) (*clientv3.Client, error) {
	select {
	case e.opening <- struct{}{}:
		defer func() { <-e.opening }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if e.client == nil {
		client, err := clientv3.New(e.config)
		if err != nil {
			return nil, fmt.Errorf("connect to etcd at %s: %w", e.address, err)
		}
		e.client = client
	}
	if conn := e.client.ActiveConnection(); conn.GetState() == connectivity.TransientFailure {
		conn.ResetConnectBackoff() // somebody asks: do not sit the back-off out
	}
	return e.client, nil
}

// close lets the connection go. Nobody else uses the endpoint any more.
func (e *endpoint) close() {
	e.renewal.drop()
	if e.client != nil {
		_ = e.client.Close() // it only ever says that its context was cancelled
	}
}
