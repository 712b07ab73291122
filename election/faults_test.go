package election_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pgvigil/pgvigil/election"
	"github.com/pgvigil/pgvigil/test/faultline"
	"github.com/pgvigil/pgvigil/test/until"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

func within(t *testing.T, budget time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), budget)
	t.Cleanup(cancel)
	return ctx
}

func at(revision int64) *int64 { return &revision }

func record(term watchdog.Term) *watchdog.Record {
	return &watchdog.Record{
		SystemID: "1", Term: term, Seq: uint64(term), Phase: watchdog.PhaseElecting, Durability: watchdog.Durability{Mode: watchdog.ModeAsync},
	}
}

func woken(t *testing.T, wakes <-chan struct{}, why string) {
	t.Helper()
	select {
	case _, open := <-wakes:
		if !open {
			t.Fatalf("the watch was closed when %s", why)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("nobody was woken when %s", why)
	}
}

// settle takes wakes until there are none for a while.
func settle(wakes <-chan struct{}) {
	for {
		select {
		case <-wakes:
		case <-time.After(200 * time.Millisecond):
			return
		}
	}
}

// F14: connecting works, requests hang. Every request comes through within the renewal's budget, and the next at once.
func TestDeafEndpointIsLeft(t *testing.T) {
	etcd := startEmbedded(t)
	for what, request := range map[string]func(context.Context, *election.Client) error{
		"read": func(ctx context.Context, c *election.Client) error { _, err := c.Read(ctx); return err },
		"keep-alive": func(ctx context.Context, c *election.Client) error {
			return c.KeepAlive(ctx)
		},
		"apply": func(ctx context.Context, c *election.Client) error {
			_, err := c.Apply(ctx, watchdog.Change{Campaign: "a"})
			return err
		},
		"events": func(ctx context.Context, c *election.Client) error { _, err := c.Events(ctx, 1); return err },
		"grant":  func(ctx context.Context, c *election.Client) error { _, err := c.Grant(ctx, time.Minute); return err },
	} {
		t.Run(what, func(t *testing.T) {
			sick, healthy := newProxy(t, etcd), newProxy(t, etcd)
			c := open(t, "deaf-"+what, sick.Address(), healthy.Address())
			if _, err := c.Grant(within(t, 5*time.Second), time.Minute); err != nil {
				t.Fatal(err)
			}
			sick.Set(func() { sick.Deaf = true })
			if err := request(within(t, 1800*time.Millisecond), c); err != nil {
				t.Fatalf("with a deaf endpoint: %v", err)
			}
			// Were the deaf endpoint asked first, half of the budget would pass.
			began := time.Now()
			if err := request(within(t, 8*time.Second), c); err != nil || time.Since(began) > 3*time.Second {
				t.Errorf("the deaf endpoint was not left: %v after %s", err, time.Since(began))
			}
		})
	}
}

func TestRefusingEndpointCostsNothing(t *testing.T) {
	c := open(t, "refused", freeAddress(t), freeAddress(t), startEmbedded(t))
	began := time.Now()
	if _, err := c.Read(within(t, 30*time.Second)); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("read: %v after %s", err, time.Since(began))
	}
}

