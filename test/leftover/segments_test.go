package leftover

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// segment makes one, and a data directory whose postmaster.pid says what the test wants.
func segment(t *testing.T, base, name string, line func(id int) string) (id int) {
	t.Helper()
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 56, unix.IPC_CREAT|unix.IPC_EXCL|0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) })
	dir := filepath.Join(base, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x\n", keyLine) + line(id) + "\nready\n"
	if err := os.WriteFile(filepath.Join(dir, "postmaster.pid"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return id
}

func there(id int) bool {
	var d unix.SysvShmDesc
	_, err := unix.SysvShmCtl(id, unix.IPC_STAT, &d)
	return err == nil
}

func TestOnlyADeadServersOwnSegmentIsFreed(t *testing.T) {
	base := t.TempDir()
	keyed := func(key uint32) func(int) string {
		return func(id int) string { return fmt.Sprintf("%9d %9d", key, id) }
	}
	dead := segment(t, base, "dead", keyed(0)) // IPC_PRIVATE is 0
	another := segment(t, base, "another", keyed(1<<31+1))
	used := segment(t, base, "used", keyed(0))
	attached, err := unix.SysvShmAttach(used, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.SysvShmDetach(attached) }()
	for range 2 { // what is free already is no error
		if err := FreeSegments(base); err != nil {
			t.Fatal(err)
		}
	}
	if there(dead) || !there(another) || !there(used) {
		t.Errorf("there: the dead server's %v, another's %v, one in use %v", there(dead), there(another), there(used))
	}
}

func TestALineThatCannotBeReadIsAnError(t *testing.T) {
	base := t.TempDir()
	segment(t, base, "early", func(int) string { return "" })
	if err := FreeSegments(base); err != nil {
		t.Errorf("killed before it had a segment: %v", err)
	}
	segment(t, base, "odd", func(int) string { return "nonsense" })
	if err := FreeSegments(base); err == nil || !strings.Contains(err.Error(), "read line 7") {
		t.Errorf("got %v", err)
	}
}
