package pgctl

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgvigil/pgvigil/watchdog"
)

// source is the primary that a stopped server is rewound to or cloned from.
type source struct {
	conninfo string // without the password
	password string // for PGPASSWORD: a command line is for everybody to read
}

// copyApplication is the application_name of pg_rewind and pg_basebackup: not the member's, which may be among the
// synchronous standbys' names.
const copyApplication = "pgvigil-copy"

// rewindSource says how pg_rewind reaches upstream: as primary_conninfo would, with Config.Rewind's words above it.
func (in *Instance) rewindSource(upstream watchdog.Upstream) (source, error) {
	c, err := in.sourceConninfo(upstream)
	if err != nil {
		return source{}, err
	}
	words, err := parseConninfo(in.config.Rewind)
	if err != nil {
		return source{}, fmt.Errorf("the configured words for pg_rewind: %w", err)
	}
	for _, key := range words.keywords() {
		if !targeting(key) {
			c.set(key, words.get(key))
		}
	}
	if words.get("dbname") == "" {
		c.set("dbname", "postgres")
	}
	return sourceOf(c), nil
}

// backupSource says how pg_basebackup reaches upstream.
func (in *Instance) backupSource(upstream watchdog.Upstream) (source, error) {
	c, err := in.sourceConninfo(upstream)
	return sourceOf(c), err
}

func (in *Instance) sourceConninfo(upstream watchdog.Upstream) (conninfo, error) {
	text, err := in.conninfoFor(upstream)
	if err != nil {
		return conninfo{}, err
	}
	c, err := parseConninfo(text)
	if err != nil {
		return conninfo{}, err
	}
	c.set("application_name", copyApplication)
	return c, nil
}

func sourceOf(c conninfo) source {
	password := c.get("password")
	c.drop("password")
	return source{conninfo: c.String(), password: password}
}

// environment is what a program needs beside the connection string.
func (s source) environment() []string {
	if s.password == "" {
		return nil
	}
	return []string{"PGPASSWORD=" + s.password}
}

// connect opens a session on the source.
func (s source) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(s.conninfo)
	if err != nil {
		return nil, err
	}
	if s.password != "" {
		config.Password = s.password
	}
	if config.Database == "" || config.Database == "replication" {
		config.Database = "postgres"
	}
	// What pgx does not know of libpq's words it would send to the server.
	config.RuntimeParams = map[string]string{"application_name": copyApplication, "statement_timeout": "0", "search_path": "pg_catalog"}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	return pgx.ConnectConfig(ctx, config)
}

// replicate opens a physical replication connection to the source. The server ignores the database's name; a password file is
// searched for "replication", as a receiver does.
func (s source) replicate(ctx context.Context) (*pgconn.PgConn, error) {
	c, err := parseConninfo(s.conninfo)
	if err != nil {
		return nil, err
	}
	c.set("dbname", "replication")
	config, err := pgconn.ParseConfig(c.String())
	if err != nil {
		return nil, err
	}
	if s.password != "" {
		config.Password = s.password
	}
	config.RuntimeParams = map[string]string{"application_name": copyApplication, "replication": "true"}
	return pgconn.ConnectConfig(ctx, config)
}

// sourceState is what a source says of itself.
type sourceState struct {
	systemID   string
	timeline   watchdog.Timeline // that it writes
	checkpoint watchdog.Timeline // of its last checkpoint, 0 where it does not say
	recovering bool
}

// state asks the source.
func (in *Instance) sourceState(ctx context.Context, conn *pgx.Conn) (sourceState, error) {
	var st sourceState
	if err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&st.recovering); err != nil || st.recovering {
		return st, err
	}
	var file string
	if err := conn.QueryRow(ctx, fmt.Sprintf("SELECT %s(%s())", in.version.walFileName, in.version.flushLSN)).Scan(&file); err != nil {
		return st, err
	}
	n, err := strconv.ParseUint(file[:min(len(file), 8)], 16, 32)
	if err != nil {
		return st, err
	}
	st.timeline = watchdog.Timeline(n)
	if in.version.controlSQL {
		err = conn.QueryRow(ctx, "SELECT system_identifier::text, (SELECT timeline_id FROM pg_control_checkpoint()) FROM pg_control_system()").
			Scan(&st.systemID, &st.checkpoint)
	}
	return st, err
}
