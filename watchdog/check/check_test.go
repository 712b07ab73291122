package check

import (
	"slices"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sound is a standby of which there is nothing to say.
func sound() Host {
	return Host{
		Member: "node2", Version: "15", DataDir: "/data", Running: true, SystemID: "7", Replication: "replicator",
		Settings: map[string]string{
			"wal_level": "replica", "max_wal_senders": "10", "hot_standby": "on", "wal_keep_size": "1024", "archive_mode": "off", "fsync": "on",
			"full_page_writes": "on", "wal_sender_timeout": "60000", "wal_receiver_timeout": "60000", "max_connections": "100",
			"max_worker_processes": "8", "max_prepared_transactions": "0", "max_locks_per_transaction": "64",
		},
		Role:  &Role{Name: "replicator", Exists: true, Login: true, Replication: true},
		Space: &Space{Path: "/data", Free: 50 << 30, Size: 100 << 30, Needed: 10 << 30},
		Others: []Other{{Name: "node1", Address: "10.0.0.1:5432", SystemID: "7", Version: "15", Settings: map[string]string{"max_connections": "100"},
			ClockOff: time.Second, ClockError: time.Second}},
	}
}

func TestASoundHostHasNoFindings(t *testing.T) {
	if found := OfHost(sound(), now); len(found) != 0 {
		t.Errorf("%+v", found)
	}
}

func TestEachThingThatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name     string
		severity Severity
		spoil    func(h *Host)
	}{
		{"server_down", Error, func(h *Host) { h.Running = false }},
		{"server_unasked", Error, func(h *Host) { h.Unasked = "no password" }},
		{"hba_error", Error, func(h *Host) { h.HBA = []string{"line 4: what"} }},
		{"pending_restart", Warning, func(h *Host) { h.Pending = []string{"max_connections"} }},
		{"start_forbidden", Error, func(h *Host) { h.Forbidden = "recovery.conf" }},
		{"version_old", Warning, func(h *Host) { h.Version, h.Others[0].Version = "9.6", "9.6" }},
		{"wal_level", Error, func(h *Host) { h.Settings["wal_level"] = "minimal" }},
		{"max_wal_senders", Error, func(h *Host) { h.Settings["max_wal_senders"] = "0" }},
		{"max_wal_senders", Warning, func(h *Host) { h.Settings["max_wal_senders"] = "2" }},
		{"hot_standby", Warning, func(h *Host) { h.Settings["hot_standby"] = "off" }},
		{"wal_receiver_timeout", Warning, func(h *Host) { h.Settings["wal_receiver_timeout"] = "0" }},
		{"apply_delay", Warning, func(h *Host) { h.Settings["recovery_min_apply_delay"] = "3600000" }},
		{"fsync", Error, func(h *Host) { h.Settings["fsync"] = "off" }},
		{"full_page_writes", Error, func(h *Host) { h.Settings["full_page_writes"] = "off" }},
		{"synchronous_commit", Info, func(h *Host) { h.Low = []string{"off for role batch"} }},
		{"synchronous_commit", Warning, func(h *Host) { h.Low, h.Policy.Durability = []string{"off for role batch"}, watchdog.ModeQuorum }},
		{"wal_kept", Warning, func(h *Host) { h.Settings["wal_keep_size"] = "0" }},
		{"wal_kept", Warning, func(h *Host) { delete(h.Settings, "wal_keep_size"); h.Settings["wal_keep_segments"] = "0" }},
		{"archive_command", Warning, func(h *Host) { h.Settings["archive_mode"] = "on" }},
		{"archiver", Error, func(h *Host) { h.Archiver = "000 at noon" }},
		{"slot_idle", Warning, func(h *Host) { h.Slots = []Slot{{Name: "old", Held: 2 << 30}} }},
		{"slot_logical", Warning, func(h *Host) { h.Primary, h.Slots = true, []Slot{{Name: "sub", Logical: true, Active: true}} }},
		{"replication_role", Error, func(h *Host) { h.Role.Exists = false }},
		{"replication_role", Error, func(h *Host) { h.Role.Replication = false }},
		{"replication_password", Error, func(h *Host) { h.Role.Expires = now.Add(-time.Hour) }},
		{"replication_password", Warning, func(h *Host) { h.Role.Expires = now.Add(time.Hour) }},
		{"max_connections", Error, func(h *Host) { h.Lower = []Lower{{"max_connections", 50, 100}} }},
		{"max_connections", Warning, func(h *Host) { h.Settings["max_connections"] = "50" }},
		{"archive_mode", Warning, func(h *Host) { h.Others[0].Settings["archive_mode"] = "on" }},
		{"rewind", Warning, func(h *Host) { h.NoRewind, h.NoHints = "no checksums", true }},
		{"rewind_connection", Warning, func(h *Host) { h.Others[0].NoRewind = &Refusal{"28000", "no entry"} }},
		{"trigger_left", Warning, func(h *Host) { h.Triggers = []string{"/data/promote"} }},
		{"trigger_directory", Warning, func(h *Host) { h.TriggerAt = "/tmp/none" }},
		{"standby_file_left", Warning, func(h *Host) { h.Primary, h.StandbyFile = true, true }},
		{"unit_enabled", Warning, func(h *Host) { h.Units = []Unit{{"postgresql-15.service", "a link", "systemctl disable"}} }},
		{"disk_full", Warning, func(h *Host) { h.Space.Free, h.Space.Needed = 4<<30, 0 }},
		{"disk_full", Error, func(h *Host) { h.Space.Free, h.Space.Needed = 1<<20, 0 }},
		{"disk_clone", Warning, func(h *Host) { h.Space.Needed = 60 << 30 }},
		{"clone", Info, func(h *Host) { h.NoClone = "a mount point" }},
		{"clock_unkept", Info, func(h *Host) { h.Unsynced = true }},
		{"clock", Warning, func(h *Host) { h.Others[0].ClockOff = -time.Minute }},
		{"system_identifier", Error, func(h *Host) { h.Others[0].SystemID = "8" }},
		{"version_differs", Error, func(h *Host) { h.Others[0].Version = "14" }},
		{"hba", Error, func(h *Host) { h.Others[0].Refused = &Refusal{"28000", "no pg_hba.conf entry"} }},
		{"replication_role", Error, func(h *Host) { h.Others[0].Refused = &Refusal{"28000", `role "x" does not exist`} }},
		{"replication_role", Error, func(h *Host) { h.Others[0].Refused = &Refusal{"42501", "must be superuser"} }},
		{"replication_password", Error, func(h *Host) { h.Others[0].Refused = &Refusal{"28P01", "password authentication failed"} }},
		{"max_wal_senders", Error, func(h *Host) { h.Others[0].Refused = &Refusal{"53300", "number of requested standby connections"} }},
		{"replication_connection", Info, func(h *Host) { h.Others[0].Refused = &Refusal{"57P03", "starting up"} }},
		{"replication_connection", Error, func(h *Host) { h.Others[0].Refused = &Refusal{"", "connection refused"} }},
	} {
		h := sound()
		c.spoil(&h)
		found := OfHost(h, now)
		if len(found) != 1 || found[0].Name != c.name || found[0].Severity != c.severity {
			t.Errorf("%s, %s: found %+v", c.name, c.severity, found)
			continue
		}
		if f := found[0]; f.Member != "node2" || f.What == "" || f.Why == "" || f.Mend == "" {
			t.Errorf("a finding that says too little: %+v", f)
		}
	}
}

