package main

import (
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog/virtualip"
)

// keptRights are those that a member with virtual addresses needs, to put them up and down and to announce them.
func keptRights(addressed bool) []int {
	if !addressed {
		return nil
	}
	return []int{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}
}

// keepOver has the rights of root outlive the change to another user, on all threads. None wanted: they go, as ever.
func keepOver(rights []int) error {
	if len(rights) == 0 {
		return nil
	}
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0); errno == unix.ENOTSUP {
		return errors.New("virtual_ip: this program was built with cgo, and cannot keep the right to change addresses: build it with CGO_ENABLED=0, as make build does")
	} else if errno != 0 {
		return fmt.Errorf("keep the right to change addresses: %w", errno)
	}
	return nil
}

// holdOnly gives up every right but these, on all threads; those that the process does not have are not had. No child has any
// that it is not given: PostgreSQL, hooks and etcd have none.
func holdOnly(rights []int) error {
	if len(rights) == 0 {
		return nil
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has, holds [2]unix.CapUserData
	if err := unix.Capget(&header, &has[0]); err != nil {
		return fmt.Errorf("look at our rights: %w", err)
	}
	for _, right := range rights {
		holds[right/32].Permitted |= has[right/32].Permitted & (1 << (right % 32))
		holds[right/32].Effective = holds[right/32].Permitted
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&holds[0])), 0)
	if errno != 0 {
		return fmt.Errorf("give up rights: %w", errno)
	}
	return nil
}

// holds says whether the process has all these rights.
func holds(rights []int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has [2]unix.CapUserData
	if unix.Capget(&header, &has[0]) != nil {
		return false
	}
	for _, right := range rights {
		if has[right/32].Effective&(1<<(right%32)) == 0 {
			return false
		}
	}
	return true
}

// openAddresses returns what puts the virtual addresses up and down, nil if there are none and none is left of before.
func openAddresses(cfg config.Config, addressed bool, log *slog.Logger) (*virtualip.Manager, error) {
	if !addressed {
		return nil, nil
	}
	switch {
	case holds(keptRights(true)):
	case len(cfg.VirtualIP) == 0:
		log.Warn("a virtual address may be left up that is not configured any more: this process may not change addresses")
		return nil, nil
	default:
		return nil, fail(exitConfig, errors.New("virtual_ip: this process may not change addresses: start it as root, or give its systemd unit AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW; a container needs both added too"))
	}
	m, err := virtualip.Open(cfg.VirtualIP, cfg.StateDir, log)
	return m, fail(exitConfig, err)
}
