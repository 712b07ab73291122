package pgctl

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgvigil/pgvigil/pgctl/process"
	"github.com/pgvigil/pgvigil/test/freeport"
	"github.com/pgvigil/pgvigil/test/leftover"
	"github.com/pgvigil/pgvigil/watchdog"
)

// patience bounds every wait of these tests, which share two cores with much else. It is no measure of anything.
var patience = 60 * time.Second

// testServer is a real PostgreSQL server in a directory of its own. What is left of it is killed when the test ends.
type testServer struct {
	t     *testing.T
	name  string
	bin   string
	dir   string // data directory
	state string
	port  int
	owner owner
	major version
}

// eachMajor runs a test against every version that PGVIGIL_TEST_BINDIRS names (dir:dir), or the one that Debian has.
func eachMajor(t *testing.T, test func(t *testing.T, bin string)) {
	t.Helper()
	dirs := filepath.SplitList(os.Getenv("PGVIGIL_TEST_BINDIRS"))
	if len(dirs) == 0 {
		dirs, _ = filepath.Glob("/usr/lib/postgresql/*/bin")
	}
	if len(dirs) == 0 {
		t.Skip("no PostgreSQL programs: set PGVIGIL_TEST_BINDIRS")
	}
	for _, bin := range dirs {
		t.Run(majorOf(t, bin), func(t *testing.T) { test(t, bin) })
	}
}

func majorOf(t *testing.T, bin string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output()
	found := serverVersion.FindStringSubmatch(string(out))
	if err != nil || found == nil {
		t.Fatalf("version of %s: %v: %q", bin, err, out)
	}
	if len(found[1]) == 1 {
		return found[1] + "." + found[2]
	}
	return found[1]
}

// testOwner is whom the servers of these tests run as: root may not.
func testOwner(t *testing.T) owner {
	t.Helper()
	if os.Geteuid() != 0 {
		u, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		return owner{uid: os.Geteuid(), gid: os.Getegid(), name: u.Username, home: u.HomeDir}
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Skip("as root these tests need a user postgres")
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return owner{uid: uid, gid: gid, name: u.Username, home: u.HomeDir}
}

// newServer makes room for a server, without a data directory.
func newServer(t *testing.T, bin, name string) *testServer {
	t.Helper()
	major, err := versionOf(majorOf(t, bin))
	if err != nil {
		t.Fatal(err)
	}
	base, err := os.MkdirTemp("", "pgctl")
	if err != nil {
		t.Fatal(err)
	}
	s := &testServer{t: t, name: name, bin: bin, dir: filepath.Join(base, "data"), state: filepath.Join(base, "state"),
		port: freePort(t), owner: testOwner(t), major: major}
	t.Cleanup(func() {
		s.kill()
		s.must(leftover.FreeSegments(base))
		_ = os.RemoveAll(base)
	})
	s.must(os.Chmod(base, 0o755))
	s.must(os.Mkdir(s.state, 0o700))
	s.must(os.Mkdir(s.socket(), 0o755))
	s.must(os.Chown(s.socket(), s.owner.uid, s.owner.gid))
	s.must(os.Chown(base, s.owner.uid, s.owner.gid))
	return s
}

func (s *testServer) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", s.name, err)
	}
}

func (s *testServer) socket() string { return filepath.Join(filepath.Dir(s.dir), "socket") }