func TestAnArchiveOrASlotKeepsWAL(t *testing.T) {
	for _, keep := range []func(h *Host){
		func(h *Host) { h.Restore = "cp /archive/%f %p" },
		func(h *Host) { h.Slots = []Slot{{Name: "node3", Active: true}} },
	} {
		h := sound()
		h.Settings["wal_keep_size"] = "0"
		keep(&h)
		if found := OfHost(h, now); len(found) != 0 {
			t.Errorf("%+v", found)
		}
	}
}

func TestTheLatchOfAnAdoptedPrimaryIsNoFinding(t *testing.T) {
	h := sound()
	h.Primary, h.StandbyFile, h.Adopted = true, true, true
	if found := OfHost(h, now); len(found) != 0 {
		t.Errorf("%+v", found)
	}
}

func TestEtcd(t *testing.T) {
	policy, _ := watchdog.Preset("default")
	well := Endpoint{Address: "http://a:1", Version: "3.5.30", Takes: 2 * time.Millisecond, Members: 3, Policy: policy}
	if found := OfStore("node1", []Endpoint{well, well, well}); len(found) != 0 {
		t.Errorf("%+v", found)
	}
	for _, c := range []struct {
		name     string
		severity Severity
		spoil    func(e *Endpoint)
	}{
		{"etcd_version", Error, func(e *Endpoint) { e.TooOld = true }},
		{"etcd_version", Info, func(e *Endpoint) { e.Leases = true }},
		{"etcd_alarm", Error, func(e *Endpoint) { e.Alarms = []string{"NOSPACE"} }},
		{"etcd_latency", Warning, func(e *Endpoint) { e.Takes = 200 * time.Millisecond }},
		{"etcd_latency", Error, func(e *Endpoint) { e.Takes = 600 * time.Millisecond }},
		{"etcd_endpoint", Warning, func(e *Endpoint) { e.Failed = "refused" }},
		{"etcd_members", Warning, func(e *Endpoint) { e.Members = 0 }},
	} {
		ill := well
		c.spoil(&ill)
		other := well
		if c.name == "etcd_members" {
			ill.Members, other.Members = 1, 1
		}
		found := OfStore("node1", []Endpoint{ill, other})
		if len(found) != 1 || found[0].Name != c.name || found[0].Severity != c.severity || found[0].Mend == "" {
			t.Errorf("%s, %s: found %+v", c.name, c.severity, found)
		}
	}
	gone := well
	gone.Failed = "refused"
	if found := OfStore("node1", []Endpoint{gone}); Worst(found) != Error {
		t.Errorf("all of etcd gone: %+v", found)
	}
}

func TestChangedTellsOnlyWhatIsNews(t *testing.T) {
	hba := Finding{Name: "hba", Severity: Error, Member: "a", About: "b", What: "refused"}
	disk := Finding{Name: "disk_full", Severity: Warning, Member: "a", What: "1 GB left"}
	less := disk
	less.What = "0.9 GB left"
	worse := disk
	worse.Severity = Error
	hint := Finding{Name: "clone", Severity: Info}
	fresh, over := Changed([]Finding{hba, disk}, []Finding{less, hint})
	if len(fresh) != 0 || !slices.Equal(over, []Finding{hba}) {
		t.Errorf("fresh %v, over %v", fresh, over)
	}
	fresh, over = Changed([]Finding{disk}, []Finding{worse})
	if !slices.Equal(fresh, []Finding{worse}) || !slices.Equal(over, []Finding{disk}) {
		t.Errorf("fresh %v, over %v", fresh, over)
	}
	found := []Finding{hint, disk, hba}
	Sort(found)
	if found[0] != hba || found[2] != hint || Count(found, Warning) != 1 || Worst(nil) != "" {
		t.Errorf("sorted %v", found)
	}
}
