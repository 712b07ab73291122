package pgctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// rewindMarker is the file in the state directory that says that a data directory is being rewound, and keeps its own
// configuration until that is written back.
const rewindMarker = "rewind.json"

// pendingRewind is the marker's content.
type pendingRewind struct {
	DataDir  string     `json:"data_dir"`
	Upstream string     `json:"upstream"`
	Since    time.Time  `json:"since"`
	Files    []keptFile `json:"files"`
}

// ErrRewindPending says that a rewind was begun and not ended: the data directory is neither what it was nor what it is to be,
// and only another rewind or a clone makes it good (F59).
var ErrRewindPending = errors.New("data directory is half rewound")

// RewindPending says whether a rewind of the data directory was begun and not ended. The server cannot be started then. A copy
// that was swapped in is not what was being rewound.
func (in *Instance) RewindPending() bool {
	_, pending := in.pendingRewind()
	return pending
}

func (in *Instance) pendingRewind() (pendingRewind, bool) {
	data, err := in.loadState(rewindMarker)
	if errors.Is(err, fs.ErrNotExist) {
		return pendingRewind{}, false
	}
	var p pendingRewind
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err != nil && !in.swappedIn() { // whose it is cannot be read: better not started than started half rewound
		return pendingRewind{DataDir: in.config.DataDir}, true
	}
	return p, p.DataDir == in.config.DataDir && !in.swappedIn()
}

func (in *Instance) rewindEnded() error {
	if in.config.StateDir == "" {
		return nil
	}
	return removeDurably(filepath.Join(in.config.StateDir, rewindMarker))
}

// Rewind runs pg_rewind on the stopped server against upstream and gives it its own configuration back. It may be called again
// after a crash at any step, against the same or another upstream. sidecar.ErrNotPossible when it cannot work here.
//
// pg_rewind's word is not taken for it: "no rewind required" is said of two histories with the same number too (F24), and
// right after a promotion (up to 15). A rewind is done when the control file says that the server is to recover on the
// upstream's timeline.
func (in *Instance) Rewind(ctx context.Context, upstream watchdog.Upstream, step func(name string)) error {
	r := &rewinding{Instance: in, upstream: upstream, step: step}
	if step == nil {
		r.step = func(string) {}
	}
	if err := r.run(ctx); err != nil {
		return fmt.Errorf("rewind to %s: %w", upstream.Name, err)
	}
	return nil
}

// rewinding is one rewind.
type rewinding struct {
	*Instance
	upstream watchdog.Upstream
	step     func(name string)
	source   source
	target   watchdog.Timeline // the upstream's
	pending  pendingRewind
}

