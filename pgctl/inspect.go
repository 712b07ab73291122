package pgctl

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgvigil/pgvigil/pgctl/process"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/check"
)

const (
	// inspectBound is how long the server may take for all that it is asked in an inspection.
	inspectBound = 10 * time.Second
	// reachBound is how long another member's server may take to let us in.
	reachBound = 3 * time.Second
)

// Inspect looks for what would make a failover or a rejoin fail: on this host, in the server, and at the others, which it
// connects to as a standby would and as pg_rewind would. It uses a session of its own, waits for nobody for longer than a few
// seconds, and changes nothing. With thorough it also measures how big the cluster is, which touches every file of it.
func (in *Instance) Inspect(ctx context.Context, others []check.Other, thorough bool) check.Host {
	h := check.Host{Member: in.config.Name, Version: in.version.name, DataDir: in.config.DataDir, StartCommand: in.config.StartCommand}
	in.inspectFiles(ctx, &h)
	in.inspectMachine(ctx, &h)
	h.Replication = in.replicationUser()
	if _, h.Running = process.Postmaster(in.Directory()); h.Running {
		if err := in.inspectServer(ctx, &h, thorough); err != nil {
			h.Unasked = err.Error()
		}
	}
	h.Others = in.reachAll(ctx, others)
	return h
}

// replicationUser is whom standbys connect as, empty where that cannot be said.
func (in *Instance) replicationUser() string {
	c, err := in.sourceConninfo(watchdog.Upstream{Address: "127.0.0.1:5432"})
	if err != nil {
		return ""
	}
	if user := c.get("user"); user != "" {
		return user
	}
	return in.owner.name
}

// inspectServer asks the server.
func (in *Instance) inspectServer(ctx context.Context, h *check.Host, thorough bool) error {
	ctx, cancel := context.WithTimeout(ctx, inspectBound)
	defer cancel()
	conn, err := in.newConn(ctx, "")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	i := &inspection{Instance: in, conn: conn, host: h}
	looks := []func(context.Context) error{i.role, i.settings, i.pending, i.replicationRole, i.slots, i.archiver, i.hba}
	if thorough {
		looks = append(looks, i.size)
	}
	for _, look := range looks {
		if err := look(ctx); err != nil {
			return err
		}
	}
	h.Lower = in.lowerSettings(ctx, h)
	h.NoRewind = in.RewindReady(ctx)
	if c, err := in.control(ctx); err == nil {
		h.NoHints = h.NoRewind != "" && !c.DataChecksums && !c.WalLogHints
	}
	if low, err := in.LowCommits(ctx); err == nil {
		h.Low = low
	}
	return nil
}

// inspection asks one server.
type inspection struct {
	*Instance
	conn *pgx.Conn
	host *check.Host
}

// rows returns a query's rows as text; NULL is empty.
func (i *inspection) rows(ctx context.Context, sql string, args ...any) ([][]string, error) {
	rows, err := i.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("query %q: %w", firstWords(sql), err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]string, error) {
		values := row.RawValues()
		texts := make([]string, len(values))
		for n, value := range values {
			texts[n] = string(value)
		}
		return texts, nil
	})
	if err != nil {
		return nil, fmt.Errorf("query %q: %w", firstWords(sql), err)
	}
	return all, nil
}

// forbidden says that our role may not look: what cannot be known is no finding.
func forbidden(err error) bool { return sqlState(err) == sqlNoPrivilege }

func (i *inspection) role(ctx context.Context) error {
	var recovering bool
	err := i.conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&recovering)
	i.host.Primary = !recovering
	return err
}

// inspected are the settings that are judged.
var inspected = append(check.NotLower(), "wal_level", "hot_standby", "wal_keep_size", "wal_keep_segments", "archive_mode", "archive_command",
	"archive_library", "fsync", "full_page_writes", "wal_sender_timeout", "wal_receiver_timeout", "replication_timeout", "recovery_min_apply_delay")

func (i *inspection) settings(ctx context.Context) error {
	rows, err := i.rows(ctx, "SELECT name, setting FROM pg_settings WHERE name IN ('"+strings.Join(inspected, "', '")+"')")
	if err != nil {
		return err
	}
	i.host.Settings = map[string]string{}
	for _, row := range rows {
		i.host.Settings[row[0]] = row[1]
	}
	return nil
}

