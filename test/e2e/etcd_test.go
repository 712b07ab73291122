package e2e

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pgvigil/pgvigil/test/faultline"
	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

func (c *cluster) etcd() *clientv3.Client {
	c.t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), DialTimeout: 5 * time.Second, Context: c.ctx})
	c.must(err)
	c.t.Cleanup(func() { _ = client.Close() })
	return client
}

// F7: etcd's leader changes, and then one member is lost: nothing happens.
func TestEtcdLeaderChangeAndOneMemberLost(t *testing.T) {
	c := whole(t)
	client := c.etcd()
	leader := func() (index int, id, other uint64) {
		for i, endpoint := range c.Endpoints() {
			s, err := client.Status(c.ctx, endpoint)
			c.must(err)
			if s.Leader == s.Header.MemberId {
				index, id = i, s.Leader
			} else {
				other = s.Header.MemberId
			}
		}
		return index, id, other
	}
	index, _, other := leader()
	direct, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints()[index : index+1], DialTimeout: 5 * time.Second})
	c.must(err)
	defer direct.Close()
	_, err = direct.MoveLeader(c.ctx, other)
	c.strike(err)
	c.undisturbed(rest)
	index, _, _ = leader()
	c.strike(c.Etcd[index].Kill())
	c.undisturbed(2 * rest)
	c.must(c.StartEtcd(index))
	c.wholeAgain()
}

// F6: etcd's quorum is lost. Without failsafe the primary is fenced before its trust ends, and comes back by itself.
func TestEtcdQuorumLost(t *testing.T) {
	c := whole(t, func(o *lab.Options) { o.Policy = "failsafe: false" })
	for i := range 2 {
		c.strike(c.Etcd[i].Kill())
	}
	c.must(c.Until(c.ctx, "the primary is fenced", soon, c.primary.ServerGone))
	if took := time.Since(c.struck); took > 10*time.Second {
		t.Errorf("fenced only after %s", took)
	}
	for i := range 2 {
		c.must(c.StartEtcd(i))
	}
	c.wholeAgain()
}

// F18: garbage in the record disturbs nobody and is not written over; mended by hand, all goes on.
func TestGarbageInTheRecord(t *testing.T) {
	c := whole(t)
	client := c.etcd()
	key := "/pgvigil/" + lab.Name + "/record"
	before, err := client.Get(c.ctx, key)
	c.must(err)
	_, err = client.Put(c.ctx, key, "{garbage")
	c.strike(err)
	end := time.Now().Add(2 * rest)
	c.must(c.Until(c.ctx, "a while has passed", soon, func() bool { return time.Now().After(end) }))
	c.must(c.writer.WaitAck(c.ctx, soon, c.primary, time.Now()))
	after, err := client.Get(c.ctx, key)
	c.must(err)
	if string(after.Kvs[0].Value) != "{garbage" {
		t.Errorf("it was written over: %s", after.Kvs[0].Value)
	}
	_, err = client.Put(c.ctx, key, string(before.Kvs[0].Value))
	c.must(err)
	c.undisturbed(rest)
	c.wholeAgain()
}

// F19: the record, and then everything, is deleted. The primary under unexpired trust writes it again, one term later.
func TestRecordDeleted(t *testing.T) {
	c := whole(t)
	client := c.etcd()
	for term, what := range []string{"/pgvigil/" + lab.Name + "/record", "/pgvigil/" + lab.Name + "/"} {
		var options []clientv3.OpOption
		if term == 1 {
			options = append(options, clientv3.WithPrefix())
		}
		_, err := client.Delete(context.WithoutCancel(c.ctx), what, options...)
		c.strike(err)
		c.must(c.Until(c.ctx, "the record is back, and the cluster whole", rejoin, func() bool {
			keys, err := c.Read(c.ctx)
			return err == nil && keys.Record != nil && int(keys.Record.Term) == term+2 && len(keys.Record.Members) == 3 && keys.Record.Primary == c.primary.Name
		}))
		c.must(c.writer.WaitAck(c.ctx, soon, c.primary, time.Now()))
	}
	c.strike(c.primary.KillPostmaster())
	c.takenOver()
	c.wholeAgain()
}

// etcd makes the surrender, and its answer never arrives. The one that surrendered may not take it for failed.
func TestSurrenderWhoseAnswerWasLost(t *testing.T) {
	c := interposed(t)
	primary := c.primary
	primary.BreakEtcd(func(l *faultline.Line) { l.Mute = true })
	c.strike(primary.KillPostmaster())
	c.takenOver()
	if e, told := c.event(watchdog.EventHandOver); !told {
		t.Errorf("no hand-over reached etcd: %+v", e)
	}
	primary.BreakEtcd(func(l *faultline.Line) { l.Cut = true }) // what was swallowed would never come
	primary.BreakEtcd(func(l *faultline.Line) { l.Cut, l.Mute = false, false })
	c.wholeAgain()
}
