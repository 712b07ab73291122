package process

import (
	"context"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/test/leftover"
	"github.com/pgvigil/pgvigil/test/until"
)

const bin = "/usr/lib/postgresql/15/bin/"

// cluster is a real PostgreSQL 15 in a directory of its own, which listens on a socket there and nowhere else.
type cluster struct {
	base, data string
	credential *syscall.Credential
	dir        Directory
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	if _, err := os.Stat(bin + "initdb"); err != nil {
		t.Skip("PostgreSQL 15 is not installed")
	}
	base, err := os.MkdirTemp("", "pgvigil-process-") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	c := &cluster{base: base, data: filepath.Join(base, "data")}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("no user postgres to run a server as")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		c.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(base, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(bin+name, args...)
	cmd.Dir = c.base
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=" + c.base, "PGHOST=" + c.base, "PGUSER=postgres", "PGDATABASE=postgres"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.credential}
	return cmd
}

func (c *cluster) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := c.command(name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// start runs the server as our child and waits until it answers.
func (c *cluster) start(t *testing.T, options ...string) *exec.Cmd {
	t.Helper()
	cmd := c.command("postgres", append([]string{"-D", c.data, "-k", c.base, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "dynamic_shared_memory_type=mmap"}, options...)...)
	// A file, not a pipe: waiting for a pipe's end would be waiting for the backends that outlive the postmaster.
	log, err := os.OpenFile(filepath.Join(c.base, "log"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if c.dir, err = Resolve(c.data); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := Kill(ctx, c.dir, Options{})
		if _ = cmd.Wait(); err != nil || t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%v, server's log:\n%s", err, text)
		}
		if err := leftover.FreeSegments(c.base); err != nil {
			t.Error(err)
		}
	})
	until.Holds(t, "the server answers", func() bool { return c.command("pg_isready", "-q").Run() == nil })
	return cmd
}

func TestKillEndsARealServerWhoseBackendsGoOnCommitting(t *testing.T) {
	c := newCluster(t)
	c.run(t, "initdb", "-D", c.data, "-U", "postgres", "-A", "trust", "--no-sync")
	server := c.start(t)
	if pid, ok := Postmaster(c.dir); !ok || pid != server.Process.Pid {
		t.Fatalf("postmaster %d %v, want %d", pid, ok, server.Process.Pid)
	}
	if pid, ok := PIDFile(c.dir); !ok || pid != server.Process.Pid {
		t.Fatalf("postmaster.pid %d %v, want %d", pid, ok, server.Process.Pid)
	}
	c.run(t, "psql", "-c", "create table t (n int); create procedure busy() language plpgsql as 'begin loop insert into t values (1); commit; end loop; end'")
	session := c.command("psql", "-c", "call busy()")
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Process.Kill(); _ = session.Wait() })
	until.Holds(t, "the procedure commits", func() bool { return c.run(t, "psql", "-Atc", "select count(*) > 100 from t") == "t" })

	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()
	if pid, ok := PIDFile(c.dir); ok {
		t.Errorf("stale postmaster.pid was believed: %d", pid)
	}
	if len(ByTitle(c.dir, "postgres postgres [local] CALL")) != 1 {
		t.Fatalf("no busy backend was left behind: %v", Find(c.dir))
	}
	if pid, ok := Postmaster(c.dir); ok {
		t.Errorf("took %d, %q, for the postmaster", pid, Title(pid))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	report, err := Kill(ctx, c.dir, Options{})
	if err != nil || !Gone(c.dir) {
		t.Fatalf("%v, left: %v", err, Find(c.dir))
	}
	t.Logf("%d left-over backends in %s", len(report.Found), report.Took)

	c.start(t) // nobody holds its shared memory
	report, err = Kill(ctx, c.dir, Options{Gentle: time.Second})
	if err != nil || !report.Gentle {
		t.Fatalf("%v, %+v", err, report)
	}
	t.Logf("immediate shutdown of %d processes in %s, %d by SIGKILL", len(report.Found), report.Took, report.Killed)
}

func TestTitlesOfARealStandby(t *testing.T) {
	c := newCluster(t)
	c.run(t, "initdb", "-D", c.data, "-U", "postgres", "-A", "trust", "--no-sync")
	c.start(t, "-c", "cluster_name=15/main")
	s := &cluster{base: filepath.Join(c.base, "s"), credential: c.credential}
	s.data = filepath.Join(s.base, "data")
	c.run(t, "pg_basebackup", "-D", s.data, "-R", "--no-sync", "-c", "fast")
	s.start(t, "-c", "cluster_name=15/standby")
	until.Holds(t, "the standby streams", func() bool { _, ok := Receiver(s.dir); return ok })
	if pid, ok := Startup(s.dir); !ok {
		t.Errorf("no startup process: %d", pid)
	}
	if pid, ok := Receiver(c.dir); ok {
		t.Errorf("%d, %q is no receiver", pid, Title(pid))
	}
	if pid, ok := Startup(c.dir); ok {
		t.Errorf("%d, %q is no startup process", pid, Title(pid))
	}
}
