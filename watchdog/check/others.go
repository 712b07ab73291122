package check

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// SQLSTATEs by which a server says why it lets nobody in.
const (
	stateWrongPassword = "28P01"
	stateNotAuthorised = "28000" // no line in pg_hba.conf, or no such role
	stateNoPrivilege   = "42501"
	stateTooMany       = "53300"
	stateNotYet        = "57P03"
)

// notLower are the settings that a standby must not have lower than its primary.
var notLower = []string{"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction"}

// NotLower are the settings that a standby must not have lower than its primary.
func NotLower() []string { return append([]string(nil), notLower...) }

// others are findings about the other members as they are reached from here: each may be this one's primary tomorrow.
func (j *judge) others() {
	for _, o := range j.host.Others {
		switch {
		case o.Refused != nil:
			j.refused(o)
		case o.SystemID != "" && j.host.SystemID != "" && o.SystemID != j.host.SystemID:
			j.about(o.Name, Error, "system_identifier", fmt.Sprintf("%s at %s is of system %s, and this server of %s", o.Name, o.Address, o.SystemID, j.host.SystemID),
				"it is no copy of this cluster, and nobody can stream from the other", "correct postgres.address, or make a copy: pgvigil join")
		default:
			j.other(o)
		}
		if over := o.ClockOff.Abs() - o.ClockError; o.ClockError > 0 && over > clockLittle {
			j.about(o.Name, Warning, "clock", fmt.Sprintf("the clock of %s differs from this one's by %s", o.Name, o.ClockOff.Abs().Round(time.Second)),
				"pgvigil trusts no wall clock, but the order of events in the logs, the end of a pause and --at are read by it", "systemctl enable --now chrony on both (or systemd-timesyncd)")
		}
	}
	j.lowerThanPrimary()
}

// other are findings about one that lets us in.
func (j *judge) other(o Other) {
	if r := o.NoRewind; r != nil && j.host.NoRewind == "" {
		host, port := split(o.Address)
		j.about(o.Name, Warning, "rewind_connection", fmt.Sprintf("pg_rewind's session on %s is refused: %s", o.Name, r.Text),
			"were it the new primary, this one could not be rewound to it, and must be copied whole",
			fmt.Sprintf("add a line of type host for database postgres and user %s to pg_hba.conf on %s:%s, or set postgres.rewind", j.user(), host, port))
	}
	if o.Version != "" && o.Version != j.host.Version {
		j.about(o.Name, Error, "version_differs", fmt.Sprintf("%s runs PostgreSQL %s, and this host %s", o.Name, o.Version, j.host.Version), "nobody streams from another major version", "upgrade the one that is behind")
	}
	if j.host.Unasked != "" || !j.host.Running {
		return
	}
	for _, name := range notLower {
		own, known := j.number(name)
		there, err := strconv.Atoi(o.Settings[name])
		if known && err == nil && own < there {
			severity, why := Warning, "were that one the primary, this one would stop replaying, or not start: it could not take over, nor come back"
			if j.lower(name) {
				continue // said with more weight below
			}
			j.about(o.Name, severity, name, fmt.Sprintf("%s is %d here and %d on %s", name, own, there, o.Name), why, restarting(name, strconv.Itoa(there)))
		}
	}
	if own, there := j.host.Settings["archive_mode"], o.Settings["archive_mode"]; own == "off" && there != "" && there != "off" {
		j.about(o.Name, Warning, "archive_mode", fmt.Sprintf("archive_mode is off here and %s on %s", there, o.Name), "after a failover to this one nothing is archived any more", restarting("archive_mode", there))
	}
}

func (j *judge) lower(name string) bool {
	for _, l := range j.host.Lower {
		if l.Setting == name {
			return true
		}
	}
	return false
}

// lowerThanPrimary are settings by which this standby could not be promoted.
func (j *judge) lowerThanPrimary() {
	for _, l := range j.host.Lower {
		j.add(Error, l.Setting, fmt.Sprintf("%s is %d here and %d on the primary", l.Setting, l.Here, l.There),
			"a promotion would end the server: this standby is barred from taking over", restarting(l.Setting, strconv.Itoa(l.There)))
	}
}

// refused says why this host could not stream from another.
func (j *judge) refused(o Other) {
	const why = "after a failover to it this member could not follow it, nor be cloned from it"
	host, port := split(o.Address)
	name, severity, mend := "replication_connection", Error, ""
	switch r := o.Refused; {
	case r.State == stateWrongPassword:
		name, mend = "replication_password", fmt.Sprintf("write the right password to the passfile (or to primary_conninfo) on this host, then try: psql 'host=%s port=%s user=%s replication=true' -c IDENTIFY_SYSTEM", host, port, j.user())
	case r.State == stateNotAuthorised && strings.Contains(r.Text, "does not exist"):
		name, mend = "replication_role", fmt.Sprintf("psql -c \"CREATE ROLE %s LOGIN REPLICATION PASSWORD '…'\" on the primary, or correct postgres.replication", j.user())
	case r.State == stateNotAuthorised:
		name, mend = "hba", fmt.Sprintf("on %s: echo 'host replication %s <this host>/32 scram-sha-256' >> pg_hba.conf, then psql -c 'SELECT pg_reload_conf()'", o.Name, j.user())
	case r.State == stateNoPrivilege:
		name, mend = "replication_role", fmt.Sprintf("psql -c 'ALTER ROLE %s REPLICATION' on the primary", j.user())
	case r.State == stateTooMany:
		name, mend = "max_wal_senders", "raise max_wal_senders on "+o.Name+", then restart it"
	case r.State == stateNotYet:
		severity, mend = Info, "wait until it has started; a warm standby (hot_standby = off) never answers"
	case r.State != "":
		mend = "see the log of the server on " + o.Name
	default:
		mend = fmt.Sprintf("see that it runs, that its listen_addresses include %s, and that no firewall is between: pg_isready -h %s -p %s", host, host, port)
	}
	j.about(o.Name, severity, name, fmt.Sprintf("%s at %s refuses this host's replication connection: %s", o.Name, o.Address, o.Refused.Text), why, mend)
}

// user is whom standbys connect as.
func (j *judge) user() string {
	if j.host.Replication == "" {
		return "replicator"
	}
	return j.host.Replication
}

func split(address string) (host, port string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address, "5432"
	}
	return host, port
}
