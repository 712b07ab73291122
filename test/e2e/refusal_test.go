package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/test/lab"
)

// Each misconfiguration has its error, which says what to do, and its exit code; the cluster does not notice.
func TestMisconfiguredSidecarIsRefused(t *testing.T) {
	c := whole(t)
	n := c.standbys()[0]
	for _, row := range []struct {
		name, old, replacement string
		code                   int
		says                   string
	}{
		{"a missing data directory", "data_dir: " + n.DataDir(), "data_dir: " + n.DataDir() + "-not", 5, "data"},
		{"not a data directory", "data_dir: " + n.DataDir(), "data_dir: " + n.DataDir() + ".pgvigil", 5, "data"},
		{"a typo", "data_dir:", "data_dri:", 3, "data_dir"},
		{"an etcd that is not there", "endpoints: [", "endpoints: [\"http://127.0.0.1:1\"] #", 4, "etcd"},
		{"an impossible policy", "log:\n", "policy:\n  ttl: 3s\nlog:\n", 3, "ttl"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, err := c.Misconfigured(n, row.old, row.replacement)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Until(c.ctx, "it ends", soon, func() bool { return !p.Running() }); err != nil {
				t.Fatal(err)
			}
			if out := p.Output(); p.ExitCode() != row.code || !strings.Contains(out, row.says) {
				t.Errorf("exit code %d, want %d: %s", p.ExitCode(), row.code, out)
			}
			_ = os.Remove(p.Log)
		})
	}
	c.undisturbed(0)
	c.wholeAgain()
}

// Two primaries and a foreign system: refused, PostgreSQL left as it was.
func TestForeignServersAreRefused(t *testing.T) {
	c := whole(t)
	stray, err := lab.New(c.ctx, lab.Options{Nodes: 1, Executable: program})
	c.must(err)
	defer stray.Close()
	p, err := c.Misconfigured(c.standbys()[0], "data_dir: "+c.standbys()[0].DataDir(), "data_dir: "+stray.Nodes[0].DataDir())
	c.must(err)
	c.must(c.Until(c.ctx, "it is refused", soon, func() bool { return !p.Running() }))
	if out := p.Output(); p.ExitCode() != 6 || !strings.Contains(out, "system identifier") {
		t.Errorf("exit code %d: %s", p.ExitCode(), out)
	}
	if stray.Nodes[0].Ask(c.ctx, "SELECT pg_is_in_recovery()") != "false" {
		t.Error("the foreign server was touched")
	}
	if _, err := os.Stat(filepath.Join(stray.Nodes[0].DataDir(), "standby.signal")); err == nil {
		t.Error("standby.signal was laid beside the foreign server")
	}
	c.undisturbed(0)
}

// F61: a trigger path that cannot be written does not keep the winner from promoting.
func TestUnwritableTriggerPath(t *testing.T) {
	c := whole(t, func(o *lab.Options) { o.Settings = "promote_trigger_file = '/proc/nowhere/trigger'" })
	c.strike(c.primary.KillPostmaster())
	fresh := c.takenOver()
	if !strings.Contains(fresh.Sidecar().Output(), "/proc/nowhere/trigger") {
		t.Error("its sidecar did not say so")
	}
	c.wholeAgain()
}

// A refused password is not death: it is said, with what to do, and nothing happens.
func TestWrongPassword(t *testing.T) {
	c := whole(t)
	hba := filepath.Join(c.primary.DataDir(), "pg_hba.conf")
	before, err := os.ReadFile(hba)
	c.must(err)
	c.must(os.WriteFile(hba, []byte("local all all scram-sha-256\n"+string(before)), 0o600))
	c.primary.Ask(c.ctx, "SELECT pg_reload_conf()")
	c.strike(c.primary.Sidecar().Kill())
	c.must(c.primary.StartSidecar())
	c.must(c.Until(c.ctx, "it says so", soon, func() bool { return strings.Contains(c.primary.Sidecar().Output(), "password") }))
	c.must(os.WriteFile(hba, before, 0o600))
	c.primary.Ask(c.ctx, "SELECT pg_reload_conf()")
	c.wholeAgain()
}