func freePort(t *testing.T) int {
	t.Helper()
	port, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// templates are data directories fresh from initdb, one for each version: initdb takes seconds.
var templates = struct {
	sync.Mutex
	of map[string]string
}{of: map[string]string{}}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range templates.of {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

func (s *testServer) template() string {
	templates.Lock()
	defer templates.Unlock()
	if dir := templates.of[s.bin]; dir != "" {
		return dir
	}
	dir, err := os.MkdirTemp("", "pgctl-template")
	s.must(err)
	s.must(os.Chown(dir, s.owner.uid, s.owner.gid))
	s.program("initdb", "-D", dir, "-U", s.owner.name, "-A", "trust", "-E", "UTF8", "--locale=C")
	templates.of[s.bin] = dir
	return dir
}

// newPrimary makes a primary, and starts it. Sessions on its socket authenticate as the operating system says.
func newPrimary(t *testing.T, bin string, settings ...string) *testServer {
	t.Helper()
	s := newServer(t, bin, "one")
	s.runAs("cp", "-a", s.template(), s.dir)
	hba := "local all all peer\nlocal replication all peer\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n"
	s.write("pg_hba.conf", hba)
	settings = append([]string{
		"listen_addresses = '127.0.0.1'", "fsync = off", "shared_buffers = 16MB", "max_connections = 30", "max_wal_senders = 8",
		"log_line_prefix = '%m [%p] %q%a '",
	}, settings...)
	if s.major.number < 100000 {
		settings = append(settings, "wal_level = hot_standby", "hot_standby = on")
	}
	if s.major.number >= 90400 {
		settings = append(settings, "dynamic_shared_memory_type = mmap")
	}
	if s.major.number >= 90500 {
		settings = append(settings, "wal_retrieve_retry_interval = 200ms")
	}
	s.append("postgresql.conf", settings...)
	s.locateConf()
	s.start()
	return s
}

// locateConf gives the server its own port and socket.
func (s *testServer) locateConf() {
	s.append("postgresql.conf", fmt.Sprintf("port = %d", s.port), fmt.Sprintf("%s = '%s'", s.major.socketSetting, s.socket()))
}

// newStandby makes a base backup of a running primary. It is not started.
func (s *testServer) newStandby(name string) *testServer {
	s.t.Helper()
	b := newServer(s.t, s.bin, name)
	if _, err := os.Stat(filepath.Join(s.bin, "pg_basebackup")); err == nil {
		b.program("pg_basebackup", "-D", b.dir, "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-U", s.owner.name, "-c", "fast")
	} else {
		s.backup(b, func() {})
	}
	b.locateConf()
	return b
}

// backup copies the running server's data directory by hand, after what is to happen while it does.
func (s *testServer) backup(to *testServer, meanwhile func()) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := s.connect(ctx)
	s.must(err)
	defer conn.Close(ctx)
	start, stop := "pg_backup_start('copy', true)", "SELECT labelfile FROM pg_backup_stop(false)"
	if s.major.number < 150000 {
		start, stop = "pg_start_backup('copy', true, false)", "SELECT labelfile FROM pg_stop_backup(false, false)"
	}
	_, err = conn.Exec(ctx, "SELECT "+start)
	s.must(err)
	meanwhile()
	s.runAs("cp", "-a", s.dir, to.dir)
	var label string
	s.must(conn.QueryRow(ctx, stop).Scan(&label))
	for _, name := range []string{"postmaster.pid", "postmaster.opts", standbySignal, recoveryConf} {
		_ = os.Remove(filepath.Join(to.dir, name))
	}
	_ = os.RemoveAll(filepath.Join(to.dir, s.major.walDir))
	s.runAs("cp", "-a", filepath.Join(s.dir, s.major.walDir), filepath.Join(to.dir, s.major.walDir))
	to.write("backup_label", label)
}

// write makes a file of the data directory.
func (s *testServer) write(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	s.must(os.WriteFile(path, []byte(content), 0o600))
	s.must(os.Chown(path, s.owner.uid, s.owner.gid))
}

// append adds lines to a file of the data directory.
func (s *testServer) append(name string, lines ...string) {
	s.t.Helper()
	before, _ := os.ReadFile(filepath.Join(s.dir, name))
	s.write(name, string(before)+strings.Join(lines, "\n")+"\n")
}

// read returns a file of the data directory, empty if there is none.
func (s *testServer) read(name string) string {
	data, _ := os.ReadFile(filepath.Join(s.dir, name))
	return string(data)
}

// program runs one of PostgreSQL's programs.
func (s *testServer) program(name string, args ...string) string {
	s.t.Helper()
	return s.runAs(filepath.Join(s.bin, name), args...)
}

// runAs runs a program as the servers' owner.
func (s *testServer) runAs(path string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME=/")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner.credential()}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%s: %s %s: %v\n%s", s.name, path, strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

// start starts the server as a person would.
func (s *testServer) start() {
	s.t.Helper()
	s.reaped()
	log := filepath.Join(filepath.Dir(s.dir), "log")
	s.program("pg_ctl", "start", "-w", "-t", "60", "-D", s.dir, "-l", log)
}

// reaped waits until a killed postmaster is no zombie any more: PostgreSQL would take it for alive, and not start.
func (s *testServer) reaped() {
	text, err := os.ReadFile(filepath.Join(s.dir, "postmaster.pid"))
	if err != nil {
		return
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = poll(ctx, 10*time.Millisecond, func() (bool, error) { return err != nil || syscall.Kill(pid, 0) != nil, nil })
}

// kill kills what is left of the server, and nothing else.
func (s *testServer) kill() {
	dir, err := process.Resolve(s.dir)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := process.Kill(ctx, dir, process.Options{}); err != nil {
		s.t.Error(err)
	}
}

// signal sends a process a signal.
func (s *testServer) signal(pid int, sig syscall.Signal) {
	s.t.Helper()
	s.must(syscall.Kill(pid, sig))
}

func (s *testServer) directory() process.Directory {
	s.t.Helper()
	dir, err := process.Resolve(s.dir)
	s.must(err)
	return dir
}

// address is where others reach the server.
func (s *testServer) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

func (s *testServer) upstream() watchdog.Upstream {
	return watchdog.Upstream{Name: s.name, Address: s.address()}
}

// config is what a sidecar would open the server with.
func (s *testServer) config() Config {
	return Config{Name: s.name, DataDir: s.dir, BinDir: s.bin, StateDir: s.state, Address: s.address(),
		Replication: "user=" + s.owner.name, Log: slog.New(slog.NewTextHandler(testWriter{s.t}, nil))}
}

// open opens the server as a sidecar does. It is closed when the test ends.
func (s *testServer) open() *Instance { return s.openWith(s.config()) }

func (s *testServer) openWith(config Config) *Instance {
	s.t.Helper()
	in, err := Open(s.context(), config)
	s.must(err)
	s.t.Cleanup(func() { _ = in.Close() })
	return in
}

// context ends with the test's patience.
func (s *testServer) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// connect opens a session over TCP.
func (s *testServer) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=postgres sslmode=disable", s.port, s.owner.name))
}

// exec runs statements on a session of their own.
func (s *testServer) exec(sql string) {
	s.t.Helper()
	ctx := s.context()
	conn, err := s.connect(ctx)
	s.must(err)
	defer conn.Close(ctx)
	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	s.must(err)
}

// value returns a query's one value as text; what went wrong instead of it.
func (s *testServer) value(sql string) string {
	ctx := s.context()
	conn, err := s.connect(ctx)
	if err != nil {
		return err.Error()
	}
	defer conn.Close(ctx)
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return err.Error()
	}
	if len(results) == 0 || len(results[0].Rows) == 0 {
		return ""
	}
	return string(results[0].Rows[0][0])
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := poll(ctx, 10*time.Millisecond, func() (bool, error) { return holds(), nil }); err != nil {
		t.Fatalf("never: %s", what)
	}
}

// observed polls until an observation shows what is wanted, and returns it.
func observed(t *testing.T, in *Instance, what string, holds func(s watchdog.Server, alive bool) bool) (last watchdog.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := poll(ctx, 10*time.Millisecond, func() (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		var alive bool
		last, alive = in.Observe(ctx)
		return holds(last, alive), nil
	})
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(in.config.StateDir, "postgres.log"))
		t.Fatalf("never observed: %s\nbut: %+v\nits log:\n%s", what, last, log[max(0, len(log)-3000):])
	}
	return last
}

// streams waits until the server streams from the primary given.
func streams(t *testing.T, in *Instance, from *testServer) watchdog.Server {
	t.Helper()
	return observed(t, in, "streams from "+from.name, func(s watchdog.Server, alive bool) bool {
		return alive && s.Role == watchdog.RoleStandby && s.Streaming && s.Upstream == from.address()
	})
}

// testWriter sends a log to the test.
type testWriter struct{ t *testing.T }

// Write logs a line.
func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

func itoa(n int) string { return strconv.Itoa(n) }
