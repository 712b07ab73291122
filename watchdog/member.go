package watchdog

// Role is what a member's PostgreSQL is.
type Role string

// The roles that a member's PostgreSQL can have.
const (
	RoleUnknown  Role = "unknown"  // it did not answer, and its process lives
	RoleDown     Role = "down"     // no process of it is left
	RoleStarting Role = "starting" // its process lives and does not accept sessions yet
	RoleStandby  Role = "standby"
	RolePrimary  Role = "primary"
)

// Veto names why a member may not win an election. It chooses who may win, never what may be lost.
type Veto string

// The vetoes. Each is shown by status and stands in the event of the election in which it counted.
const (
	VetoNoFailover     Veto = "no_failover"           // tagged so by its configuration: it never wins by itself
	VetoNotRunning     Veto = "not_running"           // its server is not a running standby
	VetoNotConsistent  Veto = "not_consistent"        // its server does not accept sessions yet
	VetoSettingsLower  Veto = "settings_lower"        // max_connections or a sister is lower than the primary's: promotion would kill it (F32)
	VetoTooFarBehind   Veto = "would_lose_too_much"   // further behind the last renewal's position than the lag limit
	VetoPositionless   Veto = "position_unknown"      // its end of WAL is not known exactly
	VetoPassedOver     Veto = "passed_over"           // it won the term before and made no progress
	VetoNotConfirmed   Veto = "not_confirmed"         // the primary has not confirmed it as a member
	VetoForeignHistory Veto = "foreign_history"       // its timeline has another owner in the ledger (F24)
	VetoStorageSick    Veto = "storage_sick"          // it cannot write and sync in its own data directory
	VetoGuardMissing   Veto = "guard_missing"         // it cannot run a guard, so it may not be primary
	VetoAPIUnreachable Veto = "sidecar_not_answering" // its sidecar does not heartbeat
)

// Member is what a sidecar tells the others of itself and the PostgreSQL beside it, in etcd and with each heartbeat.
type Member struct {
	Name          string   `json:"name"`
	Incarnation   string   `json:"incarnation"`        // of the member's state on disk; kept over restarts, new for a new disk
	Address       string   `json:"address"`            // host:port at which members and clients reach its PostgreSQL
	API           string   `json:"api"`                // base URL of its sidecar, http://host:port
	SystemID      string   `json:"system_id"`          // PostgreSQL's system identifier, decimal
	Role          Role     `json:"role"`               //
	Timeline      Timeline `json:"timeline"`           //
	Received      LSN      `json:"received"`           // standby: flushed by the receiver; primary: flushed
	Replayed      LSN      `json:"replayed"`           // standby: replayed; primary: as Received
	Upstream      string   `json:"upstream,omitempty"` // host:port that it is set to stream from
	Streaming     bool     `json:"streaming"`          // its receiver streams
	Vetoes        []Veto   `json:"vetoes,omitempty"`   //
	Problem       string   `json:"problem,omitempty"`  // one line: what is wrong here and what to do
	Activity      string   `json:"activity,omitempty"` // what its sidecar is doing to the server just now, such as rewinding
	Version       string   `json:"version"`            // of pgvigil
	ServerVersion int      `json:"server_version"`     // as server_version_num
	Priority      int      `json:"priority,omitempty"` // breaks ties; higher first
	Site          string   `json:"site,omitempty"`     // breaks ties; the one that the policy prefers first
	NoFailover    bool     `json:"no_failover,omitempty"`
	NoSync        bool     `json:"no_sync,omitempty"`   // never a voter in quorum
	Follow        string   `json:"follow,omitempty"`    // the member whose server its own is to follow, where that is not the primary
	Witness       bool     `json:"witness,omitempty"`   // a member without PostgreSQL
	RewindReady   string   `json:"rewind,omitempty"`    // empty: pg_rewind would work; else why not
	PrimaryTerm   Term     `json:"held_term,omitempty"` // the term under which it is primary just now
}

// HasVeto says whether the member bars itself for that reason.
func (m Member) HasVeto(v Veto) bool {
	for _, own := range m.Vetoes {
		if own == v {
			return true
		}
	}
	return false
}
