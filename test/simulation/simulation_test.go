package simulation

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s is %q: give a number", name, text)
	}
	return n
}

// TestSeeds runs SEEDS stories from FROM on, each in one goroutine, as many at once as there are processors.
func TestSeeds(t *testing.T) {
	if os.Getenv("SEED") != "" {
		t.Skip("one seed is asked for")
	}
	count, from := number(t, "SEEDS", 2000), number(t, "FROM", 1)
	var next, steps, faults, terms, acks, failed atomic.Int64
	var virtual, slowest atomic.Int64
	began, used := time.Now(), cpu()
	var all sync.WaitGroup
	var mu sync.Mutex
	reached := map[watchdog.Reason]int{}
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for failed.Load() < 5 {
				i := next.Add(1) - 1
				if i >= int64(count) {
					return
				}
				seed := from + uint64(i)
				r := Run(NewStory(seed), false)
				steps.Add(int64(r.Steps))
				faults.Add(int64(r.Faults))
				terms.Add(int64(r.Terms))
				acks.Add(int64(r.Acks))
				virtual.Add(int64(r.Virtual))
				slowest.Store(max(slowest.Load(), int64(r.Recovery)))
				mu.Lock()
				for reason, n := range r.Reached {
					reached[reason] += n
				}
				mu.Unlock()
				if r.Failure != nil {
					failed.Add(1)
					t.Errorf("seed %d: %v\n  SEED=%d shows it", seed, r.Failure, seed)
				}
			}
		})
	}
	all.Wait()
	took, n := time.Since(began), min(next.Load(), int64(count))
	t.Logf("decisions:%s", leaves(reached))
	t.Logf("%d seeds in %s: %.0f a second; each: %s of processor, %s of virtual time, %d events, %d faults, %d terms, %d acknowledged commits; slowest recovery %s",
		n, took.Round(time.Millisecond), float64(n)/took.Seconds(), ((cpu() - used) / time.Duration(n)).Round(100*time.Microsecond), time.Duration(virtual.Load()/n).Round(time.Second), steps.Load()/n,
		faults.Load()/n, terms.Load()/n, acks.Load()/n, time.Duration(slowest.Load()).Round(time.Second))
}

// leaves tells which reasons were come to, the rarest first: what is missing is not tested here.
func leaves(reached map[watchdog.Reason]int) string {
	names := slices.SortedFunc(maps.Keys(reached), func(a, b watchdog.Reason) int {
		return cmp.Or(cmp.Compare(reached[a], reached[b]), cmp.Compare(a, b))
	})
	var text strings.Builder
	for _, name := range names {
		fmt.Fprintf(&text, " %s=%d", name, reached[name])
	}
	return text.String()
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// TestOneSeed tells the story of SEED, event by event, and shrinks it when it fails.
func TestOneSeed(t *testing.T) {
	if os.Getenv("SEED") == "" {
		t.Skip("SEED=n tells the story of one seed")
	}
	s := newStory(number(t, "SEED", 1), bug(os.Getenv("PLANTED")))
	r := Run(s, false)
	if r.Failure != nil && os.Getenv("WHOLE") == "" {
		s = Shrink(s, r.Failure.Invariant)
	}
	r = Run(s, true)
	for _, line := range r.Trace {
		t.Log(line)
	}
	if name := os.Getenv("KEEP"); name != "" {
		if err := os.WriteFile(filepath.Join("testdata", name+".story"), []byte(s.Encode()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("the story, which KEEP=name keeps as testdata/name.story:\n%s", s.Encode())
	if r.Failure != nil {
		t.Error(r.Failure)
	}
}
