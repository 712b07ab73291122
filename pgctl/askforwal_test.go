package pgctl

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// F60: the segment that a standby needs next was removed while it was away.
func TestProdSaysThatTheWALIsGone(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin)
		two.must(in.Prod(two.context(), one.upstream(), false))
		streams(t, in, one)
		two.must(in.Stop(two.context()))
		for range 2 {
			one.exec("CREATE TABLE IF NOT EXISTS t (n int); INSERT INTO t VALUES (1)")
			one.exec("SELECT " + one.major.switchFunction + "()")
			one.exec("CHECKPOINT")
		}
		two.must(in.Start(two.context(), one.upstream()))
		eventually(t, "the upstream to be asked for WAL that is gone", func() bool {
			return errors.Is(in.Prod(two.context(), one.upstream(), false), sidecar.ErrWALGone)
		})
		if !two.major.restoreReload {
			return // where a restore_command needs a restart to be looked at
		}
		two.append("postgresql.conf", "restore_command = 'false'")
		if err := in.Prod(two.context(), one.upstream(), false); errors.Is(err, sidecar.ErrWALGone) {
			t.Errorf("though an archive may have it: %v", err)
		}
	})
}

// F60 of a server that is not consistent yet and accepts no sessions, as one that was rewound: its recovery needs WAL that was
// removed before it came to it.
func TestProdSaysThatTheWALOfARecoveryIsGone(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		next := func() {
			one.exec("CREATE TABLE IF NOT EXISTS t (n int); INSERT INTO t VALUES (1)")
			one.exec("SELECT " + one.major.switchFunction + "()")
		}
		two := newServer(t, bin, "two")
		one.backup(two, func() { next(); next() })
		two.locateConf()
		first := regexp.MustCompile(`\(file (\w+)\)`).FindStringSubmatch(two.read("backup_label"))[1]
		segments, _ := filepath.Glob(filepath.Join(two.dir, two.major.walDir, "0*"))
		for _, path := range segments {
			if filepath.Base(path) != first {
				two.must(os.Remove(path))
			}
		}
		for range 2 {
			next()
			one.exec("CHECKPOINT")
		}
		in, up := two.open(), one.upstream()
		up.Timeline = 1
		two.must(in.Start(two.context(), up))
		observed(t, in, "no sessions", func(s watchdog.Server, _ bool) bool { return s.Role == watchdog.RoleStarting && s.Latched })
		eventually(t, "the upstream to be asked for WAL that is gone", func() bool {
			return errors.Is(in.Prod(two.context(), up, false), sidecar.ErrWALGone)
		})
	})
}

// The same after a rewind: the segment with the fork was removed before, and the former primary has its own of that number.
func TestProdSaysThatTheWALOfARewoundServerIsGone(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		old, now, in, up := diverged(t, bin)
		for range 3 {
			now.exec("INSERT INTO t VALUES (2)")
			now.exec("SELECT " + now.major.switchFunction + "()")
			now.exec("CHECKPOINT")
		}
		old.must(in.Rewind(old.context(), up, nil))
		old.must(in.Start(old.context(), up))
		observed(t, in, "no sessions", func(s watchdog.Server, _ bool) bool { return s.Role == watchdog.RoleStarting && s.Latched })
		eventually(t, "the upstream to be asked for WAL that is gone", func() bool {
			return errors.Is(in.Prod(old.context(), up, false), sidecar.ErrWALGone)
		})
	})
}
