package pgctl

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog/check"
)

func names(findings []check.Finding) (found []string) {
	for _, f := range findings {
		found = append(found, f.Name)
	}
	return found
}

// finding is the one of that name, which must be there.
func finding(t *testing.T, findings []check.Finding, name string) check.Finding {
	t.Helper()
	for _, f := range findings {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no finding %s among %v", name, names(findings))
	return check.Finding{}
}

func TestInspectASoundPairAndWhatIsPlantedInIt(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		primary, standby, in := pair(t, bin)
		other := []check.Other{{Name: "up", Address: primary.address()}}
		look := func() []check.Finding { return check.OfHost(in.Inspect(t.Context(), other, true), time.Now()) }

		h := in.Inspect(t.Context(), other, true)
		if h.Unasked != "" || h.Primary || !h.Running || h.Others[0].Refused != nil || h.Others[0].SystemID != h.SystemID || h.SystemID == "" {
			t.Fatalf("a sound standby: %+v", h)
		}
		if h.Others[0].Version != in.Version() || h.Role == nil || !h.Role.Exists || !h.Role.Replication || h.Space == nil || h.Space.Needed == 0 {
			t.Errorf("a sound standby: %+v, role %+v, space %+v", h.Others[0], h.Role, h.Space)
		}
		if in.version.showsReplicas && h.Others[0].Settings["max_connections"] != h.Settings["max_connections"] {
			t.Errorf("the upstream's settings: %v, ours: %v", h.Others[0].Settings, h.Settings)
		}
		for _, f := range check.OfHost(h, time.Now()) {
			if f.Severity == check.Error && f.Name != "fsync" { // which is off in these tests
				t.Errorf("a sound standby has %+v", f)
			}
		}

		standby.write("fallback_promote", "")
		if f := finding(t, look(), "trigger_left"); !strings.Contains(f.Mend, "fallback_promote") {
			t.Errorf("a left-over trigger: %+v", f)
		}
		// The other way round: the primary turns the standby's host away.
		primary.write("pg_hba.conf", "local all all trust\nhost all all 127.0.0.1/32 trust\n")
		primary.exec("SELECT pg_reload_conf()")
		eventually(t, "the primary turns us away", func() bool { return slices.Contains(names(look()), "hba") })
		if f := finding(t, look(), "hba"); f.Severity != check.Error || f.About != "up" {
			t.Errorf("a standby that is turned away: %+v", f)
		}
	})
}

func TestInspectAPrimaryThatNobodyCanFollow(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		s := newPrimary(t, bin, "max_wal_senders = 0", "wal_level = minimal", "full_page_writes = off")
		in := s.open()
		h := in.Inspect(t.Context(), []check.Other{{Name: "gone", Address: "127.0.0.1:1"}}, false)
		found := check.OfHost(h, time.Now())
		for _, name := range []string{"wal_level", "max_wal_senders", "full_page_writes", "replication_connection"} {
			if f := finding(t, found, name); f.Severity != check.Error || f.Mend == "" || f.Why == "" {
				t.Errorf("%+v", f)
			}
		}
	})
}

func TestInspectAServerThatIsDown(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		s := newPrimary(t, bin)
		s.kill()
		config := s.config()
		config.Replication = "user=fred password=x"
		h := s.openWith(config).Inspect(t.Context(), nil, false)
		if h.Replication != "fred" {
			t.Errorf("standbys connect as %q", h.Replication)
		}
		if f := finding(t, check.OfHost(h, time.Now()), "server_down"); f.Severity != check.Error {
			t.Errorf("%+v", f)
		}
	})
}

func TestUnitsThatStartTheServerAtBoot(t *testing.T) {
	root := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	in := &Instance{version: version{name: "15"}}
	in.config.DataDir = filepath.Join(root, "var/lib/postgresql/15/main")
	units := func() (found []string) {
		for _, u := range in.bootUnits(root) {
			found = append(found, u.Name)
		}
		return found
	}
	write("etc/systemd/system/multi-user.target.wants/postgresql.service", "[Service]\nExecStart=/bin/true\n")
	write("etc/postgresql/15/main/start.conf", "# by hand\nmanual\n")
	write("etc/systemd/system/multi-user.target.wants/pgvigil.service", "[Service]\nExecStart=/usr/bin/pgvigil run --data-dir "+in.config.DataDir+"\n")
	write("etc/systemd/system/multi-user.target.wants/postgresql-14.service", "[Service]\nEnvironment=PGDATA="+in.config.DataDir+"-of-another\n")
	if got := units(); len(got) != 0 {
		t.Errorf("nothing starts it, and %v is said to", got)
	}
	write("etc/postgresql/15/main/start.conf", "auto\n")
	write("etc/systemd/system/multi-user.target.wants/postgresql-15.service", "[Service]\nEnvironment=PGDATA=/elsewhere\n")
	write("etc/systemd/system/postgresql-15.service.d/override.conf", "[Service]\nEnvironment=PGDATA="+in.config.DataDir+"/\n")
	got := units()
	slices.Sort(got)
	if want := []string{"postgresql-15.service", "postgresql@15-main.service"}; !slices.Equal(got, want) {
		t.Errorf("units %v, want %v", got, want)
	}
}
