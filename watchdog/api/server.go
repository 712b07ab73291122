package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options is what a Server or Peers is made of.
type Options struct {
	Listen  string                 // Server: host:port
	Log     *slog.Logger           // Server; nil: no logging
	Version string                 // of pgvigil
	Cluster string                 // heartbeats of another cluster are refused
	Metrics []prometheus.Collector // Server: beside its own
	Lag     *Lag                   // fed by the heartbeats both ways; nil: lag is known in bytes alone
}

const (
	headerCluster = "X-Pgvigil-Cluster"
	headerToken   = "X-Pgvigil-Token"

	shutdownGrace = 2 * time.Second
	idleTimeout   = 2 * time.Minute // of a kept connection; heartbeats come several times a second
	headerTimeout = 5 * time.Second
	maxHeader     = 16 << 10
	maxHeartbeat  = 64 << 10
)

// Server is the sidecar's HTTP server.
type Server struct {
	source   Source
	options  Options
	log      *slog.Logger
	http     *http.Server
	listener net.Listener
	repeats  repeats
}

// NewServer makes a server that shows source. Nothing listens yet.
func NewServer(source Source, options Options) *Server {
	s := &Server{source: source, options: options, log: options.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:       rememberConn,
	}
	return s
}

// Handler is what the server answers with, for those who serve it elsewhere.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Listen takes the port. Run does so too; a caller who wants to know that the port is free before anything else is
// touched calls it first.
func (s *Server) Listen() error {
	if s.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", s.options.Listen)
	if err != nil {
		return fmt.Errorf("listen on api address %s: %w", s.options.Listen, err)
	}
	s.listener = l
	return nil
}

// Addr is the address listened on, nil before Listen.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Run serves until ctx ends, then lets the requests under way finish for a short while. It returns nil after such an end.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve api on %s: %w", s.options.Listen, err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := s.http.Shutdown(grace); err != nil {
		// A tail that is still being sent, say. Its reader starts again from where it got to.
		s.http.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve api on %s: %w", s.options.Listen, err)
	}
	return nil
}

func (s *Server) routes() http.Handler {
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
	return mux
}
