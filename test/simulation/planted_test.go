package simulation

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestPlantedBugsAreFound plants each bug in turn and runs stories until an invariant fails. One that is not found says that
// the model or the checks are too weak, and fails the test.
func TestPlantedBugsAreFound(t *testing.T) {
	if os.Getenv("SEED") != "" {
		t.Skip("one seed is asked for")
	}
	budget := int64(number(t, "PLANTED_SEEDS", 3000))
	for _, planted := range bugs {
		if only := os.Getenv("PLANTED"); only != "" && !strings.Contains(only, string(planted.bug)) {
			continue
		}
		var next, runs atomic.Int64
		var mu sync.Mutex
		first, found := int64(-1), Result{}
		var all sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			all.Go(func() {
				for {
					seed := next.Add(1)
					mu.Lock()
					over := first >= 0 || seed > budget
					mu.Unlock()
					if over {
						return
					}
					r := Run(newStory(uint64(seed), planted.bug), false)
					runs.Add(1)
					if r.Failure != nil && (!r.Failure.stands() || planted.bug == staleVetoes) {
						mu.Lock()
						if first < 0 || seed < first {
							first, found = seed, r
						}
						mu.Unlock()
					}
				}
			})
		}
		all.Wait()
		if first < 0 {
			t.Errorf("%-32s not found in %d seeds: %s", planted.bug, runs.Load(), planted.about)
			continue
		}
		t.Logf("%-32s seed %-5d %v", planted.bug, first, found.Failure)
		control := newStory(uint64(first), planted.bug)
		control.Planted = noBug
		if r := Run(control, false); r.Failure != nil && planted.bug != olderStore { // whose world cannot recover by itself
			t.Errorf("%s: the same story fails without the bug too: %v", planted.bug, r.Failure)
		}
	}
}
