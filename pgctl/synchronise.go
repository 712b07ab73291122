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
//   - the checkpointer is seen at rest after its signal was delivered, unless it has been since somebody is waited for;
//   - every sender that was there by then has had an answer for WAL that was written after all that, which it can only have
//     sent, and taken the answer for, after it looked for a new setting. One that does not get so far is ended.
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
	before, err := in.enforced(ctx, s.K > 0)
	if sqlState(err) == sqlCannotConnectNow && s.K == 0 { // a warm standby: whoever waits for nobody need not see it done
		_, _, err := in.writeSync(s)
		return 0, errors.Join(err, in.signal(syscall.SIGHUP))
	}
	if err != nil {
		return 0, err
	}
	if before == "" || s.K == 0 {
		in.syncFlagged.Store(0)
	}
	wanted, written, err := in.writeSync(s)
	if err != nil {
		return 0, err
	}
	if !written && s.K == 0 && before == wanted {
		return 0, nil
	}
	if written || before != wanted { // written: an earlier call's reload may still be under way, which shows nothing yet
		if err := in.signal(syscall.SIGHUP); err != nil {
			return 0, err
		}
	}
	if err := in.awaitFresh(ctx, wanted); err != nil {
		return 0, err
	}
	if s.K > 0 {
		if err := in.awaitCheckpointer(ctx); err != nil {
			return 0, err
		}
	}
	recovering, err := in.recovering(ctx)
	if err != nil || recovering {
		return 0, err
	}
	if s.K == 0 {
		return in.flushed(ctx) // nothing is promised that a sender could break
	}
	return in.awaitSenders(ctx)
}

// enforced is the setting now. patient: a server that was just started, as hanging up does before 13, is waited for.
func (in *Instance) enforced(ctx context.Context, patient bool) (now string, err error) {
	waited := poll(ctx, reachTick, func() (bool, error) {
		err = in.scan(ctx, []any{&now}, "SELECT current_setting('"+syncNames+"')")
		state := sqlState(err)
		starts := patient && (state == "" || state == sqlCannotConnectNow) && in.master.handle(in.Directory()) != nil
		return err == nil || !starts, nil
	})
	return now, errors.Join(err, waited)
}

