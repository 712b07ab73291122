package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/pgvigil/pgvigil/test/until"
)

func TestFindSeesTheServerOfThisDirectoryAlone(t *testing.T) {
	s, other := start(t, "plain", 3), start(t, "plain", 1)
	sleeper := exec.Command("sleep", "600") // an archive_command, say: in the directory, and not PostgreSQL's
	sleeper.Dir = s.dir.Path()
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() })

	found := Find(s.dir)
	if len(found) != 4 {
		t.Fatalf("found %v, want a postmaster and three children", found)
	}
	if found[0].PID != s.Process.Pid {
		t.Errorf("first is %d, want the postmaster %d", found[0].PID, s.Process.Pid)
	}
	for _, p := range found[1:] {
		if p.Parent != s.Process.Pid {
			t.Errorf("%+v is not a child of %d", p, s.Process.Pid)
		}
	}
	if pid, ok := Postmaster(other.dir); !ok || pid != other.Process.Pid {
		t.Errorf("postmaster of the other directory: %d %v, want %d", pid, ok, other.Process.Pid)
	}
}

func TestPostmasterIsFoundBeforeItHasForked(t *testing.T) {
	s := start(t, "plain", 0)
	if pid, ok := Postmaster(s.dir); !ok || pid != s.Process.Pid {
		t.Errorf("got %d %v, want %d", pid, ok, s.Process.Pid)
	}
}

func TestBackendsLeftBehindByAZombieAreFoundAndAreNoPostmaster(t *testing.T) {
	for _, n := range []int{1, 3} {
		s := start(t, "plain", n)
		s.kill(t)
		if found := Find(s.dir); len(found) != n {
			t.Errorf("found %v, want the %d left behind and no zombie", found, n)
		}
		if pid, ok := Postmaster(s.dir); ok {
			t.Errorf("took %d for a postmaster", pid)
		}
		if Exists(s.Process.Pid, 0) {
			t.Error("the zombie exists")
		}
	}
}

func TestPIDFileIsBelievedOnlyIfTheTableAgrees(t *testing.T) {
	s := start(t, "plain", 1)
	backend := Find(s.dir)[1].PID
	for name, tc := range map[string]struct {
		content string
		ok      bool
	}{
		"names the postmaster":       {strconv.Itoa(s.Process.Pid) + "\n" + s.dir.Path() + "\n", true},
		"names a backend":            {strconv.Itoa(backend) + "\n", false},
		"names somebody else":        {strconv.Itoa(os.Getpid()) + "\n", false},
		"names nobody":               {"4194303\n", false},
		"names a single-user server": {"-" + strconv.Itoa(s.Process.Pid) + "\n", false},
		"is being written":           {"", false},
		"is garbage":                 {"postmaster\n", false},
	} {
		if err := os.WriteFile(filepath.Join(s.dir.Path(), "postmaster.pid"), []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if pid, ok := PIDFile(s.dir); ok != tc.ok || ok && pid != s.Process.Pid {
			t.Errorf("%s: got %d %v, want %v", name, pid, ok, tc.ok)
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir.Path(), "postmaster.pid"), []byte(strconv.Itoa(s.Process.Pid)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.kill(t)
	if pid, ok := PIDFile(s.dir); ok {
		t.Errorf("a stale file was believed: %d", pid)
	}
}

func TestADirectoryThatIsMovedOrDeletedKeepsItsProcesses(t *testing.T) {
	parent := t.TempDir()
	path, link := filepath.Join(parent, "data"), filepath.Join(parent, "link")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	s := startIn(t, link, "plain", 2)
	if s.dir.Path() != path {
		t.Errorf("resolved to %s, want %s", s.dir, path)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if n := len(Find(s.dir)); n != 3 {
		t.Errorf("moved: found %d, want 3", n)
	}
	if err := os.Rename(path+".old", path); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if n := len(Find(s.dir)); n != 3 {
		t.Errorf("deleted: found %d, want 3", n)
	}
	late, err := Resolve(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(Find(late)); n != 3 {
		t.Errorf("resolved after it was deleted: found %d, want 3", n)
	}
}

func TestADirectoryMadeAnewIsNotTheOneBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	for range 2 { // file systems give the inode's number out again
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		before, err := Resolve(path)
		if err != nil {
			t.Fatal(err)
		}
		// Times of birth are as coarse as the kernel's tick.
		until.Holds(t, "the file system's clock moves", func() bool {
			probe := filepath.Join(t.TempDir(), "probe")
			if err := os.Mkdir(probe, 0o700); err != nil {
				t.Fatal(err)
			}
			id, err := lookup(probe)
			return err == nil && id.born != before.inode.born
		})
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		elsewhere := path + ".elsewhere"
		if err := os.Mkdir(elsewhere, 0o700); err != nil {
			t.Fatal(err)
		}
		s := startIn(t, elsewhere, "plain", 1)
		if found := Find(before); len(found) != 0 {
			t.Errorf("found %v in a directory that is no more", found)
		}
		if _, err := Kill(t.Context(), s.dir, Options{}); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(elsewhere); err != nil {
			t.Fatal(err)
		}
	}
}
