package pgctl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// backlogTick is how often a unix socket whose queue is full is tried again.
const backlogTick = 5 * time.Millisecond

// dial connects to a server's socket, or to a TCP address. A unix socket is connected to as the data directory's owner:
// "peer" authentication asks who called connect.
func (in *Instance) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "unix" || !in.owner.other() {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	var conn net.Conn
	err := in.owner.act(func() (err error) {
		conn, err = dialUnix(ctx, address)
		return err
	})
	return conn, err
}

func dialUnix(ctx context.Context, path string) (net.Conn, error) {
	fd, err := connectUnix(ctx, path)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: path, Net: "unix"}, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	return net.FileConn(f)
}

func connectUnix(ctx context.Context, path string) (int, error) {
	for {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return -1, err
		}
		if err = unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err == nil {
			return fd, nil
		}
		_ = unix.Close(fd)
		if err != unix.EAGAIN && err != unix.EINTR { // EAGAIN: a full queue, as of a stopped postmaster
			return -1, os.NewSyscallError("connect", err)
		}
		if err := pause(ctx, backlogTick); err != nil {
			return -1, err
		}
	}
}

// pause waits, or returns the context's error when that ends first.
func pause(ctx context.Context, most time.Duration) error {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// poll calls done at once and then each tick until it says so, or fails, or ctx ends.
func poll(ctx context.Context, tick time.Duration, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if err := pause(ctx, tick); err != nil {
			return err
		}
	}
}

// hangup says when the other side of a connection has hung up, beside whoever reads from it: it holds a second descriptor
// of the same socket and reads nothing.
type hangup struct {
	file *os.File
	over chan struct{}
}

// watchHangup calls cut once when conn's other side has hung up.
func watchHangup(conn net.Conn, cut func()) (*hangup, error) {
	fd, err := duplicate(conn)
	if err != nil {
		return nil, err
	}
	h := &hangup{file: os.NewFile(uintptr(fd), "session"), over: make(chan struct{})}
	raw, err := h.file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, h.file.Close())
	}
	go func() {
		defer close(h.over)
		if raw.Read(func(fd uintptr) bool { return hungUp(int(fd)) }) == nil {
			cut()
		}
	}()
	return h, nil
}

func duplicate(conn net.Conn) (int, error) {
	for {
		inner, wrapped := conn.(interface{ NetConn() net.Conn }) // TLS
		if !wrapped {
			break
		}
		conn = inner.NetConn()
	}
	holder, ok := conn.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("watch session: %T has no descriptor", conn)
	}
	raw, err := holder.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("watch session: %w", err)
	}
	fd := -1
	var dupErr error
	err = raw.Control(func(old uintptr) { fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, dupErr)
}

// hungUp says whether a socket's other side sends no more.
func hungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

// gone says, without waiting, whether the other side has hung up.
func (h *hangup) gone() bool {
	select {
	case <-h.over:
		return true
	default:
		return false
	}
}

// cutOff ends the connection under whoever waits for an answer on it.
func (h *hangup) cutOff() {
	if raw, err := h.file.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	}
}

// close ends the watch.
func (h *hangup) close() { _ = h.file.Close() }

// socketPath returns the path of the server's socket: the first that is there.
func (p place) socketPath() (string, error) {
	for _, dir := range p.sockets {
		path := fmt.Sprintf("%s/.s.PGSQL.%d", dir, p.port)
		if _, err := os.Lstat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no socket .s.PGSQL.%d in %s: %w", p.port, strings.Join(p.sockets, ", "), ErrNotRunning)
}
