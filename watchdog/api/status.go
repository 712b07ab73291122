package api

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
	"github.com/pgvigil/pgvigil/watchdog/check"
)

// Status is the answer to GET /status: what this sidecar knows and thinks just now. Fields are added, never renamed.
type Status struct {
	Cluster     string             `json:"cluster"`
	Version     string             `json:"version"`
	Member      watchdog.Member    `json:"member"`
	Server      ServerStatus       `json:"server"`
	Writable    bool               `json:"writable"`
	TrustLeftMS int64              `json:"trust_left_ms"`
	Failsafe    bool               `json:"failsafe,omitempty"`   // the trust was won from the other members: etcd is lost
	AbstainMS   int64              `json:"abstain_ms,omitempty"` // for so long it takes no part in elections
	LoopAgeMS   int64              `json:"loop_age_ms"`
	Leader      bool               `json:"leader"`
	GuardReady  bool               `json:"guard_ready"`
	Decision    DecisionStatus     `json:"decision"`
	Operation   *OperationStatus   `json:"operation,omitempty"`
	Record      *RecordStatus      `json:"record,omitempty"`
	Peers       []PeerStatus       `json:"peers"`
	Alerts      []SinkStatus       `json:"alerts,omitempty"`
	Garbage     map[string]string  `json:"unreadable_keys,omitempty"`
	Admitted    watchdog.Admission `json:"admitted"`
	Check       *check.Report      `json:"check,omitempty"` // what would make a failover or a rejoin fail, as it was last looked for
	Time        time.Time          `json:"time"`            // by the member's wall clock
}

// ServerStatus is the PostgreSQL beside the sidecar.
type ServerStatus struct {
	Role         watchdog.Role     `json:"role"`
	PID          int               `json:"pid,omitempty"`
	Timeline     watchdog.Timeline `json:"timeline"`
	Received     watchdog.LSN      `json:"received"`
	Replayed     watchdog.LSN      `json:"replayed"`
	Streaming    bool              `json:"streaming"`
	ReplayPaused bool              `json:"replay_paused"`
	Diverged     bool              `json:"diverged"`
	Latched      bool              `json:"latched"`
	Upstream     string            `json:"upstream,omitempty"`
	LagBytes     *uint64           `json:"lag_bytes,omitempty"`   // standbys, when the primary's position is known
	LagSeconds   *float64          `json:"lag_seconds,omitempty"` // standbys
	Standbys     []string          `json:"standbys,omitempty"`    // that stream from it
	Vetoes       []watchdog.Veto   `json:"vetoes,omitempty"`
	Problem      string            `json:"problem,omitempty"`
	Sync         *SyncStatus       `json:"sync,omitempty"`        // a primary's that waits for standbys
	LowCommits   []string          `json:"low_commits,omitempty"` // quorum: whose commits wait for nobody
}

// SyncStatus is what a primary's commits wait for.
type SyncStatus struct {
	K       int      `json:"k"`
	Voters  []string `json:"voters"`
	Foreign bool     `json:"foreign,omitempty"` // the setting is not pgvigil's
}

// DecisionStatus is the loop's last decision.
type DecisionStatus struct {
	Reason  watchdog.Reason       `json:"reason"`
	Detail  string                `json:"detail,omitempty"`
	Actions []watchdog.ActionKind `json:"actions"`
}

// OperationStatus is what the sidecar is doing to its server just now.
type OperationStatus struct {
	Kind  watchdog.ActionKind `json:"kind"`
	Term  watchdog.Term       `json:"term"`
	ForMS int64               `json:"for_ms"`
}

// RecordStatus is the cluster's record as this sidecar last read it.
type RecordStatus struct {
	Term       watchdog.Term        `json:"term"`
	Seq        uint64               `json:"seq"`
	Phase      watchdog.Phase       `json:"phase"`
	Primary    string               `json:"primary,omitempty"`
	Taken      bool                 `json:"taken"`
	Timeline   watchdog.Timeline    `json:"timeline"`
	Members    []string             `json:"members"`
	Durability watchdog.Durability  `json:"durability"`
	Next       *watchdog.Durability `json:"next_durability,omitempty"`
	Paused     *watchdog.Pause      `json:"paused,omitempty"`
	Leader     string               `json:"leader,omitempty"`
	Reason     watchdog.Reason      `json:"reason"`
	Since      time.Time            `json:"since"`
	ReadAgeMS  int64                `json:"read_age_ms"`
}

// PeerStatus is what heartbeats have shown of another member. An age of -1 means never.
type PeerStatus struct {
	Name          string        `json:"name"`
	Role          watchdog.Role `json:"role"`
	HeardAgeMS    int64         `json:"heard_age_ms"`
	AnsweredAgeMS int64         `json:"answered_age_ms"`
}

