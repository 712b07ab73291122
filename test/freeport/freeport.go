package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Ports from lowest up to highest lie below Linux's default ip_local_port_range.
const (
	lowest  = 15000
	highest = 32000
)

// ErrNone says that every port is taken.
var ErrNone = errors.New("no free port")

// locks are the files that this process keeps locked, one for each port: the kernel lets them go when it ends.
var locks struct {
	sync.Mutex
	files []*os.File
}

// Take returns a port on which nothing listens, and keeps it for this process.
func Take() (int, error) {
	dir := filepath.Join(os.TempDir(), "pgvigil-ports")
	if err := os.Mkdir(dir, 0o777); err == nil {
		if err := os.Chmod(dir, 0o1777); err != nil { // past the umask: other users' tests take theirs there, too
			return 0, fmt.Errorf("take a free port: %w", err)
		}
	} else if !errors.Is(err, os.ErrExist) {
		return 0, fmt.Errorf("take a free port: %w", err)
	}
	first := rand.IntN(highest - lowest)
	for i := range highest - lowest {
		port := lowest + (first+i)%(highest-lowest)
		if lock(filepath.Join(dir, strconv.Itoa(port))) && bindable(port) {
			return port, nil
		}
	}
	return 0, ErrNone
}

// lock says whether the port is ours. Another user's file cannot be opened: their port is left to them.
func lock(path string) bool {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false
	}
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		file.Close()
		return false
	}
	locks.Lock()
	locks.files = append(locks.files, file)
	locks.Unlock()
	return true
}

func bindable(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
