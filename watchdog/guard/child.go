package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// ackBound is how long a living guard may take to see what it is woken for.
	ackBound = 250 * time.Millisecond
	// waitSlice bounds one wait for its memory to change, after which it is asked whether the guard still lives.
	waitSlice = 10 * time.Millisecond
	// exitTick is how often a guard without a pidfd (before Linux 5.3) is asked whether it lives.
	exitTick = 20 * time.Millisecond
)

// child is a guard's process as the sidecar holds it, started by itself or by the process before it.
type child struct {
	pid        int
	start      uint64
	dataDir    string
	postmaster int
	addresses  []Address
	memory     *memory
	wake       *waker
	exited     chan struct{}
}

// launch starts a guard. The process is disarmed, and ends with us for as long as it is.
func launch(o Options, postmaster int) (*child, error) {
	m, page, err := newMemory()
	if err != nil {
		return nil, err
	}
	defer page.Close()
	m.keeper.Store(int64(os.Getpid()))
	c := &child{dataDir: o.DataDir, postmaster: postmaster, addresses: o.Addresses, memory: m, exited: make(chan struct{})}
	pipe, err := newWake()
	if err != nil {
		return nil, errors.Join(err, m.unmap())
	}
	pidfd, err := c.exec(o, int(page.Fd()), pipe)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start guard: %w", err), unix.Close(pipe), m.unmap())
	}
	c.wake = newWaker(pipe)
	c.start, _ = startTime(c.pid)
	c.watch(pidfd)
	return c, nil
}

// exec runs the program, which may have been replaced on disk since, in a session of its own.
func (c *child) exec(o Options, page, pipe int) (pidfd int, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return -1, err
	}
	defer null.Close()
	out := null
	if journal, err := os.OpenFile(o.journalFile(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err == nil {
		defer journal.Close()
		out = journal
	}
	// A small heap and one processor are enough. The variables say so before the runtime begins.
	argv := []string{"pgvigil", Command, o.DataDir, strconv.Itoa(c.postmaster)}
	var rights []uintptr
	for _, a := range o.Addresses {
		argv, rights = append(argv, a.String()), []uintptr{unix.CAP_NET_ADMIN}
	}
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1", "GOGC=20", "PATH=" + os.Getenv("PATH")},
		Files: []uintptr{null.Fd(), out.Fd(), out.Fd(), memoryFD: uintptr(page), wakeFD: uintptr(pipe)},
		Sys:   &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd, AmbientCaps: rights},
	}
	pidfd = -1
	c.pid, err = syscall.ForkExec(o.Program, argv, attr)
	return pidfd, err
}

// adopt finds a guard that an earlier sidecar has started.
func adopt(g known) (*child, error) {
	pidfd, err := unix.PidfdOpen(g.PID, 0)
	if err != nil && err != unix.ENOSYS {
		return nil, fmt.Errorf("adopt guard %d: %w", g.PID, err)
	}
	start, ok := startTime(g.PID)
	if !ok || start != g.Start {
		return nil, errors.Join(fmt.Errorf("adopt guard %d: %w", g.PID, os.ErrProcessDone), closeFD(pidfd))
	}
	c := &child{pid: g.PID, start: g.Start, dataDir: g.DataDir, postmaster: g.Postmaster, exited: make(chan struct{})}
	for _, text := range g.Addresses {
		a, err := parseAddress(text)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("adopt guard %d: %w", g.PID, err), closeFD(pidfd))
		}
		c.addresses = append(c.addresses, a)
	}
	if c.memory, err = openMemory(g.PID); err != nil {
		return nil, errors.Join(err, closeFD(pidfd))
	}
	pipe, err := openWake(fdPath(g.PID, wakeFD))
	if err != nil {
		return nil, errors.Join(err, c.memory.unmap(), closeFD(pidfd))
	}
	c.wake = newWaker(pipe)
	c.memory.keeper.Store(int64(os.Getpid()))
	c.wake.wake()
	c.watch(pidfd)
	return c, nil
}