// SinkStatus is how a sink of alerts fares. Counters are of this process; what waits and fails, only the leader knows.
type SinkStatus struct {
	Sink      string `json:"sink"`
	Delivered uint64 `json:"delivered"`
	Failed    uint64 `json:"failed"`  // attempts
	Skipped   uint64 `json:"skipped"` // refused for good, or unreadable
	Lost      uint64 `json:"lost"`    // removed from etcd before the sink had them, at most
	Waiting   int    `json:"waiting"`
	OldestMS  int64  `json:"oldest_ms"`  // age of the oldest that waits; 0: none does
	FailingMS int64  `json:"failing_ms"` // since the first failure in a row; 0: the last attempt went well
	Error     string `json:"error,omitempty"`
}

func sinks(all []alert.SinkStatus, now time.Time) (shown []SinkStatus) {
	for _, s := range all {
		failing, oldest := s.For(now)
		shown = append(shown, SinkStatus{
			s.Name, s.Delivered, s.Failed, s.Skipped, s.Lost, s.Waiting, oldest.Milliseconds(), failing.Milliseconds(), s.Error,
		})
	}
	return shown
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	status := statusOf(s.source.Snapshot(), s.options)
	status.Time = time.Now()
	if s.options.Checked != nil {
		report := s.options.Checked()
		status.Check = &report
	}
	answer(w, http.StatusOK, status)
}

func statusOf(s Snapshot, options Options) Status {
	v := s.View
	status := Status{
		Cluster: options.Cluster, Version: options.Version, Member: s.Self, Server: serverStatus(s, options.Lag),
		Writable: s.Writable, TrustLeftMS: s.TrustLeft.Milliseconds(), LoopAgeMS: s.LoopAge.Milliseconds(),
		GuardReady: v.Me.GuardReady, Admitted: v.Me.Admitted, Peers: []PeerStatus{},
		Decision: DecisionStatus{Reason: s.Decision.Reason, Detail: s.Decision.Detail, Actions: []watchdog.ActionKind{}},
	}
	if options.Alerts != nil {
		status.Alerts = sinks(options.Alerts(), time.Now())
	}
	status.Failsafe, status.AbstainMS = v.Trust.Failsafe, max(0, v.Abstain.Since(v.Now).Milliseconds())
	for _, action := range s.Decision.Actions {
		status.Decision.Actions = append(status.Decision.Actions, action.Kind)
	}
	if v.Flight.Kind != "" {
		status.Operation = &OperationStatus{v.Flight.Kind, v.Flight.Term, age(s, v.Flight.Since).Milliseconds()}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Peers)) {
		p := v.Peers[name]
		status.Peers = append(status.Peers, PeerStatus{name, p.Role, ageMS(s, p.HeardAt), ageMS(s, p.AnsweredAt)})
	}
	if c := v.Cluster; c != nil {
		status.Garbage = c.Garbage
		status.Leader = c.Leader != "" && c.Leader == v.Me.Name
		if r := c.Record; r != nil {
			status.Record = &RecordStatus{
				Term: r.Term, Seq: r.Seq, Phase: r.Phase, Primary: r.Primary, Taken: r.Taken, Timeline: r.Timeline,
				Members: r.Members, Durability: r.Durability, Next: r.Next, Paused: r.Paused, Leader: c.Leader, Reason: r.Reason, Since: r.Since,
				ReadAgeMS: ageMS(s, v.ReadAt),
			}
		}
	}
	return status
}

func serverStatus(s Snapshot, memory *Lag) ServerStatus {
	server := s.View.Server
	status := ServerStatus{
		Role: server.Role, PID: server.PID, Timeline: server.Timeline, Received: server.Received, Replayed: server.Replayed,
		Streaming: server.Streaming, ReplayPaused: server.ReplayPaused, Diverged: server.Diverged, Latched: server.Latched,
		Upstream: server.Upstream, Vetoes: server.Vetoes, Problem: server.Problem,
	}
	status.LowCommits = server.LowCommits
	if server.Role == watchdog.RolePrimary && (server.Sync.K > 0 || server.Sync.Foreign) {
		status.Sync = &SyncStatus{server.Sync.K, server.Sync.Voters, server.Sync.Foreign}
	}
	for _, d := range server.Standbys {
		if d.Streaming {
			status.Standbys = append(status.Standbys, d.Name)
		}
	}
	if server.Role != watchdog.RoleStandby {
		return status
	}
	if lag, known := lagBytes(s); known {
		status.LagBytes = &lag
	}
	if memory != nil {
		seconds := memory.Behind(server.Replayed).Seconds()
		status.LagSeconds = &seconds
	}
	return status
}

func age(s Snapshot, at watchdog.Instant) time.Duration { return s.View.Now.Since(at) }

func ageMS(s Snapshot, at watchdog.Instant) int64 {
	if at == 0 {
		return -1
	}
	return age(s, at).Milliseconds()
}
