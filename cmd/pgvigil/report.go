package main

import (
	"slices"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/api"
	"github.com/pgvigil/pgvigil/watchdog/check"
)

// live is what came of asking a member's sidecar.
type live struct {
	status *api.Status
	err    string // why it has not answered
}

// report is what status shows. Its JSON is stable: fields are added, never renamed.
type report struct {
	Cluster    string              `json:"cluster"`
	Health     health              `json:"health"`
	Summary    string              `json:"summary"` // one line: what is wrong and what to do
	Problems   []problem           `json:"problems"`
	Term       watchdog.Term       `json:"term"`
	Phase      watchdog.Phase      `json:"phase"`
	Reason     watchdog.Reason     `json:"reason"`
	Since      time.Time           `json:"since"`
	Primary    string              `json:"primary,omitempty"`
	Leader     string              `json:"leader,omitempty"`
	Timeline   watchdog.Timeline   `json:"timeline"`
	Durability watchdog.Durability `json:"durability"`
	Paused     *watchdog.Pause     `json:"paused,omitempty"`
	Scheduled  *watchdog.Operation `json:"scheduled,omitempty"`
	Pools      *watchdog.Pools     `json:"pools,omitempty"` // PgBouncers are paused, or not known to be resumed
	Members    []memberRow         `json:"members"`
}

// memberRow is one line of the table.
type memberRow struct {
	Name          string            `json:"name"`
	Role          watchdog.Role     `json:"role"`
	State         string            `json:"state"`
	Leader        bool              `json:"leader"`
	Live          bool              `json:"live"`       // its sidecar answered just now; else what it last wrote to etcd
	Registered    bool              `json:"registered"` // it has a live key in etcd
	Confirmed     bool              `json:"confirmed"`  // by the primary, as a member
	Timeline      watchdog.Timeline `json:"timeline"`
	Received      watchdog.LSN      `json:"received"`
	Replayed      watchdog.LSN      `json:"replayed"`
	LagBytes      *uint64           `json:"lag_bytes"`
	LagSeconds    *float64          `json:"lag_seconds"`
	Address       string            `json:"address,omitempty"`
	API           string            `json:"api,omitempty"`
	Upstream      string            `json:"upstream,omitempty"`
	Vetoes        []watchdog.Veto   `json:"vetoes"`
	Priority      int               `json:"priority"`
	Site          string            `json:"site,omitempty"`
	NoFailover    bool              `json:"no_failover"`
	NoSync        bool              `json:"no_sync"`
	Follow        string            `json:"follow,omitempty"`
	Problem       string            `json:"problem,omitempty"`
	Activity      string            `json:"activity,omitempty"`
	Unanswered    string            `json:"unanswered,omitempty"` // why its sidecar did not answer
	RewindReady   string            `json:"rewind,omitempty"`     // why pg_rewind would not work
	Version       string            `json:"version,omitempty"`
	ServerVersion int               `json:"server_version,omitempty"`
	Writable      bool              `json:"writable"`
	TrustLeftMS   int64             `json:"trust_left_ms"`

	guardless bool // it is live and has no guard
	paused    bool
	failsafe  bool // etcd is lost, and the others let it go on

	Check *check.Report `json:"check,omitempty"` // what it last found

	lowCommits []string
	sinks      []api.SinkStatus
	decision   api.DecisionStatus
}