// watch closes exited when the process is gone, and reaps it if it is ours.
func (c *child) watch(pidfd int) {
	var f *os.File
	if pidfd >= 0 {
		_ = unix.SetNonblock(pidfd, true) // into the runtime's poller, where a wait costs no thread
		f = os.NewFile(uintptr(pidfd), "pidfd")
	}
	go func() {
		if f == nil || !awaitExit(f) {
			c.pollExit()
		}
		if f != nil {
			_ = f.Close()
		}
		_ = c.wake.close()
		_, _ = unix.Wait4(c.pid, nil, unix.WNOHANG, nil)
		close(c.exited)
	}()
}

func awaitExit(pidfd *os.File) bool {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return false
	}
	return raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		return err == nil && n > 0
	}) == nil
}

func (c *child) pollExit() {
	tick := time.NewTicker(exitTick)
	defer tick.Stop()
	for range tick.C {
		if start, ok := startTime(c.pid); !ok || start != c.start {
			return
		}
	}
}

func (c *child) gone() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// usable says whether it can be armed.
func (c *child) usable() bool {
	deadline := c.memory.deadline.Load()
	return !c.gone() && c.memory.ready.Load() != 0 && deadline != fired && deadline != ended
}

// await waits until the guard has made it so.
func (c *child) await(ctx context.Context, so func() bool) error {
	for {
		seen := c.memory.change.Load()
		switch {
		case so():
			return nil
		case c.gone():
			return fmt.Errorf("guard %d has exited: %w", c.pid, ErrNone)
		case ctx.Err() != nil:
			return fmt.Errorf("guard %d: %w: %w", c.pid, ErrUnresponsive, ctx.Err())
		}
		c.memory.await(seen, waitSlice)
	}
}

// arm stores the deadline and, where the guard must know of it at once, waits until it does.
func (c *child) arm(deadline int64) error {
	before, err := c.store(deadline)
	if err != nil {
		return fmt.Errorf("arm guard %d: %w", c.pid, err)
	}
	timer := c.memory.timer.Load()
	overslept := int64(boottime()) > timer+int64(ackBound)
	if before != disarmed && timer != 0 && timer <= deadline && !overslept {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), ackBound)
	defer cancel()
	c.wake.wake()
	err = c.await(ctx, func() bool {
		return c.memory.timer.Load() == deadline || c.memory.deadline.Load() == fired
	})
	if err == nil && c.memory.deadline.Load() == fired {
		err = ErrFired
	}
	if err != nil && before == disarmed {
		c.memory.deadline.CompareAndSwap(deadline, disarmed) // it did not take it, so it is not to wake up to it either
	}
	if err != nil {
		return fmt.Errorf("arm guard %d: %w", c.pid, err)
	}
	return nil
}

// store puts a deadline in the place of the one before, unless that has been fired.
func (c *child) store(deadline int64) (before int64, err error) {
	for {
		before = c.memory.deadline.Load()
		switch {
		case before == fired:
			return before, ErrFired
		case before == ended || c.gone():
			return before, ErrNone
		case c.memory.deadline.CompareAndSwap(before, deadline):
			return before, nil
		}
	}
}

func (c *child) disarm() {
	for {
		before := c.memory.deadline.Load()
		if before <= 0 || c.memory.deadline.CompareAndSwap(before, disarmed) {
			c.wake.wake()
			return
		}
	}
}

// dismiss lets the guard go, whatever its deadline.
func (c *child) dismiss() {
	c.memory.end.Store(1)
	c.wake.wake()
}

// carry arms c with what before was armed with, so that before can be let go.
func (c *child) carry(before *child) error {
	for {
		deadline := before.memory.deadline.Load()
		if deadline <= 0 || before.gone() {
			return nil
		}
		if err := c.arm(max(deadline, c.memory.deadline.Load())); err != nil {
			return err
		}
		if before.memory.deadline.Load() == deadline {
			return nil
		}
	}
}

func (c *child) status() Status {
	s := c.memory.status()
	s.PID, s.Postmaster = c.pid, c.postmaster
	return s
}

// startTime tells a process from a later one with its pid. ok is false for a process that is gone, or a zombie.
func startTime(pid int) (ticks uint64, ok bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 || bytes.ContainsAny(fields[0], "ZXx") {
		return 0, false
	}
	ticks, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return ticks, err == nil
}

func closeFD(fd int) error {
	if fd < 0 {
		return nil
	}
	return unix.Close(fd)
}
