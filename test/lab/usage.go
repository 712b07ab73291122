package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the kernel's USER_HZ, which is 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// Usage is what processes have used.
type Usage struct {
	CPU time.Duration
	PSS int64 // bytes
}

// Usage of the node's sidecar and guard, as of now.
func (n *Node) Usage() (u Usage, err error) {
	pids := n.guardPIDs()
	if n.sidecar != nil {
		pids = append(pids, n.sidecar.PID)
	}
	for _, pid := range pids {
		cpu, pss, err := usageOf(pid)
		if err != nil {
			return Usage{}, err
		}
		u.CPU += cpu
		u.PSS += pss
	}
	return u, nil
}

func usageOf(pid int) (cpu time.Duration, pss int64, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0, 0, fmt.Errorf("process %d: %q", pid, stat)
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, 0, err
	}
	for _, line := range strings.Split(string(rollup), "\n") {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "Pss:" {
			kb, _ := strconv.ParseInt(words[1], 10, 64)
			pss = kb << 10
		}
	}
	return time.Duration(user+system) * clockTick, pss, nil
}
