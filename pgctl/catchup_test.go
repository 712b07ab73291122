package pgctl

import (
	"bytes"
	"context"
	"syscall"
	"testing"
	"time"
)

// A tail is laid in and the server promoted right after it, while the startup process is woken again and again: one that has just
// looked for more WAL in vain, before the tail was there, looks for the trigger next.
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
		ctx, stop := context.WithCancel(two.context())
		woken := make(chan struct{})
		go func() {
			defer close(woken)
			tick := time.NewTicker(500 * time.Microsecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				_ = heir.signal(syscall.SIGHUP)
				<-tick.C
			}
		}()
		_, err = heir.LayTail(two.context(), 1, from, theirs.End, &tail)
		two.must(err)
		done, err := heir.Promote(two.context(), 2, nil)
		stop()
		<-woken
		two.must(err)
		if last := one.lastCommit(dead, ours.End); done.Fork < last.end {
			t.Errorf("promoted at %s, and a commit ends at %s", done.Fork, last.end)
		}
	})
}
