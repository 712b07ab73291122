package guardian

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/pgctl/process"
	"github.com/pgvigil/pgvigil/test/ownbinary"
	"github.com/pgvigil/pgvigil/test/until"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/guard"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

var _ sidecar.Guard = (*guard.Guard)(nil)

const (
	patience = 20 * time.Second
	// lease is how long these sidecars arm their guard for, each time.
	lease = 600 * time.Millisecond
)

// TestMain is also the fake server, when it is linked to a file called postgres, and the sidecar, when told so. It is the guard's
// process by this package's own init.
func TestMain(m *testing.M) {
	exe, _ := os.Executable()
	switch {
	case filepath.Base(strings.TrimSuffix(exe, " (deleted)")) == "postgres":
		serve()
	case os.Getenv("PGVIGIL_TEST_SIDECAR") != "":
		watch(strings.Split(os.Getenv("PGVIGIL_TEST_SIDECAR"), "|"))
	default:
		os.Exit(m.Run())
	}
}

// serve is a postmaster with two backends, or one of them.
func serve() {
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT)
	if strings.HasPrefix(os.Args[0], "postgres:") {
		<-quit
		os.Exit(2)
	}
	var children []int
	for range 2 {
		pid, err := syscall.ForkExec("/proc/self/exe", []string{"postgres: app db [local] idle"}, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
		if err != nil {
			os.Exit(3)
		}
		children = append(children, pid)
	}
	fmt.Println("ready")
	<-quit
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	}
	os.Exit(0)
}

// watch is a sidecar: it ensures a guard, says which, and does what it is told, line by line.
func watch(args []string) {
	g, err := guard.New(guard.Options{DataDir: args[0], StateDir: args[1]})
	pid, _ := strconv.Atoi(args[2])
	for lines := bufio.NewScanner(os.Stdin); err == nil && lines.Scan(); {
		switch lines.Text() {
		case "ensure":
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			err = g.Ensure(ctx, pid)
			cancel()
		case "arm":
			err = g.Arm(now().Add(lease))
		case "disarm":
			err = g.Disarm()
		}
		s, _ := g.Status()
		fmt.Println(s.PID, int64(s.Deadline))
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func now() watchdog.Instant {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return watchdog.Instant(ts.Nano())
}

// host is a data directory with a fake server, and where its sidecars keep their state.
type host struct {
	dir    process.Directory
	state  string
	server *exec.Cmd
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{state: t.TempDir()}
	var err error
	if h.dir, err = process.Resolve(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	h.server = exec.Command(ownbinary.Linked(t, "postgres"))
	h.server.Dir = h.dir.Path()
	h.server.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	out, err := h.server.StdoutPipe()
	if err == nil {
		err = h.server.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := process.Kill(ctx, h.dir, process.Options{}); err != nil {
			t.Error(err)
		}
		_ = h.server.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	until.Holds(t, "the server runs", h.runs)
	return h
}

func (h *host) runs() bool { return len(process.Find(h.dir)) == 3 }

// fenced waits until nothing of the server is left, and says how long after the deadline that was.
func (h *host) fenced(t *testing.T, deadline watchdog.Instant) {
	t.Helper()
	until.Holds(t, "the server is fenced", func() bool { return process.Gone(h.dir) })
	took := now().Since(deadline)
	t.Logf("seen fenced %s after the deadline", took)
	if took < 0 {
		t.Errorf("fenced %s early", -took)
	}
}

// sidecarOf is a sidecar's process.
type sidecarOf struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (h *host) sidecar(t *testing.T, program string) *sidecarOf {
	t.Helper()
	s := &sidecarOf{Cmd: exec.Command(program)}
	s.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0",
		fmt.Sprintf("PGVIGIL_TEST_SIDECAR=%s|%s|%d", h.dir.Path(), h.state, h.server.Process.Pid))
	var err error
	if s.in, err = s.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out = bufio.NewReader(out)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Process.Kill(); _ = s.Wait() })
	return s
}

// say gives the sidecar an order, and returns its guard and that guard's deadline.
func (s *sidecarOf) say(t *testing.T, order string) (guard int, deadline watchdog.Instant) {
	t.Helper()
	_, _ = io.WriteString(s.in, order+"\n")
	line, err := s.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %q %v", order, line, err)
	}
	if _, err := fmt.Sscan(line, &guard, &deadline); err != nil {
		t.Fatalf("%s: %s", order, line)
	}
	return guard, deadline
}

func ended(t *testing.T, pid int) {
	t.Helper()
	until.Holds(t, "the guard has ended", func() bool { _, err := process.Start(pid); return err != nil })
}

