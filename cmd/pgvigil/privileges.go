package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// becomeOwner makes the process the data directory's owner, if it is root: PostgreSQL refuses to run as root, and nothing
// that we write may belong to root. Directories of our own that only root could create are created first. It keeps what
// root alone could give and the guard needs: the right to lock memory and to raise its priority.
func becomeOwner(dataDir string, ownDirs ...string) error {
	return becomeOwnerWith(nil, dataDir, ownDirs...)
}

// becomeOwnerWith keeps the rights (capabilities) of that number too, as far as the process has them.
func becomeOwnerWith(rights []int, dataDir string, ownDirs ...string) error {
	if os.Geteuid() != 0 {
		return holdOnly(rights) // pgctl says so when the directory is another user's
	}
	var stat unix.Stat_t
	if err := unix.Stat(dataDir, &stat); errors.Is(err, fs.ErrNotExist) {
		return fail(exitPostgres, fmt.Errorf("there is no data directory %s: correct postgres.data_dir, or create the server first", dataDir))
	} else if err != nil {
		return fail(exitPostgres, fmt.Errorf("look at data directory %s: %w", dataDir, err))
	}
	uid, gid := int(stat.Uid), int(stat.Gid)
	if uid == 0 {
		return fail(exitPostgres, fmt.Errorf("data directory %s belongs to root, and PostgreSQL never runs as root: chown it to its user", dataDir))
	}
	for _, dir := range ownDirs {
		if err := provide(dir, uid, gid); err != nil {
			return err
		}
	}
	for resource, limit := range map[int]uint64{unix.RLIMIT_MEMLOCK: unix.RLIM_INFINITY, unix.RLIMIT_RTPRIO: 1, unix.RLIMIT_NICE: 40} {
		// A container may forbid even root. The guard says what it could not have.
		_ = unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit})
	}
	if err := keepOver(rights); err != nil {
		return err
	}
	if err := drop(uid, gid); err != nil {
		return fmt.Errorf("become user %s, who owns %s: %w", nameOf(uid), dataDir, err)
	}
	return holdOnly(rights)
}

// provide creates a directory for the owner, if it is not there.
func provide(dir string, uid, gid int) error {
	if dir == "" {
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
			if err := provide(parent, uid, gid); err != nil {
				return err
			}
		}
	}
	switch err := os.Mkdir(dir, 0o700); {
	case errors.Is(err, fs.ErrExist):
		return ownedBy(dir, uid)
	case err != nil:
		return fmt.Errorf("create state directory: %w", err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		return fmt.Errorf("give state directory to PostgreSQL's user: %w", err)
	}
	return nil
}

// ownedBy refuses a directory of ours that somebody else made.
func ownedBy(dir string, uid int) error {
	var stat unix.Stat_t
	if err := unix.Stat(dir, &stat); err != nil {
		return fmt.Errorf("look at state directory %s: %w", dir, err)
	}
	if int(stat.Uid) != uid {
		return fail(exitConfig, fmt.Errorf("state directory %s belongs to user %s: chown it to %s, who owns the data directory, or give another state_dir",
			dir, nameOf(int(stat.Uid)), nameOf(uid)))
	}
	return nil
}

// drop changes user and groups for good, for all threads.
func drop(uid, gid int) error {
	groups := []int{gid}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		if ids, err := u.GroupIds(); err == nil { // such as ssl-cert, which lets the server read its key
			for _, id := range ids {
				if g, err := strconv.Atoi(id); err == nil && g != gid {
					groups = append(groups, g)
				}
			}
		}
		for name, value := range map[string]string{"HOME": u.HomeDir, "USER": u.Username, "LOGNAME": u.Username} {
			os.Setenv(name, value)
		}
	}
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("set groups: %w", err)
	}
	if err := syscall.Setgid(gid); err != nil {
		return fmt.Errorf("set group: %w", err)
	}
	if err := syscall.Setuid(uid); err != nil {
		return fmt.Errorf("set user: %w", err)
	}
	// The kernel hid our /proc files from the new user, and children that run as it need them.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set dumpable: %w", err)
	}
	return os.Chdir("/") // the directory that root was in may be closed to it
}

func nameOf(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}
