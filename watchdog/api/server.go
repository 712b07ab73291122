package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgvigil/pgvigil/watchdog/alert"
	"github.com/pgvigil/pgvigil/watchdog/check"
)

// Options is what a Server or Peers is made of.
type Options struct {
	Listen  string                    // Server: host:port
	Log     *slog.Logger              // Server; nil: no logging
	Version string                    // of pgvigil
	Cluster string                    // heartbeats of another cluster are refused
	Metrics []prometheus.Collector    // Server: beside its own
	Alerts  func() []alert.SinkStatus // Server: how each sink fares; nil: there are none
	Lag     *Lag                      // fed by the heartbeats both ways; nil: lag is known in bytes alone

	Checked   func() check.Report // Server: what the member last found; nil: it does not look
	Operators Operators           // Server
	TLSListen string              // Server: host:port at which everything is served by TLS too; empty: nowhere
	TLS       *tls.Config         // Server: with TLSListen
}

// HeaderCluster names the cluster that is meant: a member of another refuses.
const HeaderCluster = "X-Pgvigil-Cluster"

const (
	headerToken = "X-Pgvigil-Token"

	shutdownGrace = 2 * time.Second
	idleTimeout   = 2 * time.Minute // of a kept connection; heartbeats come several times a second
	headerTimeout = 5 * time.Second
	maxHeader     = 16 << 10
	maxHeartbeat  = 64 << 10
)

// Server is the sidecar's HTTP server.
type Server struct {
	source  Source
	options Options
	log     *slog.Logger
	faces   []*face
	asker   *http.Client
	repeats repeats
}

// face is one port of the server.
type face struct {
	listen   string
	tls      *tls.Config // nil: plain
	http     *http.Server
	listener net.Listener
}

// NewServer makes a server that shows source. Nothing listens yet.
func NewServer(source Source, options Options) *Server {
	s := &Server{source: source, options: options, log: options.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.asker = NewAsker()
	s.faces = []*face{{listen: options.Listen, http: s.newHTTP(s.routes(false))}}
	if options.TLSListen != "" {
		s.faces = append(s.faces, &face{listen: options.TLSListen, tls: options.TLS, http: s.newHTTP(s.routes(true))})
	}
	return s
}

func (s *Server) newHTTP(routes http.Handler) *http.Server {
	return &http.Server{
		Handler:           routes,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:       rememberConn,
	}
}

// Handler is what the server answers with on its plain port, for those who serve it elsewhere.
func (s *Server) Handler() http.Handler { return s.faces[0].http.Handler }

// Listen takes the ports. Run does so too; a caller who wants to know that they are free before anything else is touched
// calls it first.
func (s *Server) Listen() error {
	for _, f := range s.faces {
		if f.listener != nil {
			continue
		}
		l, err := net.Listen("tcp", f.listen)
		if err != nil {
			return fmt.Errorf("listen on api address %s: %w", f.listen, err)
		}
		f.listener = l
		if f.tls != nil {
			f.listener = tls.NewListener(l, f.tls)
		}
	}
	return nil
}

// Addr is the plain address listened on, nil before Listen.
func (s *Server) Addr() net.Addr { return s.faces[0].addr() }

// TLSAddr is the address served by TLS, nil before Listen or if there is none.
func (s *Server) TLSAddr() net.Addr {
	if len(s.faces) == 1 {
		return nil
	}
	return s.faces[1].addr()
}

func (f *face) addr() net.Addr {
	if f.listener == nil {
		return nil
	}
	return f.listener.Addr()
}

// Run serves until ctx ends, then lets the requests under way finish for a short while. It returns nil after such an end.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	defer s.asker.CloseIdleConnections()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(s.faces))
	for _, f := range s.faces {
		go func() {
			err := f.run(ctx)
			cancel() // one that fails ends the other
			ended <- err
		}()
	}
	var err error
	for range s.faces {
		err = errors.Join(err, <-ended)
	}
	return err
}

func (f *face) run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- f.http.Serve(f.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve api on %s: %w", f.listen, err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := f.http.Shutdown(grace); err != nil {
		// A tail that is still being sent, say. Its reader starts again from where it got to.
		f.http.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve api on %s: %w", f.listen, err)
	}
	return nil
}

func (s *Server) routes(secure bool) http.Handler {
	mux := http.NewServeMux()
	for path, judge := range map[string]judgement{
		"/{$}":       isPrimary,
		"/primary":   isPrimary,
		"/replica":   isReplica,
		"/health":    isHealthy,
		"/liveness":  isAlive,
		"/readiness": isReady,
	} {
		handler := s.health(judge)
		for _, method := range []string{http.MethodGet, http.MethodOptions} { // GET is HEAD too
			mux.Handle(method+" "+path, handler)
		}
	}
	mux.HandleFunc("GET /status", s.status)
	mux.Handle("GET /metrics", s.metrics())
	mux.HandleFunc("POST /heartbeat", s.heartbeat)
	mux.HandleFunc("POST /failsafe", s.failsafe)
	mux.HandleFunc("GET /tail", s.tail)
	s.routeOperators(mux, secure)
	return mux
}
