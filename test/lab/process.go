package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Process is one that the lab started and waits for.
type Process struct {
	PID    int
	Log    string
	exited chan struct{}
	err    error
}

// spawn starts a program as the servers' user, in a session of its own, its output in a file of the lab.
func (c *Cluster) spawn(name string, env []string, program string, args ...string) (*Process, error) {
	return c.spawnAs(c.as, name, env, program, args...)
}

// spawnAs starts it as another user, or as our own.
func (c *Cluster) spawnAs(as *syscall.Credential, name string, env []string, program string, args ...string) (*Process, error) {
	p := &Process{Log: filepath.Join(c.Dir, name+".log"), exited: make(chan struct{})}
	out, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.Dir, out, out
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.PID = cmd.Process.Pid
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// run runs one of PostgreSQL's programs as runPath does.
func (c *Cluster) run(program string, args ...string) error {
	return c.runPath(filepath.Join(c.options.BinDir, program), args...)
}

// runPath runs a program as the servers' user to its end. Its output stands in the error.
func (c *Cluster) runPath(program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as, Setsid: true}
	out, err := os.CreateTemp("", "pgvigil-lab-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out // a file: a daemon that inherits it keeps nobody waiting
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, said)
	}
	return nil
}

// Signal sends a signal to the process.
func (p *Process) Signal(s syscall.Signal) error {
	if !p.Running() {
		return errors.New("the fault did not hit: the process has ended")
	}
	return syscall.Kill(p.PID, s)
}

// Kill ends the process and waits for it.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	<-p.exited
	return err
}

// Stop asks the process to end, as systemd does, and waits until it has.
func (p *Process) Stop() error {
	err := p.Signal(syscall.SIGTERM)
	<-p.exited
	return err
}

// Running says whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// ExitCode is the process's, -1 while it runs or when a signal ended it.
func (p *Process) ExitCode() int {
	if p.Running() {
		return -1
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// Output is what the process has said.
func (p *Process) Output() string {
	said, _ := os.ReadFile(p.Log)
	return string(said)
}
