package pgctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

const (
	syncNames = "synchronous_standby_names"
	// reachTick is how often it is looked whether a reload has reached every process.
	reachTick = 5 * time.Millisecond
	// reachWait is how long a sender may owe the proof that it has the new setting, before it is ended.
	reachWait = 500 * time.Millisecond
)

// Synchronise makes every commit of a primary wait for s, from the position that it returns on. On a standby, whose setting
// it is once it is promoted, that position is 0. A setting of somebody else's is left alone where s waits for nobody.
//
// A reload is asynchronous (F41), and what counts is not what a session shows: senders release commits by the setting that
// they have themselves, and whether a commit waits at all is a flag that the checkpointer keeps. So it returns when
//
//   - a new session shows the setting: the postmaster forks none while it is telling its children;
//   - the checkpointer is seen at rest after its signal was delivered, if nobody was waited for before;
//   - every sender has had an answer for WAL that was written after all that, which it can only have sent, and taken the
//     answer for, after it looked for a new setting. One that does not get so far is ended.
func (in *Instance) Synchronise(ctx context.Context, s watchdog.Sync) (watchdog.LSN, error) {
	from, err := in.synchronise(ctx, s)
	if err != nil {
		return 0, fmt.Errorf("set %s: %w", syncNames, err)
	}
	return from, nil
}

func (in *Instance) synchronise(ctx context.Context, s watchdog.Sync) (watchdog.LSN, error) {
	if s.K > 0 && !in.version.quorumNames {
		return 0, fmt.Errorf("PostgreSQL %s cannot wait for any of several standbys, 10 is the first that can: %w", in.version.name, sidecar.ErrNotPossible)
	}
	var before string
	if err := in.scan(ctx, []any{&before}, "SELECT current_setting('"+syncNames+"')"); err != nil {
		return 0, err
	}
	wanted, err := in.writeSync(s)
	if err != nil {
		return 0, err
	}
	if before != wanted {
		if err := in.signal(syscall.SIGHUP); err != nil {
			return 0, err
		}
		if err := in.awaitFresh(ctx, wanted); err != nil {
			return 0, err
		}
	}
	if s.K > 0 {
		if err := in.awaitCheckpointer(ctx); err != nil {
			return 0, err
		}
	}
	recovering, err := in.recovering(ctx)
	if err != nil || recovering || s.K == 0 && before == wanted {
		return 0, err
	}
	return in.awaitSenders(ctx)
}

// writeSync writes the setting, and returns what the server is to have. Where nobody is to be waited for our own line goes,
// and what the user has set elsewhere is in force again.
func (in *Instance) writeSync(s watchdog.Sync) (wanted string, err error) {
	if s.K > 0 {
		wanted = formatSync(s)
		return wanted, in.setAuto(map[string]string{syncNames: wanted})
	}
	err = in.editAuto(func(f *confFile) {
		if value, set := f.get(syncNames); set && !parseSync(value).Foreign {
			f.unset(syncNames)
		}
	})
	if err != nil {
		return "", err
	}
	all, err := in.settings()
	return all.get(syncNames), err
}

// awaitFresh waits until a session opened now shows the setting; the kept one, which is cheaper to ask, shows it first.
func (in *Instance) awaitFresh(ctx context.Context, wanted string) error {
	err := poll(ctx, reachTick, func() (bool, error) {
		var now string
		err := in.scan(ctx, []any{&now}, "SELECT current_setting('"+syncNames+"')")
		return now == wanted, err
	})
	if err != nil {
		return err
	}
	return poll(ctx, reachTick, func() (bool, error) {
		s, err := in.openSession(ctx)
		if err != nil {
			return false, err
		}
		defer s.close()
		var now string
		if err := s.conn.QueryRow(ctx, "SELECT current_setting('"+syncNames+"')").Scan(&now); err != nil {
			return false, err
		}
		return now == wanted, nil
	})
}

// awaitCheckpointer waits until the checkpointer has had its signal and is at rest in a wait from which a signal wakes it.
func (in *Instance) awaitCheckpointer(ctx context.Context) error {
	const resting = "SELECT pid, coalesce(wait_event, '') FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
	looks := 0
	return poll(ctx, reachTick, func() (bool, error) {
		var pid int
		var event string
		if err := in.scan(ctx, []any{&pid, &event}, resting); err != nil {
			return false, err
		}
		if !signalled(pid) || event != "CheckpointerMain" && event != "CheckpointWriteDelay" {
			looks = 0
			return false, nil
		}
		looks++
		return looks >= 2, nil
	})
}

// signalled says whether the process runs, and no SIGHUP is still on its way to it.
func signalled(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "State":
			if strings.HasPrefix(value, "T") || strings.HasPrefix(value, "t") {
				return false
			}
		case "SigPnd", "ShdPnd":
			pending, err := strconv.ParseUint(value, 16, 64)
			if err != nil || pending&(1<<(syscall.SIGHUP-1)) != 0 {
				return false
			}
		}
	}
	return true
}

