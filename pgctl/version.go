package pgctl

import (
	"fmt"
	"strings"
)

// version is everything that differs by major version. No other file asks which version it is: it asks for the feature.
// The facts are from PG-VERSIONS.md, measured unless it says otherwise.
type version struct {
	name   string // as in PG_VERSION
	number int    // lowest server_version_num

	// Where a standby's settings live, and what a change of them takes.
	recoveryConf   bool   // in recovery.conf; else in the ordinary settings, with standby.signal
	conninfoReload bool   // primary_conninfo changes by reload; else by restart
	restoreReload  bool   // restore_command changes by reload
	followsLatest  bool   // recovery_target_timeline is 'latest' unless set
	triggerSetting string // empty: there is none
	triggerBars    string // a former trigger setting that keeps the server from starting

	// Promotion.
	promoteFile     string // that pg_ctl promote creates before SIGUSR1; empty: there is none
	fallbackFile    bool   // fallback_promote is another trigger
	promoteByPause  bool   // a paused replay is to be resumed first, or the promotion waits
	promoteFunction bool   // pg_promote()

	// Names.
	walDir          string
	receiveLSN      string // functions
	replayLSN       string
	flushLSN        string
	walFileName     string
	pausedFunction  string // empty: replay cannot be paused
	pauseFunction   string
	resumeFunction  string
	pauseState      string // tells "pause requested" from "paused"; empty: there is none
	switchFunction  string
	socketSetting   string
	backupStart     string // functions of the non-exclusive base backup; before 9.6 exclusive
	backupStop      string
	activityPID     string // pg_stat_activity's column
	activityXmin    string // pg_stat_activity's column, empty: there is none
	downstreamView  bool   // pg_stat_replication exists
	downstreamFlush string // its columns
	downstreamPlay  string
	receiverView    bool   // pg_stat_wal_receiver exists
	receiverFlush   string // its column
	controlSQL      bool   // pg_control_checkpoint() and its sisters exist
	lockTimeout     bool
	localCommit     bool // synchronous_commit = local exists
	idleTimeout     bool // idle_session_timeout exists
	quorumNames     bool // synchronous_standby_names takes ANY k (…)
	slots           bool // physical replication slots
	pendingRestart  bool // pg_settings.pending_restart and pg_file_settings exist
	sendersBound    bool // a standby's max_wal_senders must not be lower than the primary's
	workersBound    bool // … and its max_worker_processes
	archiverView    bool // pg_stat_archiver exists
	walKeepSize     bool // wal_keep_size; else wal_keep_segments
	passfileWord    bool // a conninfo may name its password file
	rewindGrants    bool // pg_rewind's session may be that of a role that was granted its functions
	hbaRules        bool // pg_hba_file_rules exists
	slotFailover    bool // logical slots can be synchronised to standbys
	showsReplicas   bool // SHOW is answered on a replication connection

	// WAL.
	walRecords      bool // records carry a CRC-32C, and can be followed here to the last whole one
	startupActivity bool // pg_stat_activity shows the startup process and what it waits for
	checkpointHeeds bool // the pauses of a checkpoint are a wait that pg_stat_activity names, and a signal ends

	// pg_rewind.
	rewind              bool
	rewindRecovers      bool // it lets a target that was not shut down cleanly recover first
	rewindConfigFile    bool // --config-file
	rewindNeedsCheck    bool // right after a promotion it says "no rewind required", wrongly, until the source has checkpointed
	rewindRestoresWAL   bool // --restore-target-wal
	backupManifest      bool // pg_basebackup writes one, and can be told not to
	groupAccess         bool // the data directory may be readable by its group
	waitsShutdownStatus bool // postmaster.pid has a line with the postmaster's status
}

// step is what a major version changed.
type step struct {
	name   string
	number int
	change func(v *version)
}

