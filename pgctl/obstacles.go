package pgctl

import (
	"context"
	"fmt"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
)

// longTransaction is for how long a transaction may have run before its loss is worth a question.
const longTransaction = "10 seconds"

// archiveBacklog is how many segments may wait for the archiver: a shutdown archives them all, or tries to.
const archiveBacklog = 8

// Obstacles says what speaks against shutting the primary down just now (F55).
func (in *Instance) Obstacles(ctx context.Context) (found []watchdog.Obstacle, err error) {
	for _, look := range []func(context.Context) (watchdog.Obstacle, error){in.waitingArchive, in.logicalSenders, in.longTransactions, in.preparedTransactions} {
		o, err := look(ctx)
		if err != nil {
			return nil, err
		}
		if o.What != "" {
			found = append(found, o)
		}
	}
	return found, nil
}

func (in *Instance) waitingArchive(ctx context.Context) (watchdog.Obstacle, error) {
	var ready int
	err := in.scan(ctx, []any{&ready}, "SELECT CASE WHEN current_setting('archive_mode') = 'off' THEN 0 ELSE"+
		" (SELECT count(*) FROM pg_ls_dir('"+in.version.walDir+"/archive_status') AS f WHERE f LIKE '%.ready') END::int")
	if err != nil || ready <= archiveBacklog {
		return watchdog.Obstacle{}, err
	}
	return watchdog.Obstacle{Name: "archive", What: fmt.Sprintf("%d segments wait to be archived, and the shutdown would wait for them", ready)}, nil
}

func (in *Instance) logicalSenders(ctx context.Context) (watchdog.Obstacle, error) {
	if !in.version.slots {
		return watchdog.Obstacle{}, nil
	}
	column := "active_pid"
	if !in.version.rewind { // 9.4 has active alone
		column = "CASE WHEN active THEN 1 END"
	}
	rows, err := in.query(ctx, "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical' AND "+column+" IS NOT NULL ORDER BY 1")
	if err != nil || len(rows) == 0 {
		return watchdog.Obstacle{}, err
	}
	var names []string
	for _, row := range rows {
		names = append(names, row[0])
	}
	return watchdog.Obstacle{Name: "logical", What: "logical subscribers are connected (" + strings.Join(names, ", ") +
		"): the shutdown waits until they have it all, and their slots are not on the new primary"}, nil
}

func (in *Instance) longTransactions(ctx context.Context) (watchdog.Obstacle, error) {
	var n int
	err := in.scan(ctx, []any{&n}, "SELECT count(*)::int FROM pg_stat_activity WHERE xact_start < now() - interval '"+longTransaction+"' AND "+
		in.version.activityPID+" <> pg_backend_pid() AND usename IS NOT NULL AND application_name <> '"+application+"'")
	if err != nil || n == 0 {
		return watchdog.Obstacle{}, err
	}
	return watchdog.Obstacle{Name: "transactions", What: fmt.Sprintf("%d transactions have run for more than %s and would be lost", n, longTransaction)}, nil
}

func (in *Instance) preparedTransactions(ctx context.Context) (watchdog.Obstacle, error) {
	var n int
	err := in.scan(ctx, []any{&n}, "SELECT count(*)::int FROM pg_prepared_xacts WHERE prepared < now() - interval '"+longTransaction+"'")
	if err != nil || n == 0 {
		return watchdog.Obstacle{}, err
	}
	return watchdog.Obstacle{Name: "prepared", What: fmt.Sprintf("%d prepared transactions are open; they go on on the new primary", n)}, nil
}
