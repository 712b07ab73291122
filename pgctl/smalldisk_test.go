package pgctl

import (
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// errFull is what a write to a full disk fails with.
const errFull = syscall.ENOSPC

// smallDisk mounts a file system of so many bytes at dir, until the test ends. It is root's to do: else a test says that it
// could not have its disk.
func smallDisk(t *testing.T, dir string, size int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: a full disk is a small tmpfs here, which only root may mount")
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755,size="+itoa(size)); err != nil {
		t.Skipf("NOT TESTED: no small tmpfs could be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}
