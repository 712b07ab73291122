package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/request"
)

// Operators is what the endpoints of operators are made of: whoever names the token reads the cluster and asks for what
// watchdog.Request can hold, and nothing else.
type Operators struct {
	Store OperatorStore // nil: there are no such endpoints
	Token string        // empty: they refuse everybody
	Clock func() time.Time
}

// OperatorStore is what of the cluster's keys operators are shown, and asked through.
type OperatorStore interface {
	request.Store
	// Events returns the newest events, oldest first.
	Events(ctx context.Context, newest int) ([]watchdog.Event, error)
}

const (
	operatorBound = 5 * time.Second
	maxRequest    = 64 << 10
	maxEvents     = 1000
)

// The paths of the operators' endpoints.
const (
	PathCluster  = "/operator/cluster"
	PathEvents   = "/operator/events"
	PathMembers  = "/operator/members"
	PathRequests = "/operator/requests"
)

// ClusterAnswer is one consistent read of the cluster, without the tokens by which members fetch WAL from each other.
type ClusterAnswer struct {
	Name    string           `json:"name"`
	Cluster watchdog.Cluster `json:"cluster"`
}

// RequestAnswer says that a request stands in the record since that sequence number.
type RequestAnswer struct {
	Seq uint64 `json:"seq"`
}

// routeOperators adds the endpoints to what is served by TLS or, where there is none, to the plain port.
func (s *Server) routeOperators(mux *http.ServeMux, secure bool) {
	o := s.options.Operators
	if o.Store == nil {
		return
	}
	if !secure && s.options.TLSListen != "" {
		mux.HandleFunc("/operator/", func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusForbidden, "operators are served by TLS: ask https at %s", s.options.TLSListen)
		})
		return
	}
	for route, handler := range map[string]http.HandlerFunc{
		"GET " + PathCluster: s.operatorCluster, "GET " + PathEvents: s.operatorEvents,
		"GET " + PathMembers: s.operatorMembers, "POST " + PathRequests: s.operatorRequest,
	} {
		mux.HandleFunc(route, s.operators(handler))
	}
}

// operators lets in only those who name the token, and means this cluster.
func (s *Server) operators(then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch cluster := r.Header.Get(HeaderCluster); {
		case s.options.Operators.Token == "":
			refuse(w, http.StatusForbidden, "no token is configured for operators: set api.token_file in this sidecar's configuration, or api.token, and start it again")
		case !bearer || !sameToken(given, s.options.Operators.Token):
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, "this is not the operators' token: it is api.token or api.token_file of this sidecar's configuration")
		case cluster != "" && cluster != s.options.Cluster:
			refuse(w, http.StatusMisdirectedRequest, "this member belongs to cluster %s, not %s", s.options.Cluster, cluster)
		default:
			ctx, cancel := context.WithTimeout(r.Context(), operatorBound)
			defer cancel()
			then(w, r.WithContext(ctx))
		}
	}
}

// sameToken takes as long whatever is given.
func sameToken(given, token string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func (s *Server) operatorCluster(w http.ResponseWriter, r *http.Request) {
	cluster, err := s.options.Operators.Store.Read(r.Context())
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "this member cannot read etcd: %v", err)
		return
	}
	answer(w, http.StatusOK, ClusterAnswer{s.options.Cluster, withoutTokens(cluster)})
}

// withoutTokens leaves out what lets its reader fetch raw WAL.
func withoutTokens(c watchdog.Cluster) watchdog.Cluster {
	if c.Record != nil && c.Record.Tail != nil {
		record, tail := *c.Record, *c.Record.Tail
		tail.Token, record.Tail = "", &tail
		c.Record = &record
	}
	for _, ballots := range []*map[string]watchdog.Cast{&c.Ballots, &c.Advance} {
		bare := map[string]watchdog.Cast{}
		for name, b := range *ballots {
			b.Token = ""
			bare[name] = b
		}
		*ballots = bare
	}
	return c
}

func (s *Server) operatorEvents(w http.ResponseWriter, r *http.Request) {
	newest, err := strconv.Atoi(r.URL.Query().Get("newest"))
	if err != nil || newest < 1 || newest > maxEvents {
		refuse(w, http.StatusBadRequest, "newest is %q: give 1 to %d", r.URL.Query().Get("newest"), maxEvents)
		return
	}
	events, err := s.options.Operators.Store.Events(r.Context(), newest)
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "this member cannot read etcd: %v", err)
		return
	}
	if events == nil {
		events = []watchdog.Event{}
	}
	answer(w, http.StatusOK, events)
}

// operatorMembers asks the other sidecars, for operators who reach only this one.
func (s *Server) operatorMembers(w http.ResponseWriter, r *http.Request) {
	cluster, err := s.options.Operators.Store.Read(r.Context())
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "this member cannot read etcd: %v", err)
		return
	}
	answer(w, http.StatusOK, AskMembers(r.Context(), s.asker, s.options.Cluster, cluster.Members))
}

// operatorRequest puts a request into the record. 409: refused. 503: never sent. 502: it may have been made.
func (s *Server) operatorRequest(w http.ResponseWriter, r *http.Request) {
	var asked watchdog.Request
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	decoder.DisallowUnknownFields() // half a request is another request
	if err := decoder.Decode(&asked); err != nil {
		refuse(w, http.StatusBadRequest, "this is no request: %v", err)
		return
	}
	seq, err := request.Ask(r.Context(), s.options.Operators.Store, asked, s.options.Operators.Clock)
	switch {
	case err == nil:
		s.log.Info("an operator has asked through the api", "by", asked.By, "from", r.RemoteAddr, "seq", seq)
		answer(w, http.StatusOK, RequestAnswer{seq})
	case errors.Is(err, request.ErrRefused):
		refuse(w, http.StatusConflict, "%v", err)
	case errors.Is(err, request.ErrUnread):
		refuse(w, http.StatusServiceUnavailable, "%v", err)
	default:
		refuse(w, http.StatusBadGateway, "%v", err)
	}
}
