package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// OfHost turns what a look at a host has found into findings, the worst first. now is that host's wall clock.
func OfHost(h Host, now time.Time) []Finding {
	j := &judge{host: h, now: now}
	if h.Running && h.Unasked == "" {
		j.walSettings()
		j.safetySettings()
		j.keptWAL()
		j.archive()
		j.slots()
		j.role()
	}
	j.server()
	j.files()
	j.machine()
	j.rejoin()
	j.others()
	Sort(j.found)
	return j.found
}

// judge gathers findings.
type judge struct {
	host  Host
	now   time.Time
	found []Finding
}

func (j *judge) add(s Severity, name, what, why, mend string) { j.about("", s, name, what, why, mend) }

func (j *judge) about(about string, s Severity, name, what, why, mend string) {
	j.found = append(j.found, Finding{Name: name, Severity: s, Member: j.host.Member, About: about, What: what, Why: why, Mend: mend})
}

// number is a setting's value; known is false where this version has not got it.
func (j *judge) number(name string) (n int, known bool) {
	value, known := j.host.Settings[name]
	if !known {
		return 0, false
	}
	n, err := strconv.Atoi(value)
	return n, err == nil
}

// restarting is the command that changes a setting which takes a restart.
func restarting(name, value string) string {
	return fmt.Sprintf("psql -c \"ALTER SYSTEM SET %s = '%s'\", then restart the server", name, value)
}

// reloading is the one for a setting that takes a reload.
func reloading(name, value string) string {
	return fmt.Sprintf("psql -c \"ALTER SYSTEM SET %s = '%s'\" -c 'SELECT pg_reload_conf()'", name, value)
}

// server are findings about the server as a whole.
func (j *judge) server() {
	h := j.host
	switch {
	case !h.Running:
		j.add(Error, "server_down", "no server runs on "+h.DataDir, "nobody can stream from it or be promoted; its settings were not looked at",
			"start it, or start its sidecar: pgvigil run")
	case h.Unasked != "":
		j.add(Error, "server_unasked", "the server could not be asked: "+h.Unasked, "the sidecar asks it by the same session, and would know as little",
			"let the owner of "+h.DataDir+" in on the local socket, or set postgres.connect to a role that may log in")
	}
	for _, line := range h.HBA {
		j.add(Error, "hba_error", "pg_hba.conf has an error: "+line, "the server ignores the file as a whole when it reloads, and does not start with it",
			"correct the line, then psql -c 'SELECT pg_reload_conf()'")
	}
	if len(h.Pending) > 0 {
		j.add(Warning, "pending_restart", "settings wait for a restart: "+strings.Join(h.Pending, ", "),
			"the next failover or rejoin brings them in force, at the worst moment to learn what they do", "restart the server at a time of your choosing")
	}
	if h.Forbidden != "" {
		j.add(Error, "start_forbidden", h.Forbidden, "the server would not come up again as a standby, nor after a crash", "do what the sentence says")
	}
	if major, err := strconv.Atoi(h.Version); err == nil && major < 12 || strings.HasPrefix(h.Version, "9.") {
		j.add(Warning, "version_old", "PostgreSQL "+h.Version+" is no longer maintained", "pgvigil's automatic failover is promised from 12 on", "upgrade it")
	}
}

// walSettings are those without which nobody streams.
func (j *judge) walSettings() {
	if level := j.host.Settings["wal_level"]; level == "minimal" || level == "archive" {
		j.add(Error, "wal_level", "wal_level is "+level, "no standby can stream from this server", restarting("wal_level", "replica"))
	}
	others := len(j.host.Others)
	if senders, known := j.number("max_wal_senders"); known {
		mend := restarting("max_wal_senders", strconv.Itoa(max(10, others+3)))
		switch {
		case senders < max(1, others):
			j.add(Error, "max_wal_senders", fmt.Sprintf("max_wal_senders is %d, and %d other members would stream from here", senders, others),
				"as primary it turns standbys away", mend)
		case senders < others+2:
			j.add(Warning, "max_wal_senders", fmt.Sprintf("max_wal_senders is %d, which leaves no room for a copy beside %d standbys", senders, others),
				"a member that must be cloned takes two, and so does a backup", mend)
		}
	}
	if j.host.Settings["hot_standby"] == "off" {
		j.add(Warning, "hot_standby", "hot_standby is off", "as a standby it cannot be asked, so its positions are not known exactly and it is a poor candidate",
			restarting("hot_standby", "on"))
	}
	for _, name := range []string{"wal_sender_timeout", "wal_receiver_timeout", "replication_timeout"} {
		if n, known := j.number(name); known && n == 0 {
			j.add(Warning, name, name+" is 0", "a replication connection whose other end has vanished is never given up", reloading(name, "30s"))
		}
	}
	if n, known := j.number("recovery_min_apply_delay"); known && n > 0 {
		j.add(Warning, "apply_delay", fmt.Sprintf("recovery_min_apply_delay is %s", time.Duration(n)*time.Millisecond),
			"as winner it replays what it has received first; as standby it is always behind", "tag it no_failover: true in pgvigil's configuration, or "+reloading("recovery_min_apply_delay", "0"))
	}
}

