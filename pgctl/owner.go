package pgctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// owner is the operating-system user that owns the data directory, and that the server and its programs run as.
type owner struct {
	uid, gid int
	name     string
	home     string
	groups   []uint32
}

func ownerOf(info fs.FileInfo) (owner, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return owner{}, fmt.Errorf("%s: its owner is not known on this platform", info.Name())
	}
	o := owner{uid: int(st.Uid), gid: int(st.Gid), name: strconv.Itoa(int(st.Uid)), home: "/"}
	u, err := user.LookupId(o.name)
	if err != nil {
		return o, nil // a container may have no name for it
	}
	o.name, o.home = u.Username, u.HomeDir
	if gid, err := strconv.Atoi(u.Gid); err == nil {
		o.gid = gid
	}
	ids, _ := u.GroupIds()
	for _, id := range ids {
		if gid, err := strconv.ParseUint(id, 10, 32); err == nil {
			o.groups = append(o.groups, uint32(gid))
		}
	}
	return o, nil
}

// mayAct refuses unless we can act as the owner.
func (o owner) mayAct(path string) error {
	if me := os.Geteuid(); me != 0 && me != o.uid {
		return fmt.Errorf("%s %w, %s: run pgvigil as that user or as root", path, ErrWrongOwner, o.name)
	}
	return nil
}

// other says whether we have to change user to act as the owner.
func (o owner) other() bool { return os.Geteuid() == 0 && o.uid != 0 }

// credential is what a program is to be started with; nil: our own.
func (o owner) credential() *syscall.Credential {
	if !o.other() {
		return nil
	}
	return &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid), Groups: o.groups}
}

// act runs do with the owner's rights: what it may not do to a file, nor may we for it, root or not, and who calls connect is
// who "peer" authentication sees. do must stay on its goroutine.
func (o owner) act(do func() error) error {
	if !o.other() {
		return do()
	}
	done := make(chan error, 1)
	go func() { done <- o.actOnThread(do) }()
	return <-done
}

// actOnThread changes the effective user of this thread alone; package syscall's functions would change all threads'. Should
// the thread not get its old user back, it dies with the goroutine.
func (o owner) actOnThread(do func() error) error {
	runtime.LockOSThread()
	if err := errors.Join(setThread(unix.SYS_SETRESGID, o.gid), setThread(unix.SYS_SETRESUID, o.uid)); err != nil {
		return fmt.Errorf("become user %s: %w", o.name, err)
	}
	err := do()
	if setThread(unix.SYS_SETRESUID, 0) == nil && setThread(unix.SYS_SETRESGID, os.Getgid()) == nil {
		runtime.UnlockOSThread()
	}
	return err
}

// setThread sets this thread's effective id, the real and the saved one kept.
func setThread(call uintptr, id int) error {
	keep := ^uintptr(0)
	if _, _, errno := unix.RawSyscall(call, keep, uintptr(id), keep); errno != 0 {
		return errno
	}
	return nil
}
