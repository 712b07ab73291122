package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog/check"
)

// checked runs the command, and returns its findings, when each member looked, and its exit code.
func (c *cluster) checked(args ...string) (found []check.Finding, looked map[string]any, code int) {
	c.t.Helper()
	said, err := c.Command("check", append(args, "-o", "json")...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		c.must(err)
	}
	var r struct {
		Findings []check.Finding
		Looked   map[string]any
	}
	if err := json.NewDecoder(strings.NewReader(said)).Decode(&r); err != nil {
		c.t.Fatalf("check: exit code %d, %v: %s", code, err, said)
	}
	return r.Findings, r.Looked, code
}

func TestCheckFindsWhatWouldFail(t *testing.T) {
	c := whole(t)
	c.must(c.Until(c.ctx, "every sidecar has looked", soon, func() bool {
		_, looked, _ := c.checked()
		return len(looked) == len(c.Nodes)
	}))
	found, _, code := c.checked()
	for _, f := range found {
		if f.Severity == check.Error && f.Name != "disk_full" {
			t.Errorf("a sound cluster has %+v", f)
		}
	}
	if code == 0 { // no WAL is kept in these clusters
		t.Errorf("exit code %d for %+v", code, found)
	}

	ill := c.standbys()[0]
	hba := filepath.Join(ill.DataDir(), "pg_hba.conf")
	c.must(os.WriteFile(hba, []byte("local all all trust\nhost all all 127.0.0.1/32 trust\n"), 0o600))
	c.must(ill.Execute(c.ctx, "SELECT pg_reload_conf()"))
	var hit []check.Finding
	c.must(c.Until(c.ctx, "the primary's host finds that it could not follow "+ill.Name, soon, func() bool {
		found, _, code = c.checked("-c", c.primary.ConfigFile())
		hit = nil
		for _, f := range found {
			if f.Name == "hba" && f.Severity == check.Error && f.About == ill.Name && f.Member == c.primary.Name {
				hit = append(hit, f)
			}
		}
		return len(hit) == 1
	}))
	if code != 9 || !strings.Contains(hit[0].Mend, "pg_hba.conf") {
		t.Errorf("exit code %d, %+v", code, hit)
	}
	c.undisturbed(rest / 4)
}
