package pgctl

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/check"
)

// reachAll connects to each of the others, all at once.
func (in *Instance) reachAll(ctx context.Context, others []check.Other) []check.Other {
	reached := make([]check.Other, len(others))
	var all sync.WaitGroup
	for i, o := range others {
		all.Go(func() { reached[i] = in.reach(ctx, o) })
	}
	all.Wait()
	return reached
}

// reach makes a real replication connection to another member, as this one's receiver would, and a session as pg_rewind would.
func (in *Instance) reach(ctx context.Context, o check.Other) check.Other {
	ctx, cancel := context.WithTimeout(ctx, reachBound)
	defer cancel()
	upstream := watchdog.Upstream{Name: o.Name, Address: o.Address}
	s, err := in.backupSource(upstream)
	if err != nil {
		o.Refused = refusedBy(err)
		return o
	}
	conn, err := s.replicate(ctx)
	if err != nil {
		o.Refused = refusedBy(err)
		return o
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	in.introduce(ctx, conn, &o)
	if in.version.rewind {
		o.NoRewind = in.rewindRefused(ctx, upstream)
	}
	return o
}

// introduce asks who it is, and for the settings that must not be lower elsewhere.
func (in *Instance) introduce(ctx context.Context, conn *pgconn.PgConn, o *check.Other) {
	first := func(command string) string {
		results, err := conn.Exec(ctx, command).ReadAll()
		if err != nil || len(results) == 0 || len(results[0].Rows) == 0 || len(results[0].Rows[0]) == 0 {
			return ""
		}
		return string(results[0].Rows[0][0])
	}
	o.SystemID = first("IDENTIFY_SYSTEM")
	o.Version = majorIn(conn.ParameterStatus("server_version"))
	if !in.version.showsReplicas {
		return
	}
	o.Settings = map[string]string{}
	for _, name := range append(check.NotLower(), "wal_level", "archive_mode") {
		if value := first("SHOW " + name); value != "" {
			o.Settings[name] = value
		}
	}
}

// majorIn is the major version in a server's words, such as "15.14 (Debian …)".
func majorIn(text string) string {
	found := serverVersion.FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	if len(found[1]) == 1 {
		return found[1] + "." + found[2]
	}
	return found[1]
}

// rewindRefused says why pg_rewind would not be let in at upstream, nil if it would.
func (in *Instance) rewindRefused(ctx context.Context, upstream watchdog.Upstream) *check.Refusal {
	s, err := in.rewindSource(upstream)
	if err != nil {
		return refusedBy(err)
	}
	conn, err := s.connect(ctx)
	if err != nil {
		if sqlState(err) == sqlCannotConnectNow {
			return nil // it starts, or is a warm standby: it may let us in once it is primary
		}
		return refusedBy(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	missing, err := in.missingGrant(ctx, conn)
	switch {
	case err != nil:
		return refusedBy(err)
	case missing != "":
		return &check.Refusal{Text: missing}
	}
	return nil
}

// refusedBy puts an error in the words of whoever refused.
func refusedBy(err error) *check.Refusal {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return &check.Refusal{State: said.Code, Text: said.Message}
	}
	text := err.Error()
	if i := strings.LastIndex(text, "): "); i >= 0 { // pgconn says first where it went
		text = text[i+len("): "):]
	}
	return &check.Refusal{Text: text}
}
