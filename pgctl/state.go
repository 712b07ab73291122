package pgctl

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/pgvigil/pgvigil/watchdog"
)

// answer is what the one query of Observe says.
type answer struct {
	shape     shape
	recovery  bool
	received  watchdog.LSN // primary: flushed
	replayed  watchdog.LSN
	paused    bool
	conninfo  *string // nil: not a setting in this version
	sync      string  // synchronous_standby_names
	receiver  bool
	streaming bool
	timeline  watchdog.Timeline // 0: not known from SQL
	nextXID   uint64
	standbys  []watchdog.Downstream
}

// stateStatement is the name of the prepared query.
const stateStatement = "pgvigil_observe"

// stateSQL is one row for each downstream, or one in all: role, positions, replay, conninfo, receiver, downstream.
func (v version) stateSQL() string {
	paused, conninfo, syncSetting := "false", "NULL", "''"
	if v.pausedFunction != "" {
		paused = "CASE WHEN pg_is_in_recovery() THEN " + v.pausedFunction + "() ELSE false END"
	}
	if v.downstreamView {
		syncSetting = "current_setting('" + syncNames + "')"
	}
	if !v.recoveryConf {
		conninfo = "current_setting('primary_conninfo')"
	}
	sql := fmt.Sprintf("SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN %s() ELSE %s() END, %s(), %s, %s, "+
		"CASE WHEN NOT pg_is_in_recovery() THEN substr(%s(%s()), 1, 8) END, %s", v.receiveLSN, v.flushLSN, v.replayLSN, paused, conninfo,
		v.walFileName, v.flushLSN, syncSetting)
	from := " FROM (SELECT 1) AS one"
	if v.receiverView {
		sql += ", r.status, r.received_tli"
		from += " LEFT JOIN pg_stat_wal_receiver AS r ON true"
	} else {
		sql += ", NULL, NULL"
	}
	if v.downstreamView {
		sql += fmt.Sprintf(", s.application_name, s.state, s.%s, s.%s", v.downstreamFlush, v.downstreamPlay)
		from += " LEFT JOIN pg_stat_replication AS s ON true"
	} else {
		sql += ", NULL, NULL, NULL, NULL"
	}
	return sql + ", txid_snapshot_xmax(txid_current_snapshot())" + from
}

// fiveSettings are the settings that a standby must not have lower than its primary, in the order of shape's.
func (v version) fiveSettings() [5]string {
	names := [5]string{0: "max_connections", 3: "max_prepared_transactions", 4: "max_locks_per_transaction"}
	if v.workersBound {
		names[1] = "max_worker_processes"
	}
	if v.sendersBound {
		names[2] = "max_wal_senders"
	}
	return names
}

// prepare asks what does not change while the session lives, and prepares the query.
func (in *Instance) prepare(ctx context.Context, s *session) error {
	sql := "SELECT current_setting('server_version_num')"
	names := in.version.fiveSettings()
	for _, name := range names {
		if name == "" {
			sql += ", '-1'"
		} else {
			sql += ", current_setting('" + name + "')"
		}
	}
	results, err := s.conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return fmt.Errorf("ask for settings: %w", err)
	}
	row := results[0].Rows[0]
	var errs []error
	number := func(text []byte) int {
		n, err := strconv.Atoi(string(text))
		errs = append(errs, err)
		return n
	}
	s.shape.version = number(row[0])
	for i := range names {
		s.shape.settings[i] = number(row[i+1])
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ask for settings: %w", err)
	}
	s.observe, err = s.conn.PgConn().Prepare(ctx, stateStatement, in.version.stateSQL(), nil)
	if err != nil {
		return fmt.Errorf("prepare the query of the server's state: %w", err)
	}
	return nil
}

// state runs the query.
func (s *session) state(ctx context.Context) (answer, error) {
	a := answer{shape: s.shape}
	reader := s.conn.PgConn().ExecStatement(ctx, s.observe, nil, nil, nil)
	var parseErr error
	for first := true; reader.NextRow(); first = false {
		row := reader.Values()
		if first {
			parseErr = a.readServer(row)
		}
		if parseErr == nil {
			parseErr = a.readDownstream(row)
		}
	}
	if _, err := reader.Close(); err != nil {
		return answer{}, fmt.Errorf("ask for the server's state: %w", err)
	}
	if parseErr != nil {
		return answer{}, fmt.Errorf("ask for the server's state: %w", parseErr)
	}
	return a, nil
}

// readServer reads a row's first columns, and its last.
func (a *answer) readServer(row [][]byte) (err error) {
	a.recovery, a.paused = string(row[0]) == "t", string(row[3]) == "t"
	if a.received, err = lsnColumn(row[1]); err != nil {
		return err
	}
	if a.replayed, err = lsnColumn(row[2]); err != nil {
		return err
	}
	if row[4] != nil {
		text := string(row[4])
		a.conninfo = &text
	}
	a.sync = string(row[6])
	a.receiver = row[7] != nil
	a.streaming = string(row[7]) == "streaming"
	if a.nextXID, err = strconv.ParseUint(string(row[13]), 10, 64); err != nil {
		return err
	}
	base, timeline := 10, row[8]
	if !a.recovery {
		base, timeline = 16, row[5]
	}
	if timeline != nil {
		n, err := strconv.ParseUint(string(timeline), base, 32)
		if err != nil {
			return err
		}
		a.timeline = watchdog.Timeline(n)
	}
	return nil
}

// readDownstream reads the columns of one downstream.
func (a *answer) readDownstream(row [][]byte) (err error) {
	if row[10] == nil { // a sender always has a state
		return nil
	}
	d := watchdog.Downstream{Streaming: string(row[10]) == "streaming"}
	d.Name, d.Term = unstamped(string(row[9]))
	if d.Flushed, err = lsnColumn(row[11]); err != nil {
		return err
	}
	if d.Replayed, err = lsnColumn(row[12]); err != nil {
		return err
	}
	a.standbys = append(a.standbys, d)
	return nil
}

func lsnColumn(text []byte) (watchdog.LSN, error) {
	if len(text) == 0 {
		return 0, nil
	}
	return watchdog.ParseLSN(string(text))
}
