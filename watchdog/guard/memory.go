package guard

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/watchdog"
)

const (
	memoryName = "pgvigil-guard"
	memorySize = 4096
	magic      = 0x70677669_67696c01

	// What the deadline can be other than an instant.
	disarmed = 0
	fired    = -1
	ended    = -2
)

// memory is the page that both ends map. Words are only ever added at its end.
type memory struct {
	magic    atomic.Uint64
	deadline atomic.Int64  // an instant, or one of the above
	timer    atomic.Int64  // the instant until which the guard sleeps, 0: until it is woken. Never later than deadline
	keeper   atomic.Int64  // pid of the sidecar that feeds it
	end      atomic.Int64  // 1: the guard is to end, armed or not, unless it has fired
	change   atomic.Uint32 // grows with every change by the guard; a futex
	_        uint32
	ready    atomic.Int64 // instant at which the guard was ready
	firedAt  atomic.Int64 // instant at which it began to fence
	fencedAt atomic.Int64 // instant at which no process was left
	orphaned atomic.Int64 // 1: the postmaster that it was started for has exited
	rights   atomic.Int64 // what it was allowed: see the constants
	failures atomic.Int64 // how often fencing came to an end with processes left
}

const (
	rightMemory = 1 << iota
	rightScheduler
	rightNice
	rightOOM
)

// newMemory makes the page, and returns the file that a guard inherits.
func newMemory() (*memory, *os.File, error) {
	fd, err := unix.MemfdCreate(memoryName, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, nil, fmt.Errorf("create the guard's memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), memoryName)
	if err := f.Truncate(memorySize); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("create the guard's memory: %w", err), f.Close())
	}
	_, _ = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	m, err := mapMemory(f)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	m.magic.Store(magic)
	return m, f, nil
}

// openMemory maps the page of a living guard.
func openMemory(pid int) (*memory, error) {
	path := fdPath(pid, memoryFD)
	name, err := os.Readlink(path)
	if err != nil {
		return nil, fmt.Errorf("find the memory of guard %d: %w", pid, err)
	}
	if !strings.HasPrefix(name, "/memfd:"+memoryName) {
		return nil, fmt.Errorf("find the memory of guard %d: %s is %s", pid, path, name)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open the memory of guard %d: %w", pid, err)
	}
	defer f.Close()
	m, err := mapMemory(f)
	if err != nil {
		return nil, err
	}
	if m.magic.Load() != magic {
		return nil, errors.Join(fmt.Errorf("memory of guard %d is of another kind", pid), m.unmap())
	}
	return m, nil
}

func mapMemory(f *os.File) (*memory, error) {
	page, err := unix.MmapPtr(int(f.Fd()), 0, nil, memorySize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the guard's memory: %w", err)
	}
	return (*memory)(page), nil
}

// unmap lets the page go. Only where nobody else can have seen m: the page of a guard that was in use stays mapped, at 4 KiB
// for each start of a postmaster, so that no late reader of it can crash the sidecar.
func (m *memory) unmap() error { return unix.MunmapPtr(unsafe.Pointer(m), memorySize) }

// changed tells the other end that something was.
func (m *memory) changed() {
	m.change.Add(1)
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&m.change)), futexWake, math.MaxInt32, 0, 0, 0)
}

// await waits for the guard to change something, for at most that long, unless it has since seen.
func (m *memory) await(seen uint32, most time.Duration) {
	timeout := unix.NsecToTimespec(most.Nanoseconds())
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&m.change)), futexWait, uintptr(seen), uintptr(unsafe.Pointer(&timeout)), 0, 0)
}

const (
	futexWait = 0
	futexWake = 1
)

// boottime reads the clock that deadlines are on.
func boottime() watchdog.Instant {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		panic(fmt.Sprintf("read CLOCK_BOOTTIME: %v", err)) // it exists since Linux 2.6.39 and cannot fail
	}
	return watchdog.Instant(now.Nano())
}