// awaitSenders writes a record and waits until every sender to a stamped standby has had it confirmed. It returns the
// position after that record. One that lags for too long is ended: its standby comes back to another.
func (in *Instance) awaitSenders(ctx context.Context) (watchdog.LSN, error) {
	var mark string
	if err := in.scan(ctx, []any{&mark}, "SELECT pg_logical_emit_message(true, 'pgvigil', 'synchronise')::text"); err != nil {
		return 0, err
	}
	from, err := in.flushed(ctx)
	if err != nil {
		return 0, err
	}
	lag := fmt.Sprintf("FROM pg_stat_replication WHERE application_name ~ ':[0-9]+$' AND (%s IS NULL OR %s < '%s')",
		in.version.downstreamFlush, in.version.downstreamFlush, from)
	until := time.Now().Add(reachWait)
	err = poll(ctx, reachTick, func() (bool, error) {
		query := "SELECT count(*), NULL " + lag
		if time.Now().After(until) {
			query = "SELECT count(*), bool_and(pg_terminate_backend(pid)) " + lag
		}
		var left int
		var ended *bool
		if err := in.scan(ctx, []any{&left, &ended}, query); err != nil {
			return false, err
		}
		return left == 0, nil
	})
	return from, err
}

func (in *Instance) flushed(ctx context.Context) (watchdog.LSN, error) {
	var text string
	if err := in.scan(ctx, []any{&text}, "SELECT "+in.version.flushLSN+"()::text"); err != nil {
		return 0, err
	}
	return watchdog.ParseLSN(text)
}

// formatSync writes the setting as parseSync reads it. Names are quoted, or one would be folded or taken for a keyword.
func formatSync(s watchdog.Sync) string {
	var names []string
	for _, name := range s.Voters {
		names = append(names, `"`+strings.ReplaceAll(stamped(name, s.Term), `"`, `""`)+`"`)
	}
	return fmt.Sprintf("ANY %d (%s)", s.K, strings.Join(names, ", "))
}

var (
	syncValue = regexp.MustCompile(`^ANY ([0-9]+) \((.+)\)$`)
	syncName  = regexp.MustCompile(`^"((?:[^"]|"")+):([0-9]+)"$`)
)

// parseSync reads the setting. What we did not write is foreign.
func parseSync(value string) (s watchdog.Sync) {
	foreign := watchdog.Sync{Foreign: true}
	if value == "" {
		return s
	}
	parts := syncValue.FindStringSubmatch(value)
	if parts == nil {
		return foreign
	}
	s.K, _ = strconv.Atoi(parts[1])
	for _, quoted := range strings.Split(parts[2], ", ") {
		name := syncName.FindStringSubmatch(quoted)
		if name == nil {
			return foreign
		}
		term, err := strconv.ParseUint(name[2], 10, 64)
		if err != nil || s.Term != 0 && s.Term != watchdog.Term(term) {
			return foreign
		}
		s.Term = watchdog.Term(term)
		s.Voters = append(s.Voters, strings.ReplaceAll(name[1], `""`, `"`))
	}
	slices.Sort(s.Voters)
	return s
}

// stamped is the application_name of a member's standby: with a term, only that term's primary counts it.
func stamped(name string, term watchdog.Term) string {
	if term == 0 {
		return name
	}
	return fmt.Sprintf("%s:%d", name, term)
}

// unstamped takes an application_name apart.
func unstamped(application string) (name string, term watchdog.Term) {
	i := strings.LastIndexByte(application, ':')
	if i < 0 {
		return application, 0
	}
	n, err := strconv.ParseUint(application[i+1:], 10, 64)
	if err != nil {
		return application, 0
	}
	return application[:i], watchdog.Term(n)
}

// lowCommits lists where synchronous_commit is lower than on, by role, database or for all.
const lowCommits = "SELECT format('%s for role %s in database %s', c, coalesce(r.rolname::text, '(all)'), coalesce(d.datname::text, '(all)'))" +
	" FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) c LEFT JOIN pg_roles r ON r.oid = s.setrole" +
	" LEFT JOIN pg_database d ON d.oid = s.setdatabase WHERE c ~ '^synchronous_commit=(off|local|remote_write|false|no|0)$'" +
	" UNION ALL SELECT format('synchronous_commit=%s in %s', reset_val, coalesce(sourcefile, source)) FROM pg_settings" +
	" WHERE name = 'synchronous_commit' AND source <> 'client' AND reset_val IN ('off', 'local', 'remote_write') ORDER BY 1"

// LowCommits says for whom synchronous_commit is set lower than on: their commits wait for no standby, and quorum promises
// them nothing (F43). Settings that sessions make for themselves are not seen.
func (in *Instance) LowCommits(ctx context.Context) ([]string, error) {
	if !in.version.quorumNames {
		return nil, nil
	}
	s, err := in.openSession(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	rows, err := s.conn.Query(ctx, lowCommits)
	if err != nil {
		return nil, fmt.Errorf("look for a lower synchronous_commit: %w", err)
	}
	defer rows.Close()
	var low []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		low = append(low, text)
	}
	return low, errors.Join(rows.Err())
}
