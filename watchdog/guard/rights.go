package guard

import (
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// takeRights locks the memory, raises the priority and exempts the process from the kernel's out-of-memory killer, as far as
// it is allowed to, and returns how far that was.
func takeRights() int64 {
	var rights int64
	if lockMemory() {
		rights |= rightMemory
	}
	if os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0) == nil {
		rights |= rightOOM
	}
	// Both are a thread's. Threads yet to come inherit them from the one that starts them.
	fifo, nice := true, true
	for _, tid := range threads() {
		fifo = unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0) == nil && fifo
		nice = unix.Setpriority(unix.PRIO_PROCESS, tid, -20) == nil && nice
	}
	if fifo {
		rights |= rightScheduler
	}
	if nice {
		rights |= rightNice
	}
	return rights
}

// lockMemory keeps every page that the process has touched or touches from being paged out. Under a limit, locking what is yet
// to be mapped would one day fail the runtime's own mappings and so end the guard: there only what is mapped is locked.
func lockMemory() bool {
	flags := unix.MCL_CURRENT | unix.MCL_ONFAULT
	if unlimited() {
		flags |= unix.MCL_FUTURE
	}
	return unix.Mlockall(flags) == nil
}

// unlimited says whether any amount of memory may be locked, by right or by limit.
func unlimited() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_IPC_LOCK) != 0 {
		return true
	}
	var limit unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) == nil && limit.Cur == unix.RLIM_INFINITY
}

func threads() []int {
	dir, err := os.Open("/proc/self/task")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var tids []int
	for _, name := range names {
		if tid, err := strconv.Atoi(name); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids
}

// nameProcess makes ps and top show what this is: executed through /proc/self/exe, it would be called "exe".
func nameProcess() {
	name := [16]byte{}
	copy(name[:15], "pgvigil-guard")
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0)
}
