package election

import (
	"context"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pgvigil/pgvigil/watchdog/check"
)

// oldest is the lowest version of etcd that pgvigil works with.
var oldest = Version{Major: 3, Minor: 4}

// healthReads is of how many reads the middle one counts.
const healthReads = 3

// Health asks every endpoint how it is, all at once, within ctx. What an endpoint does not say is left zero.
func (c *Client) Health(ctx context.Context) []check.Endpoint {
	ctx, cancel, _ := c.pool.bound(ctx)
	defer cancel()
	healths := make([]check.Endpoint, len(c.pool.endpoints))
	var all sync.WaitGroup
	for i, e := range c.pool.endpoints {
		healths[i].Address = e.address
		all.Add(1)
		if !c.pool.run(func() {
			defer all.Done()
			if err := c.health(ctx, e, &healths[i]); err != nil {
				healths[i].Failed = err.Error()
			}
		}) {
			all.Done()
			healths[i].Failed = errClosed.Error()
		}
	}
	all.Wait()
	return healths
}

func (c *Client) health(ctx context.Context, e *endpoint, h *check.Endpoint) error {
	client, err := e.connected(ctx)
	if err != nil {
		return err
	}
	status, err := client.Status(ctx, e.address)
	if err != nil {
		return err
	}
	h.Version = status.Version
	if v, err := ParseVersion(status.Version); err == nil {
		h.TooOld, h.Leases = v.Before(oldest), v.LeaseBugs()
	}
	var took []time.Duration
	for range healthReads {
		began := time.Now()
		if _, err := client.Get(ctx, c.layout.Prefix(), clientv3.WithCountOnly()); err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	h.Takes = took[healthReads/2]
	if members, err := client.MemberList(ctx); err == nil { // a user without rights may not ask
		h.Members = len(members.Members)
	}
	if alarms, err := client.AlarmList(ctx); err == nil {
		for _, a := range alarms.Alarms {
			if a.Alarm != pb.AlarmType_NONE && a.MemberID == status.Header.MemberId {
				h.Alarms = append(h.Alarms, a.Alarm.String())
			}
		}
	}
	return nil
}
