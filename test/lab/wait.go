package lab

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Until polls until so says yes. The error tells what was waited for and how the cluster stands.
func (c *Cluster) Until(ctx context.Context, what string, within time.Duration, so func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(within); ; {
		if so() {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s still not: %s\n%s", within, what, c.Describe(ctx))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w\n%s", what, ctx.Err(), c.Describe(context.WithoutCancel(ctx)))
		case <-tick.C:
		}
	}
}

// Describe says how the cluster stands, for a failure: the record, and the end of each sidecar's and server's log.
func (c *Cluster) Describe(ctx context.Context) string {
	var b strings.Builder
	if keys, err := c.Read(ctx); err != nil {
		fmt.Fprintf(&b, "etcd: %v\n", err)
	} else {
		fmt.Fprintf(&b, "record: %+v\nleader: %s\n", keys.Record, keys.Leader)
	}
	for _, n := range c.Nodes {
		fmt.Fprintf(&b, "--- %s, sidecar:\n%s--- %s, server:\n%s", n.Name, tail(n.Dir+"/"+n.Name+".sidecar.log", 40), n.Name,
			tail(n.Dir+"/"+n.Name+".server.log", 8)+tail(n.DataDir()+".pgvigil/postgres.log", 12))
	}
	return b.String()
}

func tail(file string, lines int) string {
	text, _ := os.ReadFile(file)
	all := strings.SplitAfter(string(text), "\n")
	return strings.Join(all[max(0, len(all)-1-lines):], "")
}

// Primary returns the node that the record calls the settled primary, nil when there is none.
func (c *Cluster) Primary(ctx context.Context) *Node {
	keys, err := c.Read(ctx)
	if err != nil || keys.Record == nil || keys.Record.Phase != watchdog.PhaseNormal {
		return nil
	}
	return c.Node(keys.Record.Primary)
}

// WaitPrimary waits for a settled primary that is none of not.
func (c *Cluster) WaitPrimary(ctx context.Context, within time.Duration, not ...*Node) (primary *Node, err error) {
	err = c.Until(ctx, "a settled primary", within, func() bool {
		primary = c.Primary(ctx)
		for _, n := range not {
			if primary == n {
				return false
			}
		}
		return primary != nil && primary.Ask(ctx, "SELECT NOT pg_is_in_recovery()") == "true"
	})
	return primary, err
}

// WaitWhole waits until there is a settled primary, every other node streams from it or from the standby that it is to follow,
// and all are confirmed members; where the lab's policy is quorum, those that stream from it are voters too.
func (c *Cluster) WaitWhole(ctx context.Context, within time.Duration) (primary *Node, err error) {
	err = c.Until(ctx, "a primary with every other node streaming from it", within, func() bool {
		primary = c.Primary(ctx)
		return primary != nil && c.whole(ctx, primary)
	})
	return primary, err
}

func (c *Cluster) whole(ctx context.Context, primary *Node) bool {
	keys, err := c.Read(ctx)
	if err != nil || keys.Record == nil || len(keys.Record.Members) < len(c.Nodes) || keys.Leader == "" || len(keys.Members) < len(c.Nodes) {
		return false
	}
	if d := keys.Record.Durability; strings.Contains(c.options.Policy, "durability: quorum") &&
		(d.Mode != watchdog.ModeQuorum || keys.Record.Next != nil || len(d.Voters) < len(c.Nodes)-1-len(c.options.Upstreams)) {
		return false
	}
	for _, n := range c.Nodes {
		up := primary
		if follows := c.Node(c.options.Upstreams[n.Name]); follows != nil {
			up = follows
		}
		if n != primary && !n.streamsFrom(ctx, up, keys.Record.Timeline) {
			return false
		}
	}
	return true
}

// streamsFrom says whether the node's receiver streams that timeline from the other. A diverged one streams for a moment, on
// the timeline before.
func (n *Node) streamsFrom(ctx context.Context, up *Node, timeline watchdog.Timeline) bool {
	return n.Ask(ctx, fmt.Sprintf("SELECT pg_is_in_recovery() AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming' AND sender_port = %d AND received_tli = %d)", up.Port, timeline)) == "true"
}

// WaitSidecar waits until the node's sidecar, started again, turns its loop.
func (c *Cluster) WaitSidecar(ctx context.Context, within time.Duration, n *Node) error {
	client := http.Client{Timeout: time.Second}
	return c.Until(ctx, "the sidecar of "+n.Name+" answers", within, func() bool {
		response, err := client.Get(n.API() + "/liveness")
		if err != nil {
			return false
		}
		return response.Body.Close() == nil && response.StatusCode == http.StatusOK
	})
}

// WaitFollowing waits until the node streams from that other on the record's timeline.
func (c *Cluster) WaitFollowing(ctx context.Context, within time.Duration, n, up *Node) error {
	return c.Until(ctx, n.Name+" streams from "+up.Name, within, func() bool {
		keys, err := c.Read(ctx)
		return err == nil && keys.Record != nil && n.streamsFrom(ctx, up, keys.Record.Timeline)
	})
}

// WaitStreaming waits until the node streams from the primary.
func (c *Cluster) WaitStreaming(ctx context.Context, within time.Duration, n *Node) error {
	return c.Until(ctx, n.Name+" streams", within, func() bool {
		p := c.Primary(ctx)
		if p == nil || p == n {
			return false
		}
		keys, err := c.Read(ctx)
		return err == nil && keys.Record != nil && n.streamsFrom(ctx, p, keys.Record.Timeline)
	})
}
