package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is one process of a data directory, as a scan saw it.
type Process struct {
	PID    int
	Parent int
	State  byte   // as in /proc/<pid>/stat: R, S, D, T …
	Start  uint64 // in clock ticks since boot: with PID, it names this process and no later one
}

// stopped says whether it cannot react to anything but SIGKILL and SIGCONT.
func (p Process) stopped() bool { return p.State == 'T' || p.State == 't' }

// executables are the names under which PostgreSQL's server is installed.
var executables = map[string]bool{
	"postgres":          true,
	"postmaster":        true,
	"edb-postgres":      true,
	".postgres-wrapped": true, // Nix
}

// inspect looks at one pid. ok is false unless it is a live process of the directory.
func inspect(d Directory, pid int) (p Process, ok bool) {
	exe, err := readlink(pid, "exe")
	switch {
	case err == unix.ENOENT: // a kernel thread, a zombie, or a process that is about to be one and still frees its memory
		return inspectExiting(d, pid)
	case err != nil:
		return Process{}, false
	}
	exe = strings.TrimSuffix(exe, " (deleted)")
	if !executables[exe[strings.LastIndexByte(exe, '/')+1:]] {
		return Process{}, false
	}
	cwd, ok := link(pid, "cwd")
	if !ok || !d.holds(pid, cwd) {
		return Process{}, false
	}
	p, _, ok = stat(pid)
	return p, ok
}

// inspectExiting recognises a process that has let its executable go already, but not yet all that it shared.
func inspectExiting(d Directory, pid int) (Process, bool) {
	cwd, ok := link(pid, "cwd")
	if !ok || strings.TrimSuffix(cwd, " (deleted)") != d.path {
		return Process{}, false
	}
	p, comm, ok := stat(pid)
	return p, ok && executables[comm]
}

// stat reads /proc/<pid>/stat. ok is false for a process that is gone, or a zombie.
func stat(pid int) (p Process, comm string, ok bool) {
	data, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return Process{}, "", false
	}
	return parseStat(pid, data)
}

// Exists says whether pid is a live process that started at that time.
func Exists(pid int, start uint64) bool {
	p, _, ok := stat(pid)
	return ok && p.Start == start
}

// Start returns when the process pid was started, in clock ticks since boot.
func Start(pid int) (uint64, error) {
	p, _, ok := stat(pid)
	if !ok {
		return 0, fmt.Errorf("read start time of process %d: %w", pid, os.ErrProcessDone)
	}
	return p.Start, nil
}

func parseStat(pid int, data []byte) (p Process, comm string, ok bool) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return Process{}, "", false
	}
	fields := strings.Fields(string(data[end+1:])) // from the third on: state, parent …
	if len(fields) < 20 {
		return Process{}, "", false
	}
	p = Process{PID: pid, State: fields[0][0]}
	p.Parent, _ = strconv.Atoi(fields[1])
	p.Start, _ = strconv.ParseUint(fields[19], 10, 64)
	if p.State == 'Z' || p.State == 'X' || p.State == 'x' {
		return Process{}, "", false
	}
	return p, string(data[open+1 : end]), true
}

func procPath(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

func link(pid int, name string) (string, bool) {
	target, err := readlink(pid, name)
	return target, err == nil
}

func readlink(pid int, name string) (string, error) {
	var buf [unix.PathMax]byte
	for {
		n, err := unix.Readlink(procPath(pid, name), buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		return string(buf[:n]), nil
	}
}
