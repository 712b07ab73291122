package watchdog

// Server is what a sidecar knows of the PostgreSQL beside it. Unknown is neither healthy nor dead: a server that did not
// answer has Role RoleUnknown, and only a look at the process table makes it RoleDown.
type Server struct {
	Role          Role
	PID           int  // of the postmaster, 0 when it is down
	Gone          bool // verified: no process of this data directory is left
	Restarting    bool // it told us that it restarts itself after a backend's crash: it will come up as a standby
	SystemID      string
	ServerVersion int      // as server_version_num
	Timeline      Timeline // standby: of the WAL that it receives or replays; primary: that it writes
	Received      LSN      // standby: flushed by the receiver; primary: flushed
	Replayed      LSN
	NextXID       uint64 // the next transaction id, as 64 bits; a standby's as far as it has replayed; 0: not known
	ReplayPaused  bool
	Upstream      string // host:port in primary_conninfo, empty when detached
	Receiver      bool   // a receiver process exists
	Streaming     bool   // the receiver streams
	Diverged      bool   // its own history leaves the upstream's before its end: it can never stream from there
	Latched       bool   // standby.signal (before 12: recovery.conf) lies in the data directory
	Stamp         Term   // standby: the term with which its name is stamped in primary_conninfo
	Sync          Sync   // primary: what it enforces
	SyncFrom      LSN    // a position after which every commit has waited for Sync; 0: not known
	Standbys      []Downstream
	Vetoes        []Veto
	LowCommits    []string // primary in quorum: for whom synchronous_commit is set lower than on
	NoRewind      string   // why pg_rewind would not work here, empty if it would
	Problem       string   // what is wrong beside it (no data directory, wrong password …) and what to do

	AnsweredAt  Instant // last time a bounded query on the kept connection succeeded, or an error proved that it lives
	ConnectedAt Instant // last time a new connection was answered, with success or with an error that proves life
	StoredAt    Instant // last time the storage probe finished
	StartedAt   Instant // when the sidecar first saw this postmaster
}

// ReloadsConninfo says that the server takes a new primary_conninfo by reload (13 and up), and needs no restart for it. One
// whose version is not known may need it.
func (s Server) ReloadsConninfo() bool { return s.ServerVersion >= 130000 }

// CountsAny says that the server has ANY in synchronous_standby_names (10 and up), which quorum durability needs. One whose
// version is not known yet is not turned away for it.
func (s Server) CountsAny() bool { return s.ServerVersion == 0 || s.ServerVersion >= 100000 }

// Downstream is a standby as the primary sees it in pg_stat_replication.
type Downstream struct {
	Name      string // application_name, without its stamp
	Term      Term   // the stamp; 0: none
	Streaming bool
	Flushed   LSN
	Replayed  LSN
}
