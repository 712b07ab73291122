package electiontest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/election/electiontest"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

func TestFakeKeepsTheContract(t *testing.T) {
	electiontest.Exercise(t, func(t *testing.T) (func() sidecar.Store, electiontest.RawAccess) {
		cluster := electiontest.NewCluster(func() watchdog.Instant { return 1 })
		return func() sidecar.Store { return cluster.Client() }, cluster
	})
}

func TestFakeLeasesEndByTheClock(t *testing.T) {
	now := watchdog.Instant(0)
	cluster := electiontest.NewCluster(func() watchdog.Instant { return now })
	ctx := context.Background()
	kept, left := cluster.Client(), cluster.Client()
	for name, client := range map[string]*electiontest.FakeClient{"kept": kept, "left": left} {
		if _, err := client.Grant(ctx, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Apply(ctx, watchdog.Change{Member: &watchdog.Member{Name: name, Incarnation: name}}); err != nil {
			t.Fatal(err)
		}
	}
	if next, ok := cluster.NextExpiry(); !ok || next != watchdog.Instant(5*time.Second) {
		t.Errorf("next expiry at %d, %v", next, ok)
	}
	wakes := left.Watch(ctx)
	<-wakes
	now = now.Add(4 * time.Second)
	if err := kept.KeepAlive(ctx); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	cluster.Tick()
	<-wakes
	read, err := kept.Read(ctx)
	if _, alive := read.Members["kept"]; err != nil || !alive || len(read.Members) != 1 {
		t.Errorf("members %v, error %v, want only the one that was kept alive", read.Members, err)
	}
	if err := left.KeepAlive(ctx); !errors.Is(err, sidecar.ErrLeaseLost) {
		t.Errorf("KeepAlive: %v, want %v", err, sidecar.ErrLeaseLost)
	}
}

func TestFakeFaults(t *testing.T) {
	cluster := electiontest.NewCluster(func() watchdog.Instant { return 1 })
	ctx := context.Background()
	sick, other := cluster.Client(), cluster.Client()
	if _, err := sick.Grant(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}
	wakes := sick.Watch(ctx)
	<-wakes

	// Unreachable: nothing is made, nothing is heard, and the watch wakes once it is over.
	sick.SetUnreachable(true)
	if _, err := sick.Apply(ctx, watchdog.Change{Campaign: "a"}); !errors.Is(err, electiontest.ErrUnreachable) {
		t.Errorf("Apply: %v", err)
	}
	if _, err := sick.Read(ctx); !errors.Is(err, electiontest.ErrUnreachable) {
		t.Errorf("Read: %v", err)
	}
	cluster.Put(cluster.Prefix()+"config", "{}")
	select {
	case <-wakes:
		t.Error("an unreachable client was woken")
	default:
	}
	sick.SetUnreachable(false)
	<-wakes

	// A lost answer: the change is made, and the writer does not know.
	sick.LoseAnswers(1)
	if _, err := sick.Apply(ctx, watchdog.Change{Campaign: "a"}); !errors.Is(err, electiontest.ErrAnswerLost) || errors.Is(err, sidecar.ErrCompareLost) {
		t.Errorf("Apply: %v", err)
	}
	if read, err := other.Read(ctx); err != nil || read.Leader != "a" {
		t.Errorf("leader %q, error %v, want a: the change was made", read.Leader, err)
	}
	if err := sick.KeepAlive(ctx); err != nil {
		t.Errorf("KeepAlive: %v", err)
	}

	before, _ := other.Read(ctx)
	cluster.SetStoreID("another")
	if after, err := other.Read(ctx); err != nil || after.StoreID == before.StoreID {
		t.Errorf("store id %q, error %v", after.StoreID, err)
	}
}
