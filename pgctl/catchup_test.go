package pgctl

import (
	"bytes"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
)

// A promotion is asked for only once the tail is replayed: a startup process that has just looked for more WAL in vain, before the
// tail was there, would look for the trigger next.
func TestPromoteReplaysATailThatWasJustLaidIn(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, heir := pair(t, bin)
		one.exec("CREATE TABLE t (n int)")
		two.caughtUp(one)
		two.must(heir.HangUp(two.context()))
		ours, err := heir.EndOfWAL(two.context())
		two.must(err)
		one.exec("INSERT INTO t VALUES (1)")
		dead := one.open()
		one.must(dead.Fence(one.context(), false))
		theirs, err := dead.DeadEnd(one.context(), 1, ours.End)
		one.must(err)
		from := two.format().pageStart(ours.End)
		var tail bytes.Buffer
		one.must(dead.ServeTail(one.context(), 1, from, theirs.End, &tail))
		_, err = heir.LayTail(two.context(), 1, from, theirs.End, &tail)
		two.must(err)
		var replayed watchdog.LSN
		_, err = heir.Promote(two.context(), 2, func(step string) {
			if step == "trigger" {
				at, err := heir.positions(two.context())
				two.must(err)
				replayed = at.replayed
			}
		})
		two.must(err)
		if last := one.lastCommit(dead, ours.End); replayed < last.end {
			t.Errorf("asked to promote at %s, and a commit ends at %s", replayed, last.end)
		}
	})
}