func (r *rewinding) run(ctx context.Context) error {
	r.step("rewind-check")
	if err := r.rests(); err != nil {
		return err
	}
	if r.swappedIn() { // by a clone that was cut short; it is what is to be rewound
		if err := r.settleClone(); err != nil {
			return err
		}
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	if r.done(ctx) {
		return r.finish()
	}
	var again bool
	if r.pending, again = r.pendingRewind(); !again {
		r.step("rewind-recover")
		if err := r.shutDownCleanly(ctx); err != nil {
			return err
		}
		r.step("rewind-mark")
		if err := r.mark(); err != nil {
			return err
		}
	}
	r.step("rewind-run")
	said, err := r.rewind(ctx)
	if err != nil {
		return err
	}
	r.step("rewind-verify")
	if !r.done(ctx) {
		return r.disbelieve(ctx, said)
	}
	r.step("rewind-restore")
	return r.finish()
}

// check makes sure that a rewind can work, and that the source's control file shows its timeline.
func (r *rewinding) check(ctx context.Context) error {
	c, err := r.control(ctx)
	if err != nil {
		return err
	}
	if why := r.cannotRewind(c); why != "" {
		return fmt.Errorf("%s: %w", why, sidecar.ErrNotPossible)
	}
	if r.source, err = r.rewindSource(r.upstream); err != nil {
		return err
	}
	conn, err := r.source.connect(ctx)
	if err != nil {
		return fmt.Errorf("connect to the upstream as pg_rewind will: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	st, err := r.sourceState(ctx, conn)
	switch {
	case err != nil:
		return fmt.Errorf("ask the upstream: %w", err)
	case st.recovering:
		return errors.New("the upstream is a standby just now")
	case st.systemID != "" && st.systemID != c.SystemID:
		return fmt.Errorf("the upstream is of system %s and we are of %s: %w", st.systemID, c.SystemID, sidecar.ErrNotPossible)
	}
	r.target = st.timeline
	if missing, err := r.missingGrant(ctx, conn); err != nil || missing != "" {
		return errors.Join(err, grantError(missing))
	}
	if r.version.rewindNeedsCheck && st.checkpoint != st.timeline {
		if _, err := conn.Exec(ctx, "CHECKPOINT"); err != nil {
			return fmt.Errorf("the upstream has not checkpointed since its promotion, which pg_rewind needs, and does not at our word: %w", err)
		}
	}
	return nil
}

func grantError(missing string) error {
	if missing == "" {
		return nil
	}
	return fmt.Errorf("%s: %w", missing, sidecar.ErrNotPossible)
}

// cannotRewind says why pg_rewind cannot work on this data directory, empty if it can.
func (in *Instance) cannotRewind(c control) string {
	if !in.version.rewind {
		return fmt.Sprintf("PostgreSQL %s has no pg_rewind", in.version.name)
	}
	if _, err := in.binary("pg_rewind"); err != nil {
		return err.Error()
	}
	if !c.DataChecksums && !c.WalLogHints {
		return "pg_rewind needs data checksums or wal_log_hints = on"
	}
	return ""
}

// rewindFunctions are those that pg_rewind calls on its source.
var rewindFunctions = []string{
	"pg_catalog.pg_ls_dir(text, boolean, boolean)", "pg_catalog.pg_stat_file(text, boolean)",
	"pg_catalog.pg_read_binary_file(text)", "pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
}

// missingGrant says which privilege the session lacks on the source, empty if none.
func (in *Instance) missingGrant(ctx context.Context, conn *pgx.Conn) (string, error) {
	for _, function := range rewindFunctions {
		var may bool
		if err := conn.QueryRow(ctx, "SELECT has_function_privilege('"+function+"', 'execute')").Scan(&may); err != nil {
			return "", fmt.Errorf("ask for pg_rewind's privileges: %w", err)
		}
		if !may {
			return fmt.Sprintf("role %q may not execute %s: grant it to the role that rewind names in pgvigil's configuration",
				conn.Config().User, function), nil
		}
	}
	return "", nil
}

// RewindReady says why a rewind would not work, empty if it would: the program, the cluster's pages, and, on a standby, the
// session and its privileges on the upstream that it has. It opens a session there, so it is to be asked now and then only.
func (in *Instance) RewindReady(ctx context.Context) (why string) {
	c, err := in.control(ctx)
	if err != nil {
		return err.Error()
	}
	if why := in.cannotRewind(c); why != "" {
		return why
	}
	text, err := in.usersConninfo()
	if err != nil {
		return err.Error()
	}
	address, _ := upstreamOf(text)
	if recovering, err := in.recovering(ctx); err != nil || !recovering || address == "" {
		return ""
	}
	s, err := in.rewindSource(watchdog.Upstream{Address: address})
	if err != nil {
		return err.Error()
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return fmt.Sprintf("no session for pg_rewind on %s: %v", address, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	missing, err := in.missingGrant(ctx, conn)
	if err != nil {
		return err.Error()
	}
	return missing
}

// done says whether the data directory has been rewound to the upstream's timeline: its control file then is the source's,
// and says up to where on that timeline it must recover first.
func (r *rewinding) done(ctx context.Context) bool {
	c, err := r.control(ctx)
	return err == nil && c.State == stateInArchiveRecovery && c.MinRecoveryTimeline == r.target && exists(filepath.Join(r.config.DataDir, "backup_label"))
}

// shutDownCleanly lets a server that has crashed recover, as pg_rewind wants it: as a standby without an upstream. pg_rewind's
// own way, from 13 on, is a single-user server, which ends at once beside standby.signal, and that must not be lifted.
func (r *rewinding) shutDownCleanly(ctx context.Context) error {
	c, err := r.control(ctx)
	if err != nil {
		return err
	}
	if c.State == stateShutDown || c.State == stateShutDownInRecovery {
		return nil
	}
	if err := r.setForeignHistoriesAside(max(c.Timeline, c.MinRecoveryTimeline)); err != nil {
		return err
	}
	if err := r.Start(ctx, watchdog.Upstream{}); err != nil {
		return fmt.Errorf("let the server recover before its rewind: %w", err)
	}
	err = poll(ctx, 20*time.Millisecond, func() (bool, error) {
		if r.master.handle(r.Directory()) == nil {
			return false, fmt.Errorf("%w: it ended while it recovered before its rewind; its log says why", ErrNotRunning)
		}
		_, err := r.recovering(ctx)
		lines := pidFileLines(r.config.DataDir)
		return err == nil && sqlState(err) == "" && r.accepts(lines), nil
	})
	return errors.Join(err, r.Stop(context.WithoutCancel(ctx)))
}

// accepts says whether the postmaster has noted that recovery is consistent, or does not note it (before 10).
func (r *rewinding) accepts(lines []string) bool {
	return !r.version.waitsShutdownStatus || len(lines) >= 8 && (strings.HasPrefix(lines[7], "ready") || strings.HasPrefix(lines[7], "standby"))
}

// setForeignHistoriesAside takes the histories of timelines that are not the server's own out of its WAL directory: it would
// end, saying that they are no children of its own. They are copies of the upstream's.
func (in *Instance) setForeignHistoriesAside(own watchdog.Timeline) error {
	names, err := readNames(in.walDir())
	if err != nil {
		return err
	}
	for _, name := range names {
		if timeline, ok := parseHistoryName(name); ok && timeline > own {
			if err := in.removeFile(filepath.Join(in.walDir(), name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// mark keeps the member's own files and says that the rewind begins.
func (r *rewinding) mark() error {
	if r.config.StateDir == "" {
		return errors.New("there is no state directory to keep the configuration in")
	}
	files, err := r.keepOwnFiles()
	if err != nil {
		return err
	}
	r.pending = pendingRewind{DataDir: r.config.DataDir, Upstream: r.upstream.Address, Since: time.Now().UTC(), Files: files}
	data, err := json.Marshal(r.pending)
	if err != nil {
		return err
	}
	return r.saveState(rewindMarker, data)
}

// rewind runs pg_rewind, and returns what it said.
func (r *rewinding) rewind(ctx context.Context) (string, error) {
	args := []string{"--target-pgdata=" + r.config.DataDir, "--source-server=" + r.source.conninfo}
	if command, err := r.standbySetting("restore_command"); err == nil && command != "" && r.version.rewindRestoresWAL {
		args = append(args, "--restore-target-wal")
		if r.version.rewindConfigFile {
			args = append(args, "--config-file="+r.where().configFile)
		}
	}
	cmd, err := r.command(ctx, "pg_rewind", args...)
	if err != nil {
		return "", err
	}
	cmd.Env = append(cmd.Env, r.source.environment()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return string(out), programError("pg_rewind", err, string(out))
	}
	return string(out), nil
}

// disbelieve is for a pg_rewind that ended well and has not rewound. Where our WAL ends before the fork there was nothing to do.
func (r *rewinding) disbelieve(ctx context.Context, said string) error {
	end, err := r.DeadEnd(ctx, 0, 0)
	if err != nil {
		return err
	}
	if r.upstream.Fork != 0 && r.upstream.Timeline == r.target && end.Exact && end.Timeline < r.target && end.End <= r.upstream.Fork {
		return r.finish()
	}
	return fmt.Errorf("pg_rewind ended without an error and did not rewind (%s), yet our WAL ends at %s on timeline %d: the histories differ "+
		"under one number: %w", strings.TrimSpace(said), end.End, end.Timeline, sidecar.ErrNotPossible)
}

// finish gives the server its own files back and takes the marker away.
func (r *rewinding) finish() error {
	if pending, marked := r.pendingRewind(); marked {
		if err := r.layOwnFiles(r.config.DataDir, pending.Files); err != nil {
			return err
		}
	}
	if _, err := os.Stat(r.latchFile()); err != nil {
		if err := r.Latch(context.Background()); err != nil {
			return err
		}
	}
	r.files.forget()
	return r.rewindEnded()
}
