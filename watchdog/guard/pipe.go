package guard

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// newWake makes the pipe that wakes a guard, and returns it open at both ends in one descriptor. A pipe, because a later
// sidecar can open it through /proc, as it cannot an eventfd.
func newWake() (int, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, fmt.Errorf("create the guard's pipe: %w", err)
	}
	fd, err := openWake("/proc/self/fd/" + strconv.Itoa(ends[0]))
	return fd, errors.Join(err, unix.Close(ends[0]), unix.Close(ends[1]))
}

func openWake(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("open the guard's pipe %s: %w", path, err)
	}
	return fd, nil
}

// wake makes the guard look at its memory. A full pipe wakes it as well.
func wake(fd int) { _, _ = unix.Write(fd, []byte{1}) }

// waker is the sidecar's hold of a guard's pipe: once closed, no later file that has its number is written to.
type waker struct{ f *os.File }

func newWaker(fd int) *waker { return &waker{os.NewFile(uintptr(fd), "guard's pipe")} }

func (w *waker) wake() {
	raw, err := w.f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { wake(int(fd)) })
}

func (w *waker) close() error { return w.f.Close() }

func drain(fd int) {
	var buf [64]byte
	for {
		if n, err := unix.Read(fd, buf[:]); n <= 0 && err != unix.EINTR {
			return
		}
	}
}

func fdPath(pid, fd int) string {
	return "/proc/" + strconv.Itoa(pid) + "/fd/" + strconv.Itoa(fd)
}
