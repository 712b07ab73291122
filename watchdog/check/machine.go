package check

import (
	"fmt"
	"time"
)

// files are findings about what lies in the data directory and around it.
func (j *judge) files() {
	h := j.host
	for _, path := range h.Triggers {
		j.about(path, Warning, "trigger_left", path+" is left over", "whoever starts this server as a standby, but for its sidecar, gets a second primary at once", "rm "+path)
	}
	if h.TriggerAt != "" {
		j.add(Warning, "trigger_directory", "the configured trigger file cannot be created in "+h.TriggerAt, "a promotion takes the way round by pg_ctl promote's, and is later by up to 100 ms",
			"create the directory and give it to the server's owner")
	}
	if h.StandbyFile && h.Primary && !h.Adopted {
		j.add(Warning, "standby_file_left", "standby.signal, or before 12 recovery.conf, lies beside a running primary that no sidecar watches",
			"the server comes up as a standby when it is restarted", "rm it, unless pgvigil is about to adopt the server, which lays it there itself")
	}
	for _, u := range h.Units {
		j.about(u.Name, Warning, "unit_enabled", "systemd starts the server at boot by "+u.Name+" ("+u.How+")",
			"it is started beside the sidecar, which alone knows whether it may be primary", u.Mend)
	}
}

// What is little room on a disk.
const (
	fewParts  = 20 // a twentieth is free
	lastParts = 100
	lastBytes = 256 << 20
)

// clockLittle is by how much two clocks may differ.
const clockLittle = 2 * time.Second

// machine are findings about the host.
func (j *judge) machine() {
	if s := j.host.Space; s != nil && s.Size > 0 {
		mend := "make room, or give the file system more"
		switch {
		case s.Free < s.Size/lastParts || s.Free < lastBytes:
			j.add(Error, "disk_full", fmt.Sprintf("%s has %s left of %s", s.Path, bytes(s.Free), bytes(s.Size)), "a server that cannot write WAL ends, and hands over", mend)
		case s.Free < s.Size/fewParts:
			j.add(Warning, "disk_full", fmt.Sprintf("%s has %s left of %s", s.Path, bytes(s.Free), bytes(s.Size)), "WAL kept for a standby that is away may fill it", mend)
		}
		if s.Needed > s.Free {
			j.add(Warning, "disk_clone", fmt.Sprintf("a copy of the cluster is about %s, and %s are free beside %s", bytes(s.Needed), bytes(s.Free), j.host.DataDir),
				"a rejoin by clone is not possible: the old directory is kept until the copy streams", mend+", or be ready to delete the old directory by hand and run pgvigil join")
		}
	}
	if j.host.NoClone != "" {
		j.add(Info, "clone", "a copy beside is not possible: "+j.host.NoClone, "where pg_rewind does not do, a rejoin takes a person", "put the data directory in a subdirectory that its owner can rename")
	}
	if j.host.Unsynced {
		j.add(Info, "clock_unkept", "nothing keeps this host's clock (the kernel says that it is not synchronised)", "pgvigil trusts no wall clock, but events, pauses and --at are read by it",
			"systemctl enable --now chrony (or systemd-timesyncd)")
	}
}

// rejoin are findings about how an old primary would come back.
func (j *judge) rejoin() {
	h := j.host
	if h.NoRewind == "" {
		return
	}
	mend := "do what the sentence says"
	if h.NoHints {
		mend = restarting("wal_log_hints", "on") + " on every member; or pg_checksums --enable on a stopped one"
	}
	j.add(Warning, "rewind", "pg_rewind would not work: "+h.NoRewind, "an old primary with WAL of its own must be copied whole to come back", mend)
}
