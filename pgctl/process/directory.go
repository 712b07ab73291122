package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// statBound is how long one look at a cached inode may take before the path has to decide.
const statBound = 20 * time.Millisecond

// Directory is a data directory, resolved while its storage answers. It stays valid for as long as the directory is the
// same one: resolve it anew after it was replaced.
type Directory struct {
	path  string
	inode inode
	mount string // our mount namespace
}

// inode identifies a directory. The birth time tells it from a later one with the same number: not from one that was made in
// the same tick of the kernel's clock, a few milliseconds, nor on a file system that keeps no such time.
type inode struct {
	major, minor uint32
	number       uint64
	born         unix.StatxTimestamp
}

// Resolve looks a data directory up. A directory that does not exist is no error: processes may outlive it, and are found
// by its path.
func Resolve(dataDir string) (Directory, error) {
	if dataDir == "" {
		return Directory{}, errors.New("resolve data directory: no path given")
	}
	if dataDir[0] != '/' {
		here, err := os.Getwd()
		if err != nil {
			return Directory{}, fmt.Errorf("resolve data directory %s: %w", dataDir, err)
		}
		dataDir = here + "/" + dataDir
	}
	mount, _ := os.Readlink("/proc/self/ns/mnt")
	fd, err := unix.Open(dataDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return Directory{path: strings.TrimRight(dataDir, "/"), mount: mount}, nil
	}
	if err != nil {
		return Directory{}, fmt.Errorf("resolve data directory %s: %w", dataDir, err)
	}
	defer unix.Close(fd)
	// The kernel names it as it will name a process's working directory.
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return Directory{}, fmt.Errorf("resolve data directory %s: %w", dataDir, err)
	}
	id, err := lookup(path)
	if err != nil {
		return Directory{}, fmt.Errorf("resolve data directory %s: %w", dataDir, err)
	}
	return Directory{path: path, inode: id, mount: mount}, nil
}

// Path is the directory's absolute path, without symbolic links.
func (d Directory) Path() string { return d.path }

// String is its path.
func (d Directory) String() string { return d.path }

// holds says whether the process pid, whose executable is PostgreSQL's and whose working directory reads as cwd, works in
// the directory.
func (d Directory) holds(pid int, cwd string) bool {
	name, deleted := strings.CutSuffix(cwd, " (deleted)")
	same := cwd == d.path || deleted && name == d.path
	if same && d.mounted(pid) {
		return true
	}
	if d.inode.number == 0 {
		return same
	}
	id, known := ask(pid)
	if !known {
		return same // the storage does not answer: better to fence one too many
	}
	return id == d.inode || same && deleted
}

// mounted says whether pid sees the same mounts as we do, so that the same path means the same directory.
func (d Directory) mounted(pid int) bool {
	theirs, ok := link(pid, "ns/mnt")
	return ok && theirs == d.mount
}

// inquiries are the questions under way, by pid: dead storage costs one goroutine for each process, not one for each scan,
// and two scans at once share an answer.
var inquiries = struct {
	sync.Mutex
	of map[int]*inquiry
}{of: map[int]*inquiry{}}

type inquiry struct {
	until time.Time // nobody waits longer
	done  chan struct{}
	id    inode
	err   error
}

// ask returns the inode of pid's working directory, as the kernel has it cached.
func ask(pid int) (inode, bool) {
	q := inquire(pid)
	bound := time.NewTimer(time.Until(q.until))
	defer bound.Stop()
	select {
	case <-q.done:
		return q.id, q.err == nil
	case <-bound.C:
		return inode{}, false
	}
}

func inquire(pid int) *inquiry {
	inquiries.Lock()
	defer inquiries.Unlock()
	if q, under := inquiries.of[pid]; under {
		return q
	}
	q := &inquiry{until: time.Now().Add(statBound), done: make(chan struct{})}
	inquiries.of[pid] = q
	go func() {
		q.id, q.err = lookup(procPath(pid, "cwd"))
		inquiries.Lock()
		delete(inquiries.of, pid)
		inquiries.Unlock()
		close(q.done)
	}()
	return q
}

// lookup asks for the cached attributes: a network file system's server is not asked.
func lookup(path string) (inode, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_INO|unix.STATX_BTIME, &st)
	if err != nil {
		return inode{}, fmt.Errorf("statx %s: %w", path, err)
	}
	id := inode{major: st.Dev_major, minor: st.Dev_minor, number: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		id.born = st.Btime
	}
	return id, nil
}
