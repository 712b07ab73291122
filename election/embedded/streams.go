package embedded

import (
	"context"

	"google.golang.org/grpc"
)

// streams ends the watches and lease renewals of all clients when the member stops. etcd by itself would wait for them for
// seconds, though none ends of itself.
type streams struct {
	stopping context.Context
	stop     context.CancelFunc
}

func newStreams() streams {
	stopping, stop := context.WithCancel(context.Background())
	return streams{stopping, stop}
}

// intercept gives each stream a context that ends with the member, too.
func (s streams) intercept(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	return handle(server, &endingStream{stream, ctx})
}

// endingStream is a stream with a context of its own.
type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context ends with the stream or the member.
func (s *endingStream) Context() context.Context { return s.ctx }
