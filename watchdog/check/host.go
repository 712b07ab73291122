package check

import (
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Host is what a look at a member's host has found. Zero is not known, unless it says otherwise.
type Host struct {
	Member  string
	Version string // PostgreSQL's major version, as in PG_VERSION
	DataDir string

	Running  bool
	Unasked  string            // why the server could not be asked for what follows, empty if it was
	Primary  bool              //
	Settings map[string]string // in force, as pg_settings has them; one that this version has not is missing
	Pending  []string          // settings that wait for a restart
	Role     *Role             // that standbys connect as; nil: not asked
	HBA      []string          // lines of pg_hba.conf that are in error
	Slots    []Slot            //
	Archiver string            // what failed last, since something was archived last
	Low      []string          // where synchronous_commit is lower than on

	Lower        []Lower  // settings that a standby has lower than its primary
	NoRewind     string   // why pg_rewind would not work, empty if it would
	NoHints      bool     // … because the cluster has neither checksums nor wal_log_hints
	Forbidden    string   // what keeps the server from starting as a standby
	Triggers     []string // files that promote the server at its next start
	Restore      string   // the standby's restore_command
	TriggerAt    string   // directory of the configured trigger file that its owner cannot write to
	StandbyFile  bool     // standby.signal, or recovery.conf, lies beside a primary
	Units        []Unit   //
	NoClone      string   // why a copy beside is not possible
	Space        *Space   //
	Unsynced     bool     // the kernel says that nothing keeps its clock
	SystemID     string   //
	Others       []Other  // the other members, as they are reached from here
	Policy       watchdog.Policy
	Replication  string // user that standbys connect as, by the configuration or primary_conninfo
	Adopted      bool   // the member belongs to a cluster: its sidecar lays standby.signal beside a primary too
	StartCommand string // by which the sidecar starts the server, empty: pg_ctl
}

// Role is what the server knows of the role that standbys connect as.
type Role struct {
	Name        string
	Exists      bool
	Login       bool
	Replication bool
	Expires     time.Time // of its password; zero: never
}

// Slot is a replication slot.
type Slot struct {
	Name     string
	Logical  bool
	Active   bool
	Failover bool   // 17 and up: it is synchronised to standbys
	Held     uint64 // bytes of WAL that it keeps
}

// Lower is a setting that is lower here than on the primary.
type Lower struct {
	Setting     string
	Here, There int
}

// Unit is a systemd unit that starts the server at boot.
type Unit struct {
	Name string
	How  string // what makes it start, such as a file
	Mend string
}

// Space is room on a file system.
type Space struct {
	Path       string
	Free, Size uint64 // bytes
	Needed     uint64 // for a copy beside; 0: not measured
}

// Other is another member, as it is reached from here.
type Other struct {
	Name, Address string
	Refused       *Refusal          // of a replication connection; nil: it was let in
	NoRewind      *Refusal          // of pg_rewind's session; nil: it was let in, or not tried
	SystemID      string            //
	Version       string            // major
	Settings      map[string]string // of those that must not be lower elsewhere, and wal_level
	ClockOff      time.Duration     // its clock before ours
	ClockError    time.Duration     // by which that may be wrong: half the way there and back; 0: its clock was not asked
}

// Refusal is why a connection was not had.
type Refusal struct {
	State string // SQLSTATE, if the server sent one
	Text  string
}
