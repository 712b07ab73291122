package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// judgement says whether a health endpoint answers 200, and why.
type judgement func(s Snapshot, query url.Values) (ok bool, why string)

// verdict is the body of a health endpoint.
type verdict struct {
	OK     bool          `json:"ok"`
	Reason string        `json:"reason"`
	Name   string        `json:"name"`
	Role   watchdog.Role `json:"role"`
	Term   watchdog.Term `json:"term,omitempty"`
}

func (s *Server) health(judge judgement) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		snapshot := s.source.Snapshot()
		ok, why := judge(snapshot, r.URL.Query())
		code := http.StatusOK
		if !ok {
			code = http.StatusServiceUnavailable
		}
		answer(w, code, verdict{
			OK: ok, Reason: why, Name: snapshot.Self.Name, Role: snapshot.View.Server.Role, Term: snapshot.Self.PrimaryTerm,
		})
	})
}

func isPrimary(s Snapshot, _ url.Values) (bool, string) {
	switch {
	case s.Writable:
		return true, fmt.Sprintf("primary of term %d, accepts writes", s.Self.PrimaryTerm)
	case s.View.Server.Role == watchdog.RolePrimary:
		return false, "its PostgreSQL is a primary, but not under unexpired trust"
	default:
		return false, "not the primary: its PostgreSQL is " + string(s.View.Server.Role)
	}
}

func isReplica(s Snapshot, query url.Values) (bool, string) {
	server := s.View.Server
	if server.Role != watchdog.RoleStandby {
		return false, "not a standby: its PostgreSQL is " + string(server.Role)
	}
	if server.Diverged {
		return false, "its history has left the primary's"
	}
	how := "replays"
	if server.Streaming {
		how = "streams"
	}
	if !query.Has("lag") {
		return true, how
	}
	limit, err := parseBytes(query.Get("lag"))
	if err != nil {
		return false, "lag limit not understood: give bytes, such as ?lag=1048576 or ?lag=1MB"
	}
	lag, known := lagBytes(s)
	switch {
	case !known:
		return false, "how far it lags is not known: the primary's position has not been heard"
	case lag > limit:
		return false, fmt.Sprintf("%s, but %d bytes behind, more than %d", how, lag, limit)
	default:
		return true, fmt.Sprintf("%s, %d bytes behind", how, lag)
	}
}

func isHealthy(s Snapshot, _ url.Values) (bool, string) {
	switch role := s.View.Server.Role; role {
	case watchdog.RolePrimary, watchdog.RoleStandby:
		return true, "PostgreSQL runs as a " + string(role)
	default:
		return false, "PostgreSQL is " + string(role)
	}
}

// isAlive is about the sidecar, not about PostgreSQL: a loop that has not turned for longer than this is stuck, and the
// guard has fenced or is about to.
func isAlive(s Snapshot, _ url.Values) (bool, string) {
	bound := 2 * s.View.Policy.TTL.D()
	if bound <= 0 {
		bound = 2 * watchdog.DefaultPolicy().TTL.D()
	}
	if s.LoopAge > bound {
		return false, fmt.Sprintf("the loop has not turned for %s", s.LoopAge.Round(time.Millisecond))
	}
	return true, "the loop turns"
}

func isReady(s Snapshot, query url.Values) (bool, string) {
	if ok, why := isPrimary(s, query); ok {
		return ok, why
	}
	return isReplica(s, query)
}

// lagBytes is how far replay lies behind what the primary is last known to have flushed, by its heartbeat or by its
// renewal. known is false when neither has been seen.
func lagBytes(s Snapshot) (lag uint64, known bool) {
	var end watchdog.LSN
	if c := s.View.Cluster; c != nil {
		if c.PrimaryTerm != nil {
			end = c.PrimaryTerm.Flushed
		}
		if c.Record != nil {
			if p, heard := s.View.Peers[c.Record.Primary]; heard && p.Role == watchdog.RolePrimary {
				end = max(end, p.Received)
			}
		}
	}
	if end == 0 {
		return 0, false
	}
	return s.View.Server.Replayed.Behind(end), true
}

// parseBytes reads a number of bytes with an optional unit, kB, MB or GB, as load balancers that asked Patroni write it.
func parseBytes(text string) (uint64, error) {
	number, shift := strings.TrimSpace(text), 0
	for unit, bits := range map[string]int{"kB": 10, "MB": 20, "GB": 30} {
		if cut, found := strings.CutSuffix(number, unit); found {
			number, shift = strings.TrimSpace(cut), bits
		}
	}
	n, err := strconv.ParseUint(number, 10, 64-shift)
	if err != nil {
		return 0, fmt.Errorf("parse %q as a number of bytes: %w", text, err)
	}
	return n << shift, nil
}

// answer writes a JSON body. A client that has gone away is nobody's concern.
func answer(w http.ResponseWriter, code int, body any) {
	data, err := json.Marshal(body)
	if err != nil { // no type of ours can do that
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(data, '\n'))
}

// refusal is the body of every answer that is neither 200 nor a health endpoint's.
type refusal struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, code int, format string, args ...any) {
	answer(w, code, refusal{fmt.Sprintf(format, args...)})
}