// safetySettings are those without which a commit is no promise.
func (j *judge) safetySettings() {
	if j.host.Settings["fsync"] == "off" {
		j.add(Error, "fsync", "fsync is off", "a crash of the host may leave a data directory that no longer agrees with itself, and a failover loses commits", reloading("fsync", "on"))
	}
	if j.host.Settings["full_page_writes"] == "off" {
		j.add(Error, "full_page_writes", "full_page_writes is off", "pg_rewind refuses to work, and a crash may tear pages", reloading("full_page_writes", "on"))
	}
	if len(j.host.Low) > 0 {
		severity := Info
		if j.host.Policy.Durability == watchdog.ModeQuorum {
			severity = Warning
		}
		j.add(severity, "synchronous_commit", "commits that wait for no standby: "+strings.Join(j.host.Low, "; "),
			"quorum promises them nothing: a failover may lose what they were told is committed", "psql -c 'ALTER ROLE … RESET synchronous_commit', or accept it knowingly")
	}
}

// keptWAL is about a standby that was away for a while.
func (j *judge) keptWAL() {
	setting, value := "wal_keep_size", "1GB"
	kept, known := j.number(setting)
	if !known {
		setting, value = "wal_keep_segments", "64"
		kept, known = j.number(setting)
	}
	physical := slices.ContainsFunc(j.host.Slots, func(s Slot) bool { return !s.Logical })
	if known && kept == 0 && !physical && j.host.Restore == "" {
		j.add(Warning, "wal_kept", setting+" is 0, there is no slot for a standby and no restore_command",
			"WAL is recycled after a checkpoint or two; a standby that was away for longer must be copied whole, and so may the old primary after a failover",
			reloading(setting, value))
	}
}

// archive is about what the archiver holds up.
func (j *judge) archive() {
	mode, command := j.host.Settings["archive_mode"], j.host.Settings["archive_command"]
	library := j.host.Settings["archive_library"]
	if mode != "" && mode != "off" && (command == "" || command == "(disabled)") && library == "" {
		j.add(Warning, "archive_command", "archive_mode is "+mode+" and there is no archive_command", "WAL is kept until the disk is full", reloading("archive_command", "…"))
	}
	if j.host.Archiver != "" {
		j.add(Error, "archiver", "the archiver fails: "+j.host.Archiver, "WAL piles up, and a switchover's shutdown waits for it", "see the server's log, and mend archive_command or its target")
	}
}

// heldMuch is how much WAL a slot that nobody reads may keep before it is told.
const heldMuch = 1 << 30

func (j *judge) slots() {
	for _, s := range j.host.Slots {
		if !s.Active && s.Held > heldMuch {
			j.about(s.Name, Warning, "slot_idle", fmt.Sprintf("nobody reads slot %s, which keeps %s of WAL", s.Name, bytes(s.Held)), "it keeps more until the disk is full",
				fmt.Sprintf("psql -c \"SELECT pg_drop_replication_slot('%s')\", if nobody comes back for it", s.Name))
		}
		if s.Logical && !s.Failover && j.host.Primary {
			j.about(s.Name, Warning, "slot_logical", "the logical slot "+s.Name+" is on this server alone", "after a failover its subscriber finds no slot, and changes are missing",
				"on PostgreSQL 17 and later make it a failover slot (ALTER_REPLICATION_SLOT, or ALTER SUBSCRIPTION … SET (failover = true)); before, create it anew after a failover and copy again")
		}
	}
}

// expiresSoon is when a password that ends is told.
const expiresSoon = 30 * 24 * time.Hour

// role is about whom standbys connect as.
func (j *judge) role() {
	r := j.host.Role
	if r == nil {
		return
	}
	const why = "no standby could connect after a failover or a rejoin"
	switch {
	case !r.Exists:
		j.add(Error, "replication_role", "there is no role "+r.Name+", which standbys connect as", why,
			fmt.Sprintf("psql -c \"CREATE ROLE %s LOGIN REPLICATION PASSWORD '…'\" on the primary, or correct postgres.replication", r.Name))
	case !r.Login || !r.Replication:
		j.add(Error, "replication_role", "the role "+r.Name+", which standbys connect as, may not log in for replication", why,
			fmt.Sprintf("psql -c 'ALTER ROLE %s LOGIN REPLICATION' on the primary", r.Name))
	case !r.Expires.IsZero() && r.Expires.Before(j.now):
		j.add(Error, "replication_password", fmt.Sprintf("the password of role %s has expired on %s", r.Name, r.Expires.Format(time.DateOnly)), why,
			fmt.Sprintf("psql -c \"ALTER ROLE %s VALID UNTIL 'infinity'\" on the primary", r.Name))
	case !r.Expires.IsZero() && r.Expires.Before(j.now.Add(expiresSoon)):
		j.add(Warning, "replication_password", fmt.Sprintf("the password of role %s expires on %s", r.Name, r.Expires.Format(time.DateOnly)), "from then on "+why,
			fmt.Sprintf("psql -c \"ALTER ROLE %s VALID UNTIL 'infinity'\" on the primary", r.Name))
	}
}

// bytes is an amount as people read it.
func bytes(n uint64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	x, i := float64(n), 0
	for x >= 1024 && i < len(units)-1 {
		x, i = x/1024, i+1
	}
	return strconv.FormatFloat(x, 'f', min(i, 1), 64) + " " + units[i]
}