// buildReport puts together what etcd holds and what the members say.
func buildReport(name string, c watchdog.Cluster, lives map[string]live) report {
	r := report{Cluster: name, Leader: c.Leader, Members: []memberRow{}, Problems: []problem{}}
	var record watchdog.Record
	if c.Record != nil {
		record = *c.Record
		r.Term, r.Phase, r.Reason, r.Since = record.Term, record.Phase, record.Reason, record.Since
		r.Primary, r.Timeline, r.Durability, r.Paused = record.Primary, record.Timeline, record.Durability, record.Paused
		r.Scheduled, r.Pools = record.Scheduled, record.Pools
	}
	names := slices.Clone(record.Members)
	for member := range c.Members {
		if !slices.Contains(names, member) {
			names = append(names, member)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if (a == record.Primary) != (b == record.Primary) {
			if a == record.Primary {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	for _, member := range names {
		key, registered := c.Members[member]
		row := newRow(member, key.Member, lives[member])
		row.Registered, row.Leader, row.Confirmed = registered, member == c.Leader, record.Confirmed(member)
		r.Members = append(r.Members, row)
	}
	fillLag(&r)
	r.judge(c)
	return r
}

// newRow prefers what the member says now to what it once wrote.
func newRow(name string, m watchdog.Member, l live) memberRow {
	row := memberRow{Name: name, Unanswered: l.err, Vetoes: []watchdog.Veto{}}
	if s := l.status; s != nil {
		m = memberOf(*s)
		row.Live, row.Writable, row.TrustLeftMS = true, s.Writable, s.TrustLeftMS
		row.LagBytes, row.LagSeconds = s.Server.LagBytes, s.Server.LagSeconds
		row.guardless, row.failsafe, row.lowCommits = !s.GuardReady, s.Failsafe, s.Server.LowCommits
		row.Check = s.Check
		row.paused, row.decision, row.sinks = s.Server.ReplayPaused, s.Decision, s.Alerts
	}
	row.Role, row.Timeline, row.Received, row.Replayed = m.Role, m.Timeline, m.Received, m.Replayed
	row.Address, row.API, row.Upstream, row.Problem, row.Activity = m.Address, m.API, m.Upstream, m.Problem, m.Activity
	row.Priority, row.Site, row.NoFailover, row.NoSync, row.Follow = m.Priority, m.Site, m.NoFailover, m.NoSync, m.Follow
	row.RewindReady, row.Version, row.ServerVersion = m.RewindReady, m.Version, m.ServerVersion
	row.Vetoes = append(row.Vetoes, m.Vetoes...)
	if row.Role == "" {
		row.Role = watchdog.RoleUnknown
	}
	row.State = stateOf(row, m, l)
	return row
}

// memberOf is what the member says of itself, with its server as its last look found it.
func memberOf(s api.Status) watchdog.Member {
	m := s.Member
	m.Role, m.Timeline, m.Received, m.Replayed = s.Server.Role, s.Server.Timeline, s.Server.Received, s.Server.Replayed
	m.Streaming, m.Upstream = s.Server.Streaming, s.Server.Upstream
	return m
}

// stateOf is one or two words that say what a server does.
func stateOf(row memberRow, m watchdog.Member, l live) string {
	switch {
	case m.Name == "":
		return "sidecar gone"
	case m.Witness:
		return "witness"
	case m.Activity != "":
		return m.Activity
	case row.Writable:
		return "writable"
	case row.Role == watchdog.RolePrimary && !row.Live:
		return "writable, it said"
	case row.Role == watchdog.RolePrimary:
		return "not writable"
	case row.Role != watchdog.RoleStandby:
		return string(row.Role)
	case l.status != nil && l.status.Server.Diverged:
		return "diverged"
	case row.paused:
		return "replay paused"
	case m.Streaming:
		return "streaming"
	case row.Upstream == "":
		return "detached"
	default:
		return "not streaming"
	}
}

// fillLag works the lag out from the positions where no live sidecar has told it.
func fillLag(r *report) {
	var end watchdog.LSN
	for _, row := range r.Members {
		if row.Role == watchdog.RolePrimary && row.Name == r.Primary {
			end = row.Received
		}
	}
	for i := range r.Members {
		row := &r.Members[i]
		if row.Role == watchdog.RoleStandby && row.LagBytes == nil && end != 0 {
			lag := row.Replayed.Behind(end)
			row.LagBytes = &lag
		}
	}
}
