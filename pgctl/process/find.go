package process

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// Find returns every live process of the directory, those that no other of them has forked first: the postmaster, or the
// backends that it has left behind.
func Find(d Directory) []Process {
	var found []Process
	for _, pid := range pids() {
		if p, ok := inspect(d, pid); ok {
			found = append(found, p)
		}
	}
	return rootsFirst(found)
}

// Gone says whether no live process of the directory is left.
func Gone(d Directory) bool { return len(Find(d)) == 0 }

// Postmaster returns the postmaster of the directory, if one lives. It asks the process table alone: the postmaster is the
// process that the others were forked by or, while there is no other, one that does not bear a backend's title.
func Postmaster(d Directory) (pid int, ok bool) {
	p, ok := postmaster(Find(d))
	return p.PID, ok
}

// PIDFile returns the pid that postmaster.pid names, if that is a live process of the directory. It reads a file of the data
// directory, and waits for as long as the storage does.
func PIDFile(d Directory) (pid int, ok bool) {
	data, err := os.ReadFile(d.path + "/postmaster.pid")
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(data), "\n")
	pid, err = strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 0 { // negative: a server in single-user mode
		return 0, false
	}
	if _, ok = inspect(d, pid); !ok || !untitled(pid) {
		return 0, false
	}
	return pid, true
}

func postmaster(found []Process) (Process, bool) {
	if len(found) > 0 && forked(found) {
		return found[0], true
	}
	for _, p := range found {
		if untitled(p.PID) {
			return p, true
		}
	}
	return Process{}, false
}

// forked says whether the first of found has forked others of them.
func forked(found []Process) bool {
	return slices.ContainsFunc(found, func(p Process) bool { return p.Parent == found[0].PID })
}

// rootsFirst sorts: who has forked others of found and was forked by none, then who was forked by none, then the rest.
func rootsFirst(found []Process) []Process {
	rank := make(map[int]int, len(found))
	for _, p := range found {
		rank[p.PID] = 1
	}
	for _, p := range found {
		if _, has := rank[p.Parent]; has {
			rank[p.PID] = 2
		}
	}
	for _, p := range found {
		if rank[p.Parent] == 1 {
			rank[p.Parent] = -1
		}
	}
	slices.SortStableFunc(found, func(a, b Process) int { return rank[a.PID] - rank[b.PID] })
	return found
}

// pids lists the process table.
func pids() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	list := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			list = append(list, pid)
		}
	}
	return list
}