func (i *inspection) pending(ctx context.Context) error {
	if !i.version.pendingRestart {
		return nil
	}
	rows, err := i.rows(ctx, "SELECT name FROM pg_settings WHERE pending_restart ORDER BY 1")
	for _, row := range rows {
		i.host.Pending = append(i.host.Pending, row[0])
	}
	return err
}

func (i *inspection) replicationRole(ctx context.Context) error {
	if i.host.Replication == "" || !i.version.downstreamView { // 9.0 has superusers alone
		return nil
	}
	rows, err := i.rows(ctx, "SELECT rolcanlogin, rolreplication OR rolsuper, floor(extract(epoch FROM rolvaliduntil)) FROM pg_roles WHERE rolname = $1", i.host.Replication)
	if err != nil {
		return err
	}
	r := &check.Role{Name: i.host.Replication}
	if len(rows) == 1 {
		r.Exists, r.Login, r.Replication = true, rows[0][0] == "t", rows[0][1] == "t"
		if seconds, err := strconv.ParseInt(rows[0][2], 10, 64); err == nil {
			r.Expires = time.Unix(seconds, 0)
		}
	}
	i.host.Role = r
	return nil
}

func (i *inspection) slots(ctx context.Context) error {
	if !i.version.slots {
		return nil
	}
	failover := "false"
	if i.version.slotFailover {
		failover = "failover"
	}
	end := i.version.flushLSN
	if !i.host.Primary {
		end = i.version.replayLSN
	}
	rows, err := i.rows(ctx, "SELECT slot_name, slot_type = 'logical', active, "+failover+", restart_lsn, "+end+"() FROM pg_replication_slots WHERE slot_name NOT LIKE 'pg_basebackup_%' ORDER BY 1")
	for _, row := range rows {
		s := check.Slot{Name: row[0], Logical: row[1] == "t", Active: row[2] == "t", Failover: row[3] == "t"}
		from, err1 := watchdog.ParseLSN(row[4])
		to, err2 := watchdog.ParseLSN(row[5])
		if err1 == nil && err2 == nil {
			s.Held = from.Behind(to)
		}
		i.host.Slots = append(i.host.Slots, s)
	}
	return err
}

func (i *inspection) archiver(ctx context.Context) error {
	if !i.version.archiverView {
		return nil
	}
	rows, err := i.rows(ctx, "SELECT last_failed_wal || ' at ' || date_trunc('second', last_failed_time) FROM pg_stat_archiver"+
		" WHERE current_setting('archive_mode') <> 'off' AND last_failed_time > coalesce(last_archived_time, '-infinity')")
	if len(rows) == 1 {
		i.host.Archiver = rows[0][0]
	}
	return err
}

func (i *inspection) hba(ctx context.Context) error {
	if !i.version.hbaRules {
		return nil
	}
	rows, err := i.rows(ctx, "SELECT line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL ORDER BY 1")
	for _, row := range rows {
		i.host.HBA = append(i.host.HBA, "line "+row[0]+": "+row[1])
	}
	if forbidden(err) {
		return nil
	}
	return err
}

// size is what a copy would take, without its WAL.
func (i *inspection) size(ctx context.Context) error {
	var size int64
	err := i.conn.QueryRow(ctx, "SELECT sum(pg_database_size(oid))::bigint FROM pg_database").Scan(&size)
	if err == nil && i.host.Space != nil {
		i.host.Space.Needed = uint64(size)
	}
	if forbidden(err) {
		return nil
	}
	return err
}

// lowerSettings are those that a standby has lower than its primary, which its control file tells.
func (in *Instance) lowerSettings(ctx context.Context, h *check.Host) (lower []check.Lower) {
	c, err := in.control(ctx)
	if h.Primary || err != nil {
		return nil
	}
	there := map[string]int{
		"max_connections": c.MaxConnections, "max_worker_processes": c.MaxWorkerProcesses, "max_wal_senders": c.MaxWalSenders,
		"max_prepared_transactions": c.MaxPreparedXacts, "max_locks_per_transaction": c.MaxLocksPerXact,
	}
	for _, name := range check.NotLower() {
		own, err := strconv.Atoi(h.Settings[name])
		if err == nil && own < there[name] {
			lower = append(lower, check.Lower{Setting: name, Here: own, There: there[name]})
		}
	}
	return lower
}
