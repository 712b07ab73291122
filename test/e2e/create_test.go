package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/test/lab"
)

// make runs bootstrap or join for a node, and returns what it says and its exit code.
func (c *cluster) make(command string, n *lab.Node, args ...string) (said string, code int) {
	c.t.Helper()
	said, err := c.Command(command, append([]string{
		"--name", n.Name, "--data-dir", n.DataDir(), "--address", n.Address(), "--listen", strings.TrimPrefix(n.API(), "http://"),
		"--passfile", filepath.Join(c.Dir, "replication.pgpass"), "--set", "unix_socket_directories=" + c.Dir, "--set", "shared_buffers=32MB",
		"--set", "dynamic_shared_memory_type=mmap", "--write-config", n.ConfigFile(),
	}, args...)...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return said, exit.ExitCode()
	}
	c.must(err)
	return said, 0
}

// Three empty directories become a cluster by bootstrap, join, join and run; the primary is killed, and nothing is lost.
func TestANewClusterFromEmptyDirectories(t *testing.T) {
	c := servers(t, lab.Options{Empty: true})
	first := c.Nodes[0]
	hba := []string{"--hba", "host all postgres 127.0.0.1/32 trust"}
	if os.Geteuid() != 0 {
		hba = append(hba, "--hba", "local all all trust")
	}
	made := func(command string, n *lab.Node, args ...string) {
		t.Helper()
		if said, code := c.make(command, n, append(args, "--dry-run")...); code != 0 || !strings.Contains(said, n.DataDir()+".new") {
			t.Fatalf("%s --dry-run ends with %d: %s", command, code, said)
		}
		if _, err := os.Stat(n.DataDir()); err == nil {
			t.Fatalf("%s --dry-run has made %s", command, n.DataDir())
		}
		for _, want := range []string{"now start its sidecar", "an earlier run made, and it runs"} { // once, and again
			if said, code := c.make(command, n, args...); code != 0 || !strings.Contains(said, want) {
				t.Fatalf("%s ends with %d, without %q: %s", command, code, want, said)
			}
		}
	}
	if said, code := c.make("join", c.Nodes[1]); code != 7 {
		t.Fatalf("join without a cluster ends with %d: %s", code, said)
	}
	made("bootstrap", first, hba...)
	c.must(first.StartSidecar())
	c.must(first.Execute(c.ctx, lab.WrittenTable))
	c.must(c.Until(c.ctx, "the first primary is adopted", soon, func() bool { return c.Primary(c.ctx) == first }))
	if said, code := c.make("bootstrap", c.Nodes[1]); code != 6 || !strings.Contains(said, "pgvigil join") {
		t.Fatalf("a second bootstrap ends with %d: %s", code, said)
	}
	for _, n := range c.Nodes[1:] {
		made("join", n)
		c.must(n.StartSidecar())
	}
	primary, err := c.WaitWhole(c.ctx, rejoin)
	c.must(err)
	c.primary = primary
	if primary != first {
		t.Fatalf("%s is the primary", primary.Name)
	}
	found, _, code := c.checked("-c", first.ConfigFile())
	for _, f := range found {
		if f.Name != "disk_full" && f.Name != "disk_clone" && f.Severity != "info" {
			t.Errorf("a cluster just made has %+v (exit code %d)", f, code)
		}
	}

	c.write()
	c.strike(c.primary.KillPostmaster())
	c.takenOver()
	c.wholeAgain()
	if said, code := c.make("bootstrap", first, hba...); code != 0 || !strings.Contains(said, "it runs (standby)") {
		t.Errorf("bootstrap of what is a standby now ends with %d: %s", code, said)
	}
}

func TestNothingIsMadeWhereThereIsData(t *testing.T) {
	c := servers(t, lab.Options{Empty: true})
	n := c.Nodes[0]
	c.must(os.Mkdir(n.DataDir(), 0o755))
	c.must(os.WriteFile(filepath.Join(n.DataDir(), "precious"), nil, 0o644))
	for _, command := range []string{"bootstrap", "join"} {
		if said, code := c.make(command, n); code != 6 || !strings.Contains(said, "precious") {
			t.Errorf("%s into a directory with a file ends with %d: %s", command, code, said)
		}
	}
	c.must(os.WriteFile(filepath.Join(n.DataDir(), "PG_VERSION"), []byte("15\n"), 0o644))
	if said, code := c.make("bootstrap", n); code != 6 || !strings.Contains(said, "pgvigil run adopts it") {
		t.Errorf("bootstrap over a data directory ends with %d: %s", code, said)
	}
	left, err := os.ReadDir(n.DataDir())
	if err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
	if os.Geteuid() == 0 {
		said, code := c.make("bootstrap", c.Nodes[1], "--user", "root")
		if code != 5 || !strings.Contains(said, "never runs as root") {
			t.Errorf("bootstrap as root's ends with %d: %s", code, said)
		}
	}
	if _, err := os.Stat(fmt.Sprint(n.DataDir(), ".new")); err == nil {
		t.Error("a half-made directory is left")
	}
}