// versions is the one table of all that differs by major version: each row is the row above it, changed.
var versions = table(
	step{"9.0", 90000, func(v *version) {
		v.recoveryConf, v.triggerSetting = true, "trigger_file"
		v.walDir, v.socketSetting = "pg_xlog", "unix_socket_directory"
		v.receiveLSN, v.replayLSN = "pg_last_xlog_receive_location", "pg_last_xlog_replay_location"
		v.flushLSN, v.walFileName, v.switchFunction = "pg_current_xlog_location", "pg_xlogfile_name", "pg_switch_xlog"
		v.backupStart, v.backupStop, v.activityPID = "pg_start_backup", "pg_stop_backup", "procpid"
		v.promoteByPause, v.rewindNeedsCheck = true, true
	}},
	step{"9.1", 90100, func(v *version) {
		v.promoteFile, v.localCommit = "promote", true
		v.pausedFunction, v.pauseFunction, v.resumeFunction = "pg_is_xlog_replay_paused", "pg_xlog_replay_pause", "pg_xlog_replay_resume"
		v.downstreamView, v.downstreamFlush, v.downstreamPlay = true, "flush_location", "replay_location"
	}},
	step{"9.2", 90200, func(v *version) { v.activityPID = "pid" }},
	step{"9.3", 90300, func(v *version) {
		v.fallbackFile, v.lockTimeout, v.socketSetting = true, true, "unix_socket_directories"
	}},
	step{"9.4", 90400, func(v *version) {
		v.slots, v.activityXmin, v.workersBound, v.archiverView = true, "backend_xmin", true, true
	}},
	step{"9.5", 90500, func(v *version) { v.rewind, v.walRecords, v.pendingRestart = true, true, true }},
	step{"9.6", 90600, func(v *version) {
		v.receiverView, v.receiverFlush, v.controlSQL = true, "received_lsn", true
		v.flushLSN = "pg_current_xlog_flush_location"
	}},
	step{"10", 100000, func(v *version) {
		v.walDir, v.quorumNames, v.waitsShutdownStatus = "pg_wal", true, true
		v.startupActivity, v.hbaRules, v.showsReplicas, v.passfileWord = true, true, true, true
		v.receiveLSN, v.replayLSN = "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn"
		v.flushLSN, v.walFileName, v.switchFunction = "pg_current_wal_flush_lsn", "pg_walfile_name", "pg_switch_wal"
		v.pausedFunction, v.pauseFunction, v.resumeFunction = "pg_is_wal_replay_paused", "pg_wal_replay_pause", "pg_wal_replay_resume"
		v.downstreamFlush, v.downstreamPlay = "flush_lsn", "replay_lsn"
	}},
	step{"11", 110000, func(v *version) { v.groupAccess, v.rewindGrants = true, true }},
	step{"12", 120000, func(v *version) {
		v.recoveryConf, v.followsLatest, v.triggerSetting = false, true, "promote_trigger_file"
		v.promoteFunction, v.sendersBound = true, true
	}},
	step{"13", 130000, func(v *version) {
		v.conninfoReload, v.promoteByPause, v.receiverFlush = true, false, "flushed_lsn"
		v.rewindRecovers, v.rewindRestoresWAL, v.backupManifest, v.walKeepSize = true, true, true, true
	}},
	step{"14", 140000, func(v *version) {
		v.restoreReload, v.idleTimeout, v.pauseState = true, true, "pg_get_wal_replay_pause_state"
		v.checkpointHeeds = true
	}},
	step{"15", 150000, func(v *version) {
		v.backupStart, v.backupStop, v.rewindConfigFile = "pg_backup_start", "pg_backup_stop", true
	}},
	step{"16", 160000, func(v *version) {
		v.triggerSetting, v.triggerBars, v.rewindNeedsCheck = "", "promote_trigger_file", false
	}},
	step{"17", 170000, func(v *version) { v.slotFailover = true }},
	step{"18", 180000, func(*version) {}},
)

func table(steps ...step) []version {
	rows := make([]version, len(steps))
	var row version
	for i, s := range steps {
		row.name, row.number = s.name, s.number
		s.change(&row)
		rows[i] = row
	}
	return rows
}

// versionOf returns the row of a PG_VERSION file's content.
func versionOf(name string) (version, error) {
	name = strings.TrimSpace(name)
	for _, v := range versions {
		if v.name == name {
			return v, nil
		}
	}
	return version{}, fmt.Errorf("%w %q: this pgvigil knows %s to %s", ErrUnsupportedVersion, name,
		versions[0].name, versions[len(versions)-1].name)
}
