package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pgvigil/pgvigil/test/freeport"
)

var errMissed = errors.New("the fault did not hit")

// postmaster is the pid in postmaster.pid, if a process of the data directory has it.
func (n *Node) postmaster() (int, error) {
	text, err := os.ReadFile(filepath.Join(n.DataDir(), "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("%w: %s has no server: %w", errMissed, n.Name, err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || !slices.Contains(n.serverPIDs(), pid) {
		return 0, fmt.Errorf("%w: %s has no running server", errMissed, n.Name)
	}
	return pid, nil
}

// serverPIDs are the processes whose working directory is the data directory.
func (n *Node) serverPIDs() []int {
	return pidsWhere(func(proc string) bool {
		cwd, err := os.Readlink(filepath.Join(proc, "cwd"))
		return err == nil && cwd == n.DataDir() && !zombie(proc)
	})
}

// guardPIDs are the guards of this node's data directory.
func (n *Node) guardPIDs() []int {
	return pidsWhere(func(proc string) bool {
		cmdline, err := os.ReadFile(filepath.Join(proc, "cmdline"))
		args := strings.Split(string(cmdline), "\x00")
		return err == nil && len(args) > 2 && args[1] == "guard-process" && slices.ContainsFunc(args, func(a string) bool {
			return a == n.DataDir() || strings.HasSuffix(a, "="+n.DataDir())
		})
	})
}

func pidsWhere(is func(proc string) bool) (pids []int) {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		if pid, err := strconv.Atoi(filepath.Base(proc)); err == nil && is(proc) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Alive says whether the process is there and no zombie.
func Alive(pid int) bool { return !zombie(fmt.Sprintf("/proc/%d", pid)) }

func zombie(proc string) bool {
	stat, err := os.ReadFile(filepath.Join(proc, "stat"))
	_, after, found := strings.Cut(string(stat), ") ")
	return err != nil || found && strings.HasPrefix(after, "Z")
}

func (n *Node) signalPostmaster(s syscall.Signal) error {
	pid, err := n.postmaster()
	if err != nil {
		return err
	}
	return syscall.Kill(pid, s)
}

// KillPostmaster sends SIGKILL to the postmaster alone.
func (n *Node) KillPostmaster() error { return n.signalPostmaster(syscall.SIGKILL) }

// StopPostmaster stops the postmaster alone: open sessions go on, new ones hang.
func (n *Node) StopPostmaster() error { return n.signalPostmaster(syscall.SIGSTOP) }

// StopImmediately is a DBA's pg_ctl stop -m immediate.
func (n *Node) StopImmediately() error {
	return n.run("pg_ctl", "-D", n.DataDir(), "-s", "-m", "immediate", "stop")
}

// everything is the node as a host: server, sidecar and guard.
func (n *Node) everything() []int {
	pids := append(n.serverPIDs(), n.guardPIDs()...)
	if n.sidecar != nil && n.sidecar.Running() {
		pids = append(pids, n.sidecar.PID)
	}
	return pids
}

// FreezeHost stops server, sidecar and guard at once, until no new process of theirs is found.
func (n *Node) FreezeHost() error {
	frozen := map[int]bool{}
	for {
		fresh := false
		for _, pid := range n.everything() {
			if !frozen[pid] && syscall.Kill(pid, syscall.SIGSTOP) == nil {
				frozen[pid], fresh = true, true
			}
		}
		if !fresh {
			break
		}
	}
	if len(frozen) < 3 {
		return fmt.Errorf("%w: only %d processes of %s were found", errMissed, len(frozen), n.Name)
	}
	return nil
}

// ThawHost lets them all go on.
func (n *Node) ThawHost() error {
	pids := n.everything()
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	if len(pids) == 0 {
		return fmt.Errorf("%w: nothing of %s is left", errMissed, n.Name)
	}
	return nil
}

// Switchover asks for a switchover away from the node, by the command, and waits for its outcome.
func (n *Node) Switchover() error {
	said, err := n.Command("switchover", "--yes")
	if err != nil {
		return fmt.Errorf("switchover: %w: %s", err, said)
	}
	return nil
}

// Command runs one of pgvigil's commands on the cluster, and returns what it says.
func (c *Cluster) Command(command string, args ...string) (said string, err error) {
	return c.CommandThrough(strings.Join(c.Endpoints(), ","), command, args...)
}

// CommandThrough is Command for a client that knows these endpoints of etcd.
func (c *Cluster) CommandThrough(endpoints, command string, args ...string) (said string, err error) {
	args = append([]string{command, "--cluster", Name, "--etcd", endpoints}, args...)
	out, err := exec.Command(c.program(), args...).CombinedOutput()
	return string(out), err
}

// Guards are the pids of the node's guards.
func (n *Node) Guards() []int { return n.guardPIDs() }

// KillGuards ends the node's guards.
func (n *Node) KillGuards() error {
	pids := n.guardPIDs()
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if len(pids) == 0 {
		return fmt.Errorf("%w: %s has no guard", errMissed, n.Name)
	}
	return nil
}

// KillBackend ends a session's backend as the kernel's memory killer does: PostgreSQL then restarts itself.
func (n *Node) KillBackend(ctx context.Context) error {
	conn, err := n.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return syscall.Kill(int(conn.PgConn().PID()), syscall.SIGKILL)
}

// SignalTitled signals the server's processes whose title holds the words, such as "walreceiver".
func (n *Node) SignalTitled(words string, s syscall.Signal) error {
	hit := false
	for _, pid := range n.serverPIDs() {
		title, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(string(title), words) {
			hit = syscall.Kill(pid, s) == nil || hit
		}
	}
	if !hit {
		return fmt.Errorf("%w: no %q on %s", errMissed, words, n.Name)
	}
	return nil
}

// killAll ends whatever is left of the node.
func (n *Node) killAll() {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		pids := n.everything()
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// ServerGone says whether no process of the data directory is left.
func (n *Node) ServerGone() bool { return len(n.serverPIDs()) == 0 }

// Impostor starts a sidecar beside b's server, with a state of its own, under a's name.
func (c *Cluster) Impostor(a, b *Node) (*Process, error) {
	fake := *b
	var err error
	if fake.APIPort, err = freeport.Take(); err != nil {
		return nil, err
	}
	text := strings.Replace(fake.config(), "name: "+b.Name+"\n", "name: "+a.Name+"\nstate_dir: "+c.Dir+"/impostor\n", 1)
	file := filepath.Join(c.Dir, "impostor.yml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return c.spawn("impostor", nil, c.program(), "run", "-c", file)
}

// Misconfigured starts a second sidecar for n with one line of its configuration replaced, under a name of its own.
func (c *Cluster) Misconfigured(n *Node, old, replacement string) (*Process, error) {
	fake := *n
	var err error
	if fake.APIPort, err = freeport.Take(); err != nil {
		return nil, err
	}
	text := strings.Replace(fake.config(), "name: "+n.Name+"\n", "name: other\nstate_dir: "+c.Dir+"/misconfigured\n", 1)
	if !strings.Contains(text, old) {
		return nil, fmt.Errorf("%w: no %q in the configuration", errMissed, old)
	}
	file := filepath.Join(c.Dir, "misconfigured.yml")
	if err := os.WriteFile(file, []byte(strings.Replace(text, old, replacement, 1)), 0o644); err != nil {
		return nil, err
	}
	return c.spawn("misconfigured", nil, c.program(), "run", "-c", file)
}