// writeSync writes the setting, and returns what the server is to have and whether the file has changed. Where nobody is to
// be waited for our own line goes, and what the user has set elsewhere is in force again.
func (in *Instance) writeSync(s watchdog.Sync) (wanted string, written bool, err error) {
	err = in.editAuto(func(f *confFile) {
		before := f.String()
		value, set := f.get(syncNames)
		switch {
		case s.K > 0:
			f.set(syncNames, formatSync(s))
		case set && !parseSync(value).Foreign:
			f.unset(syncNames)
		}
		written = f.String() != before
	})
	if err != nil || s.K > 0 {
		return formatSync(s), written, err
	}
	all, err := in.settings()
	return all.get(syncNames), written, err
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
// Before 14 the pauses of a checkpoint are no such wait, and may go on for an hour: that checkpoint is hastened.
func (in *Instance) awaitCheckpointer(ctx context.Context) error {
	const resting = "SELECT pid, coalesce(wait_event, '') FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
	hasten := time.Now().Add(reachWait)
	looks := 0
	var checkpointer int64
	err := poll(ctx, reachTick, func() (bool, error) {
		var event string
		if err := in.scan(ctx, []any{&checkpointer, &event}, resting); err != nil {
			return false, err
		}
		if checkpointer == in.syncFlagged.Load() {
			return true, nil
		}
		rests := event == "CheckpointerMain" || event == "CheckpointWriteDelay"
		if !rests && !in.version.checkpointHeeds && time.Now().After(hasten) {
			if err := in.Checkpoint(ctx); err != nil {
				in.log.Warn("commits wait for standbys only once the checkpoint is over, which could not be hastened", "error", err)
			}
			hasten = time.Now().Add(reachWait)
		}
		if !rests || !asleep(int(checkpointer)) {
			looks = 0
			return false, nil
		}
		looks++
		return looks >= 2, nil
	})
	if err == nil {
		in.syncFlagged.Store(checkpointer)
	}
	return err
}

// asleep says whether the process sleeps, and no SIGHUP is still on its way to it. One that is ready to run may have taken a
// signal off its list, and not yet heeded it.
func asleep(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "State":
			if !strings.HasPrefix(value, "S") {
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

// awaitSenders writes a record and waits until every sender has had it confirmed that is there by now, and counted under the
// old names or may. It returns the position after that record. One that lags for too long is ended: its standby comes back to
// another, which has the new setting from its start and owes no proof.
func (in *Instance) awaitSenders(ctx context.Context) (watchdog.LSN, error) {
	var mark string
	if err := in.scan(ctx, []any{&mark}, "SELECT pg_logical_emit_message(true, 'pgvigil', 'synchronise')::text"); err != nil {
		return 0, err
	}
	from, err := in.flushed(ctx)
	if err != nil {
		return 0, err
	}
	const counts = "SELECT coalesce(string_agg(pid::text, ','), '0') FROM pg_stat_replication WHERE application_name ~ ':[0-9]+$' OR sync_priority > 0"
	var pids string
	if err := in.scan(ctx, []any{&pids}, counts); err != nil {
		return 0, err
	}
	lag := fmt.Sprintf("FROM pg_stat_replication WHERE pid IN (%s) AND (%s IS NULL OR %s < '%s')",
		pids, in.version.downstreamFlush, in.version.downstreamFlush, from)
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
	syncValue = regexp.MustCompile(`(?s)^ANY ([0-9]+) \((.+)\)$`)
	syncName  = regexp.MustCompile(`"((?:[^"]|"")+):([0-9]+)"`)
)

// parseSync reads the setting. What we would not have written is foreign, to the last byte.
func parseSync(value string) (s watchdog.Sync) {
	if value == "" {
		return s
	}
	foreign := watchdog.Sync{Foreign: true}
	parts := syncValue.FindStringSubmatch(value)
	if parts == nil {
		return foreign
	}
	s.K, _ = strconv.Atoi(parts[1])
	for _, name := range syncName.FindAllStringSubmatch(parts[2], -1) {
		term, _ := strconv.ParseUint(name[2], 10, 64)
		s.Term = watchdog.Term(term)
		s.Voters = append(s.Voters, strings.ReplaceAll(name[1], `""`, `"`))
	}
	if s.K == 0 || s.Term == 0 || formatSync(s) != value {
		return foreign
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

// lowCommits lists where synchronous_commit is lower than on, by role and database.
const lowCommits = "SELECT format('%s for role %s in database %s', c, coalesce(r.rolname::text, '(all)'), coalesce(d.datname::text, '(all)'))" +
	" FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) c LEFT JOIN pg_roles r ON r.oid = s.setrole" +
	" LEFT JOIN pg_database d ON d.oid = s.setdatabase WHERE c ~* '^synchronous_commit=(off|local|remote_write|false|no|0)$' ORDER BY 1"

// lowCommit is a value lower than on.
var lowCommit = regexp.MustCompile(`(?i)^(off|local|remote_write|false|no|0)$`)

// LowCommits says for whom synchronous_commit is set lower than on: their commits wait for no standby, and quorum promises
// them nothing (F43). Settings that sessions make for themselves are not seen, and what is set for all is as the files have
// it: our own sessions, which set it themselves, do not show it.
func (in *Instance) LowCommits(ctx context.Context) ([]string, error) {
	if !in.version.quorumNames {
		return nil, nil
	}
	rows, err := in.query(ctx, lowCommits)
	if err != nil {
		return nil, fmt.Errorf("look for a lower synchronous_commit: %w", err)
	}
	var low []string
	for _, row := range rows {
		low = append(low, row[0])
	}
	all, err := in.settings()
	if err != nil {
		return nil, fmt.Errorf("look for a lower synchronous_commit: %w", err)
	}
	if s := all["synchronous_commit"]; lowCommit.MatchString(s.value) {
		low = append(low, fmt.Sprintf("synchronous_commit=%s in %s", strings.ToLower(s.value), s.file))
	}
	return low, nil
}
