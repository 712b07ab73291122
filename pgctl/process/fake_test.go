package process

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/test/ownbinary"
	"github.com/pgvigil/pgvigil/test/until"
)

// patience bounds every wait of these tests, which share two cores with much else.
const patience = 20 * time.Second

// TestMain is also the server of these tests: the test binary, linked to a file called postgres.
func TestMain(m *testing.M) {
	if exe, err := os.Executable(); err != nil || filepath.Base(exe) != "postgres" {
		os.Exit(m.Run())
	}
	serve()
}

// serve is a postmaster with n children, or one of them.
func serve() {
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT)
	if len(os.Args) < 3 {
		<-quit
		os.Exit(2)
	}
	if os.Args[1] == "deaf" {
		signal.Ignore(syscall.SIGQUIT)
	}
	n, _ := strconv.Atoi(os.Args[2])
	var children []int
	for range n {
		pid, err := syscall.ForkExec("/proc/self/exe", []string{"postgres: " + os.Args[1]}, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
		if err != nil {
			os.Exit(3)
		}
		children = append(children, pid)
	}
	_, _ = io.WriteString(os.Stdout, "ready\n")
	<-quit
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	}
	os.Exit(0)
}

// server is a fake one under test.
type server struct {
	*exec.Cmd
	dir Directory
}

// start runs a fake server with n children in a new directory. Whatever is left of it is killed when the test ends.
func start(t *testing.T, kind string, n int) *server {
	t.Helper()
	return startIn(t, t.TempDir(), kind, n)
}

func startIn(t *testing.T, dataDir, kind string, n int) *server {
	t.Helper()
	dir, err := Resolve(dataDir)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(ownbinary.Linked(t, "postgres"), kind, strconv.Itoa(n))
	cmd.Dir = dataDir
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &server{Cmd: cmd, dir: dir}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		for _, p := range Find(dir) {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
		_ = cmd.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("fake server: %v", err)
	}
	until.Holds(t, "all children run", func() bool { return len(Find(dir)) == n+1 })
	return s
}

// kill ends the postmaster alone, and leaves it a zombie.
func (s *server) kill(t *testing.T) {
	t.Helper()
	h, err := Open(s.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-h.Exited():
	case <-time.After(patience):
		t.Fatal("the postmaster outlived SIGKILL")
	}
}
