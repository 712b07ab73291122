package pgctl

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// What this package's errors are, for errors.Is. Each is wrapped in a sentence that says where it happened and what to do
// next.
var (
	// ErrNoDataDir: there is no data directory at that path.
	ErrNoDataDir = errors.New("no data directory")
	// ErrNotDataDir: the directory is not PostgreSQL's.
	ErrNotDataDir = errors.New("not a PostgreSQL data directory")
	// ErrUnreadable: the data directory or a configuration file cannot be read.
	ErrUnreadable = errors.New("cannot be read")
	// ErrWrongOwner: we are neither root nor the data directory's owner.
	ErrWrongOwner = errors.New("belongs to another user")
	// ErrUnsupportedVersion: this pgvigil does not know that major version.
	ErrUnsupportedVersion = errors.New("unsupported PostgreSQL version")
	// ErrNoBinaries: PostgreSQL's programs of that major version were not found.
	ErrNoBinaries = errors.New("PostgreSQL's programs not found")
	// ErrNotRunning: no postmaster runs on the data directory.
	ErrNotRunning = errors.New("server is not running")
	// ErrRunning: a server runs on the data directory, and must not.
	ErrRunning = errors.New("server is running")
	// ErrNotStandby: the server is no standby.
	ErrNotStandby = errors.New("server is not a standby")
	// ErrStartFailed: the postmaster ended before it had taken its data directory.
	ErrStartFailed = errors.New("server did not start")
	// ErrWrongPassword: the server refuses pgvigil's own sessions.
	ErrWrongPassword = errors.New("server refuses pgvigil's sessions")
	// ErrUnwritableTrigger: a left-over trigger file cannot be removed, and would promote the server at its start.
	ErrUnwritableTrigger = errors.New("left-over trigger file cannot be removed")
	// ErrForbiddenSetting: a setting or a file would keep the server from starting as a standby, or end its recovery.
	ErrForbiddenSetting = errors.New("setting forbids a standby")
	// ErrConninfo: a connection string is not one that libpq would accept.
	ErrConninfo = errors.New("malformed connection string")
)

// errUnanswered is an inquiry that is still under way when its caller's time is up.
var errUnanswered = errors.New("no answer in time")

// SQLSTATEs that say something about the server rather than about the statement.
const (
	sqlCannotConnectNow   = "57P03" // starting, in recovery without hot_standby, or shutting down
	sqlCrashShutdown      = "57P02" // another process crashed, and the server restarts itself
	sqlAdminShutdown      = "57P01"
	sqlTooManyConnections = "53300"
	sqlWrongPassword      = "28P01"
	sqlNotAuthorised      = "28000"
	sqlNoDatabase         = "3D000"
	sqlNoPrivilege        = "42501"
)

// Alive says whether err, of Knock or of a session, proves that the server lives: nil, or an answer of the server's own.
func Alive(err error) bool { return err == nil || sqlState(err) != "" }

// sqlState returns the SQLSTATE that the server sent, empty if err is not the server's.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