// An etcd that is slow everywhere is still heard: the first attempt goes on while the next endpoint is asked.
func TestSlowEndpointsAreStillHeard(t *testing.T) {
	etcd := startEmbedded(t)
	first, second := newProxy(t, etcd), newProxy(t, etcd)
	c := open(t, "slow", first.Address(), second.Address())
	if _, err := c.Grant(within(t, 5*time.Second), time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*faultline.Line{first, second} {
		p.Set(func() { p.Delay = 600 * time.Millisecond })
	}
	if _, err := c.Apply(within(t, 900*time.Millisecond), watchdog.Change{If: watchdog.If{RecordRev: at(0)}, Record: record(1)}); err != nil {
		t.Errorf("Apply: %v", err)
	}
	if err := c.KeepAlive(within(t, 900*time.Millisecond)); err != nil {
		t.Errorf("KeepAlive: %v", err)
	}
}

// A change that was made, whose answer was lost, is not reported as lost by its own second attempt.
func TestLostAnswerIsNotALostCompare(t *testing.T) {
	etcd := startEmbedded(t)
	for _, endpoints := range []int{1, 2} {
		mute := newProxy(t, etcd)
		addresses := []string{mute.Address(), etcd}[:endpoints]
		cluster := []string{"", "mute", "mute-of-two"}[endpoints]
		c, other := open(t, cluster, addresses...), open(t, cluster, etcd)
		if _, err := c.Read(within(t, 5*time.Second)); err != nil {
			t.Fatal(err)
		}
		mute.Set(func() { mute.Mute = true })
		_, err := c.Apply(within(t, 900*time.Millisecond), watchdog.Change{If: watchdog.If{RecordRev: at(0)}, Record: record(1)})
		if err == nil || errors.Is(err, sidecar.ErrCompareLost) {
			t.Errorf("%d endpoints: Apply: %v, want an unknown outcome", endpoints, err)
		}
		if read, err := other.Read(within(t, 5*time.Second)); err != nil || read.Record == nil {
			t.Errorf("%d endpoints: record %v, error %v: it was made", endpoints, read.Record, err)
		}
	}
}

// A compare that others lost for us is unknown as long as an attempt of ours is, and certain once the sick endpoint is left.
func TestLostCompareBehindADeafEndpoint(t *testing.T) {
	etcd := startEmbedded(t)
	deaf := newProxy(t, etcd)
	c, other := open(t, "race", deaf.Address(), etcd), open(t, "race", etcd)
	create := watchdog.Change{If: watchdog.If{RecordRev: at(0)}, Record: record(1)}
	if _, err := c.Read(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Apply(within(t, 5*time.Second), create); err != nil {
		t.Fatal(err)
	}
	deaf.Set(func() { deaf.Deaf = true })
	if _, err := c.Apply(within(t, 900*time.Millisecond), create); err == nil || errors.Is(err, sidecar.ErrCompareLost) {
		t.Errorf("Apply: %v, want an unknown outcome", err)
	}
	if _, err := c.Apply(within(t, 900*time.Millisecond), create); !errors.Is(err, sidecar.ErrCompareLost) {
		t.Errorf("Apply, again: %v, want %v", err, sidecar.ErrCompareLost)
	}
}

// F10: the answer to a renewal that was given up is not taken for that to the next one.
func TestLateRenewalIsNotCounted(t *testing.T) {
	etcd := startEmbedded(t)
	slow := newProxy(t, etcd)
	c := open(t, "late", slow.Address())
	lease, err := c.Grant(within(t, 5*time.Second), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.KeepAlive(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	slow.Set(func() { slow.Delay = 400 * time.Millisecond })
	if err := c.KeepAlive(within(t, 200*time.Millisecond)); err == nil || errors.Is(err, sidecar.ErrLeaseLost) {
		t.Fatalf("KeepAlive: %v, want no answer in time", err)
	}
	if _, err := rawClient(t, etcd).Revoke(within(t, 5*time.Second), clientv3.LeaseID(lease)); err != nil {
		t.Fatal(err)
	}
	if err := c.KeepAlive(within(t, 5*time.Second)); !errors.Is(err, sidecar.ErrLeaseLost) {
		t.Errorf("KeepAlive: %v, want %v", err, sidecar.ErrLeaseLost)
	}
}

// F11: a watch on an endpoint that has gone quiet moves with the requests, or by itself when it cannot even begin.
func TestWatchLeavesADeafEndpoint(t *testing.T) {
	etcd := startEmbedded(t)
	other := open(t, "watch", etcd)
	rev := int64(0)
	change := func() {
		t.Helper()
		var err error
		rev, err = other.Apply(within(t, 5*time.Second), watchdog.Change{If: watchdog.If{RecordRev: at(rev)}, Record: record(watchdog.Term(rev + 1))})
		if err != nil {
			t.Fatal(err)
		}
	}
	sick := newProxy(t, etcd)
	c := open(t, "watch", sick.Address(), etcd)
	wakes := c.Watch(t.Context())
	woken(t, wakes, "the watch began")
	settle(wakes)
	change()
	woken(t, wakes, "the record changed")
	sick.Set(func() { sick.Deaf, sick.Mute = true, true })
	if _, err := c.Read(within(t, 900*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	woken(t, wakes, "the watch moved")
	settle(wakes)
	change()
	woken(t, wakes, "the record changed, after the move")

	begins := open(t, "watch", sick.Address(), etcd).Watch(t.Context())
	woken(t, begins, "the watch could not begin")
	settle(begins)
	until.Holds(t, "the watch began elsewhere", func() bool {
		change()
		select {
		case <-begins:
			return true
		case <-time.After(100 * time.Millisecond):
			return false
		}
	})
}

// F12: what the watch would go on from has been compacted away.
func TestWatchOutlivesCompaction(t *testing.T) {
	etcd := startEmbedded(t)
	line := newProxy(t, etcd)
	c, other := open(t, "compact", line.Address()), open(t, "compact", etcd)
	wakes := c.Watch(t.Context())
	woken(t, wakes, "the watch began")
	settle(wakes)
	line.Set(func() { line.Cut = true })
	rev := int64(0)
	for term := range watchdog.Term(3) {
		var err error
		if rev, err = other.Apply(within(t, 5*time.Second), watchdog.Change{If: watchdog.If{RecordRev: at(rev)}, Record: record(term + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rawClient(t, etcd).Compact(within(t, 5*time.Second), rev); err != nil {
		t.Fatal(err)
	}
	line.Set(func() { line.Cut = false })
	woken(t, wakes, "the watch was broken and its past compacted")
	settle(wakes)
	if _, err := other.Apply(within(t, 5*time.Second), watchdog.Change{If: watchdog.If{RecordRev: at(rev)}, Record: record(9)}); err != nil {
		t.Fatal(err)
	}
	woken(t, wakes, "the record changed, after the compaction")
}

// F15: while etcd is away requests fail by their deadline, and as soon as it is back they succeed.
func TestEtcdThatComesBackIsFoundWithinTheBudget(t *testing.T) {
	etcd := startEmbedded(t)
	line := newProxy(t, etcd)
	c := open(t, "back", line.Address())
	if _, err := c.Grant(within(t, 5*time.Second), time.Minute); err != nil {
		t.Fatal(err)
	}
	line.Set(func() { line.Cut = true })
	began := time.Now()
	if err := c.KeepAlive(within(t, 300*time.Millisecond)); err == nil || errors.Is(err, sidecar.ErrLeaseLost) {
		t.Errorf("KeepAlive: %v", err)
	}
	if took := time.Since(began); took > 600*time.Millisecond {
		t.Errorf("it took %s to fail", took)
	}
	time.AfterFunc(300*time.Millisecond, func() { line.Set(func() { line.Cut = false }) })
	if err := c.KeepAlive(within(t, 5*time.Second)); err != nil {
		t.Errorf("KeepAlive: %v", err)
	}
	if _, err := c.Read(within(t, 900*time.Millisecond)); err != nil {
		t.Errorf("Read: %v", err)
	}
}

// A client whose endpoints are all sick leaves nothing behind either.
func TestNothingIsLeftBehind(t *testing.T) {
	etcd := startEmbedded(t)
	deaf := newProxy(t, etcd)
	deaf.Set(func() { deaf.Deaf = true })
	for range 3 {
		c := open(t, "leak", deaf.Address(), freeAddress(t), etcd)
		ctx, cancel := context.WithCancel(t.Context())
		wakes := c.Watch(ctx)
		for range 3 {
			if _, err := c.Read(within(t, 2*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		until.Holds(t, "the watch ended", func() bool {
			select {
			case _, open := <-wakes:
				return !open
			default:
				return false
			}
		})
		if len(clientGoroutines()) == 0 {
			t.Error("an open client runs nothing: this test looks for the wrong things")
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	deaf.Set(func() { deaf.Cut = true })
	until.Holds(t, "no goroutine is left", func() bool { return len(clientGoroutines()) == 0 })
}

// clientGoroutines returns the stacks of everything that runs for a client: ours, etcd's library and grpc's connections.
func clientGoroutines() []string {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var found []string
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		for _, trace := range []string{"pgvigil/election.", "etcd/client/v3.", "transport.(*http2Client)", "grpc.(*addrConn)", "grpc.(*ClientConn)"} {
			if strings.Contains(stack, trace) {
				found = append(found, stack)
				break
			}
		}
	}
	return found
}
