package pgctl

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
)

// blueprint is that of a server in this place.
func (s *testServer) blueprint() Blueprint {
	b := Blueprint{
		Config: s.config(), User: s.owner.name, Passfile: filepath.Join(filepath.Dir(s.dir), "pgpass"), Locale: "C",
		Settings: []string{s.major.socketSetting + "=" + s.socket(), "shared_buffers=16MB", "dynamic_shared_memory_type=mmap"},
	}
	b.Address, b.Replication, b.HBA = s.address(), "", []string{"host all " + s.owner.name + " 127.0.0.1/32 trust"}
	return b
}

func quietly(string) {}

// creates finds out what there is, which must be well.
func (s *testServer) creates(b Blueprint) *Creation {
	s.t.Helper()
	c, err := Create(s.context(), b)
	s.must(err)
	return c
}

func TestAServerIsMadeBesideAndTakesAStandby(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newServer(t, bin, "one")
		b := one.blueprint()
		c := one.creates(b)
		// What a run left that was killed is made anew.
		one.must(c.makeRoom())
		one.must(os.WriteFile(c.beside+"/half", nil, 0o600))
		c = one.creates(b)
		one.must(c.Bootstrap(one.context(), quietly))
		if exists(c.beside) || !exists(filepath.Join(one.dir, "PG_VERSION")) || exists(filepath.Join(one.state, creatingFile)) {
			t.Error("it is not in its place")
		}
		if got := one.value("SELECT rolreplication AND NOT rolsuper AND rolpassword LIKE 'SCRAM%' FROM pg_authid WHERE rolname = 'replicator'"); got != "true" && got != "t" {
			t.Errorf("the replication role: %s", got)
		}
		again := one.creates(b)
		said, err := again.Existing(one.context())
		if err != nil || !again.Made() || !strings.Contains(said, "it runs (primary)") {
			t.Errorf("a second run: %q, %v", said, err)
		}
		one.kill()
		if said, err = one.creates(b).Existing(one.context()); err != nil || !strings.Contains(said, "has been started") {
			t.Errorf("a run after a crash between the rename and the start: %q, %v", said, err)
		}
		one.kill()
		one.must(os.WriteFile(filepath.Join(one.state, "state.json"), []byte("{}"), 0o600))
		if said, err = one.creates(b).Existing(one.context()); err != nil || !strings.Contains(said, "pgvigil run") {
			t.Errorf("a server that a sidecar looks after: %q, %v", said, err)
		}
		one.must(os.Remove(filepath.Join(one.state, "state.json")))
		_, err = one.creates(b).Existing(one.context())
		one.must(err)

		if _, err := os.Stat(filepath.Join(bin, "pg_basebackup")); err != nil {
			t.Skip("there is no pg_basebackup to join with")
		}
		two := newServer(t, bin, "two")
		b = two.blueprint()
		up := watchdog.Upstream{Name: "one", Address: one.address()}
		if err := two.creates(b).Join(two.context(), up, "", quietly, func(_, _ int64) {}); err == nil || !strings.Contains(err.Error(), "copy it from the host") {
			t.Errorf("a join without the password: %v", err)
		}
		b.Passfile = filepath.Join(filepath.Dir(one.dir), "pgpass")
		if err := two.creates(b).Join(two.context(), up, "7", quietly, func(_, _ int64) {}); err == nil || exists(two.dir) {
			t.Errorf("a join of another system: %v", err)
		}
		var done int64
		c = two.creates(b)
		two.must(c.Join(two.context(), up, "", quietly, func(kB, _ int64) { done = max(done, kB) }))
		if done == 0 {
			t.Error("nothing was said of how far the backup is")
		}
		streams(t, two.open(), one)
	})
}

func TestNothingIsMadeInATakenPlace(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		s := newServer(t, bin, "taken")
		b := s.blueprint()
		refused := func(what string) {
			t.Helper()
			if _, err := Create(s.context(), b); !errors.Is(err, ErrOccupied) {
				t.Errorf("%s: %v", what, err)
			}
		}
		s.must(os.Mkdir(s.dir+".new", 0o700))
		refused("a directory beside that is not ours")
		s.must(os.Remove(s.dir + ".new"))
		s.must(os.Mkdir(s.dir, 0o700))
		s.creates(b)
		s.must(os.WriteFile(filepath.Join(s.dir, "lost+found"), nil, 0o600))
		refused("a directory that is not empty")
		s.must(os.RemoveAll(s.dir))
		s.runAs("cp", "-a", s.template(), s.dir)
		refused("a server that another made")
		s.must(s.creates(s.blueprintAt(filepath.Join(filepath.Dir(s.dir), "other"))).makeRoom())
		refused("a server that another made, after one of ours elsewhere")
	})
}

func (s *testServer) blueprintAt(dir string) Blueprint {
	b := s.blueprint()
	b.DataDir = dir
	return b
}

func TestProgressIsReadAsItIsSaid(t *testing.T) {
	var said []int64
	left := readProgress(strings.NewReader("waiting for checkpoint\r    0/23000 kB (0%), 0/1 tablespace\r23001/23001 kB (100%), 1/1 tablespace\npg_basebackup: error: no\n"),
		func(done, all int64) { said = append(said, done, all) })
	if len(said) != 4 || said[2] != 23001 || left != "waiting for checkpoint\npg_basebackup: error: no" {
		t.Errorf("said %v, left %q", said, left)
	}
}
