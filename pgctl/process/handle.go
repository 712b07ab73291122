package process

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// goneTick is how often a kernel without pidfds (before 5.3) is asked whether a process lives.
const goneTick = 5 * time.Millisecond

// Handle is hold of one process: what is done through it reaches that process or, once it is gone, none.
type Handle struct {
	pid   int
	start uint64
	fd    *os.File // a pidfd; nil where the kernel has none

	watch  sync.Once
	exited chan struct{}
	close  sync.Once
	closed chan struct{}
}

// Open takes hold of the process pid, whatever it is. It fails with os.ErrProcessDone when there is none.
func Open(pid int) (*Handle, error) {
	h := &Handle{pid: pid, exited: make(chan struct{}), closed: make(chan struct{})}
	fd, err := openPIDFD(pid)
	switch {
	case err == nil:
		// In the runtime's poller a waiting goroutine costs no thread. That takes the flag, which the kernel minds only in waitid.
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, errors.Join(fmt.Errorf("open process %d: %w", pid, err), unix.Close(fd))
		}
		h.fd = os.NewFile(uintptr(fd), "pidfd")
	case err == unix.ESRCH:
		return nil, fmt.Errorf("open process %d: %w", pid, os.ErrProcessDone)
	case err != unix.ENOSYS && err != unix.EPERM:
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	p, _, ok := stat(pid)
	if !ok {
		_ = h.Close()
		return nil, fmt.Errorf("open process %d: %w", pid, os.ErrProcessDone)
	}
	h.start = p.Start
	return h, nil
}

func openPIDFD(pid int) (int, error) {
	for {
		if fd, err := unix.PidfdOpen(pid, 0); err != unix.EINTR {
			return fd, err
		}
	}
}

// PID is the process's.
func (h *Handle) PID() int { return h.pid }

// Alive says whether the process has not exited yet.
func (h *Handle) Alive() bool {
	if h.fd != nil {
		alive := false
		if h.control(func(fd uintptr) error { alive = !readable(int(fd)); return nil }) == nil {
			return alive
		}
	}
	return Exists(h.pid, h.start)
}

// Exited returns a channel that is closed when the process has exited, a zombie or gone. After Close it stays as it is.
func (h *Handle) Exited() <-chan struct{} {
	h.watch.Do(func() { go h.await() })
	return h.exited
}

func (h *Handle) await() {
	if h.awaitPIDFD() {
		close(h.exited)
		return
	}
	tick := time.NewTicker(goneTick)
	defer tick.Stop()
	for {
		select {
		case <-h.closed:
			return
		case <-tick.C:
		}
		if !h.Alive() {
			close(h.exited)
			return
		}
	}
}

// awaitPIDFD waits in the runtime's poller. It returns false when that cannot be done, or the handle was closed.
func (h *Handle) awaitPIDFD() bool {
	if h.fd == nil {
		return false
	}
	raw, err := h.fd.SyscallConn()
	if err != nil {
		return false
	}
	return raw.Read(func(fd uintptr) bool { return readable(int(fd)) }) == nil
}

// Signal sends a signal. os.ErrProcessDone when the process is gone.
func (h *Handle) Signal(sig syscall.Signal) error {
	err := h.signal(sig)
	if err == unix.ESRCH {
		err = os.ErrProcessDone
	}
	if err != nil {
		return fmt.Errorf("signal %s to process %d: %w", sig, h.pid, err)
	}
	return nil
}

func (h *Handle) signal(sig syscall.Signal) error {
	if h.fd != nil {
		return h.control(func(fd uintptr) error { return unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	}
	if !h.Alive() {
		return unix.ESRCH
	}
	return unix.Kill(h.pid, sig)
}

func (h *Handle) control(do func(fd uintptr) error) error {
	raw, err := h.fd.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	if err := raw.Control(func(fd uintptr) { done = do(fd) }); err != nil {
		return err
	}
	return done
}

// Close lets the process go, and ends the wait of Exited. Twice is fine.
func (h *Handle) Close() error {
	var err error
	h.close.Do(func() {
		close(h.closed)
		if h.fd != nil {
			err = h.fd.Close()
		}
	})
	return err
}

// readable says whether a pidfd's process has exited.
func readable(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return err == nil && n > 0
		}
	}
}
