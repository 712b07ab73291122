package pgctl

import (
	"errors"
	"testing"

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