func TestTheServerIsFencedWhateverBecomesOfTheSidecar(t *testing.T) {
	signal := func(sig syscall.Signal) func(*testing.T, *host, *sidecarOf) {
		return func(t *testing.T, _ *host, s *sidecarOf) {
			if err := s.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, fault := range map[string]func(*testing.T, *host, *sidecarOf){
		"the sidecar is killed":  signal(syscall.SIGKILL),
		"the sidecar is stopped": signal(syscall.SIGSTOP),
		"the sidecar and its process group are hung up on": func(t *testing.T, h *host, s *sidecarOf) {
			signal(syscall.SIGHUP)(t, h, s)
		},
		"the sidecar is killed, and the postmaster stopped": func(t *testing.T, h *host, s *sidecarOf) {
			signal(syscall.SIGKILL)(t, h, s)
			if err := h.server.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		},
		"the sidecar is killed, and the postmaster dead before": func(t *testing.T, h *host, s *sidecarOf) {
			if err := h.server.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			until.Holds(t, "two backends are left behind", func() bool { return len(process.Find(h.dir)) == 2 })
			signal(syscall.SIGKILL)(t, h, s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			s := h.sidecar(t, "/proc/self/exe")
			g, _ := s.say(t, "ensure")
			_, deadline := s.say(t, "arm")
			fault(t, h, s)
			h.fenced(t, deadline)
			ended(t, g)
			log, _ := os.ReadFile(filepath.Join(h.state, "guard.log"))
			t.Logf("%s", log)
		})
	}
}

func TestASecondSidecarTakesTheGuardBackAndTheServerGoesOn(t *testing.T) {
	h := newHost(t)
	first := h.sidecar(t, "/proc/self/exe")
	g, _ := first.say(t, "ensure")
	_, deadline := first.say(t, "arm")
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	second := h.sidecar(t, "/proc/self/exe")
	if again, until := second.say(t, "ensure"); again != g || until != deadline {
		t.Fatalf("took guard %d until %d, want %d until %d", again, until, g, deadline)
	}
	for deadline := deadline.Add(2 * lease); now() < deadline; {
		second.say(t, "arm")
	}
	if !h.runs() {
		t.Fatalf("left of the server: %v", process.Find(h.dir))
	}
	second.say(t, "disarm")
	if err := second.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ended(t, g) // nobody is there to arm it
	if !h.runs() {
		t.Fatalf("left of the server: %v", process.Find(h.dir))
	}
}

func TestADisarmedGuardEndsWithItsSidecar(t *testing.T) {
	h := newHost(t)
	s := h.sidecar(t, "/proc/self/exe")
	g, _ := s.say(t, "ensure")
	_ = s.in.Close()
	_ = s.Wait()
	ended(t, g)
	if !h.runs() {
		t.Fatalf("left of the server: %v", process.Find(h.dir))
	}
}

// What the guard's process needs is initialised before it begins, and so is whatever else is ready by then and has a lesser
// import path. One import of runtime/debug brought all of protobuf with it (see doc.go).
func TestWhatTheGuardImportsLetsItBeginEarly(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skipf("no go command: %v", err)
	}
	late := map[string]bool{"log/slog": true, "net": true, "runtime/debug": true, "path/filepath": true, "regexp": true, "os/exec": true, "text/template": true}
	for pkg := range strings.FieldsSeq(string(out)) {
		ours := strings.HasPrefix(pkg, "github.com/pgvigil/pgvigil/")
		if late[pkg] || strings.Contains(pkg, ".") && !ours && pkg != "golang.org/x/sys/unix" {
			t.Errorf("it imports %s", pkg)
		}
	}
}

func TestAnUpgradeOfTheBinaryDoesNotMatter(t *testing.T) {
	h := newHost(t)
	program := ownbinary.Linked(t, "pgvigil")
	s := h.sidecar(t, program)
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	g, _ := s.say(t, "ensure")
	_, deadline := s.say(t, "arm")
	if err := s.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	h.fenced(t, deadline)
	ended(t, g)
}

func TestTheGuardIsInASessionOfItsOwnAndHoldsNothingOfTheSidecars(t *testing.T) {
	h := newHost(t)
	s := h.sidecar(t, "/proc/self/exe")
	g, _ := s.say(t, "ensure")
	if sid, err := unix.Getsid(g); err != nil || sid != g {
		t.Errorf("session %d %v, want its own, %d", sid, err, g)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", g, fd.Name()))
		if n, _ := strconv.Atoi(fd.Name()); n <= 2 && target != os.DevNull && target != filepath.Join(h.state, "guard.log") {
			t.Errorf("descriptor %s is %s", fd.Name(), target)
		}
	}
	if cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", g)); cwd != "/" {
		t.Errorf("works in %s", cwd)
	}
	for _, name := range []string{"comm", "cmdline", "smaps_rollup"} {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", g, name))
		t.Logf("%s: %s", name, strings.ReplaceAll(string(data), "\x00", " "))
	}
}
