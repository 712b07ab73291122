package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/test/lab"
)

// measureUpgrades ends every sidecar in turn and starts it again, the primary's last, while sessions write without pause.
func measureUpgrades(ctx context.Context, c *lab.Cluster, times int) error {
	for i := range times {
		gap, slowest, err := upgrade(ctx, c)
		if err != nil {
			return err
		}
		fmt.Printf("every sidecar restarted in turn, run %2d: longest gap %4d ms, at %s\n", i+1, gap.Milliseconds(), slowest)
	}
	return nil
}

// settled is how long a sidecar that was started again is watched: its trust has been renewed since.
const settled = 2 * time.Second

func upgrade(ctx context.Context, c *lab.Cluster) (gap time.Duration, slowest string, err error) {
	primary, err := c.WaitWhole(ctx, time.Minute)
	if err != nil {
		return 0, "", err
	}
	w := c.StartWriter()
	defer w.Stop()
	if err := w.WaitAck(ctx, 10*time.Second, primary, time.Now().Add(time.Second)); err != nil {
		return 0, "", err
	}
	term, err := termOf(ctx, c)
	if err != nil {
		return 0, "", err
	}
	var nodes []*lab.Node
	for _, n := range c.Nodes {
		if n != primary {
			nodes = append(nodes, n)
		}
	}
	for _, n := range append(nodes, primary) {
		from := time.Now()
		if err := n.Sidecar().Stop(); err != nil {
			return 0, "", err
		}
		if err := n.StartSidecar(); err != nil {
			return 0, "", err
		}
		if err := c.WaitSidecar(ctx, 10*time.Second, n); err != nil {
			return 0, "", err
		}
		if err := w.WaitAck(ctx, 10*time.Second, primary, time.Now().Add(settled)); err != nil {
			return 0, "", err
		}
		if g := w.Gap(from); g > gap {
			gap, slowest = g, n.Name
		}
	}
	w.Stop()
	switch now, err := termOf(ctx, c); {
	case err != nil:
		return 0, "", err
	case now != term:
		return 0, "", fmt.Errorf("the upgrade took the cluster from term %d to %d", term, now)
	}
	v, err := w.Verify(ctx, primary)
	if err == nil && len(v.Lost) > 0 {
		err = fmt.Errorf("the upgrade lost %d acknowledged writes", len(v.Lost))
	}
	return gap, slowest, err
}

func termOf(ctx context.Context, c *lab.Cluster) (uint64, error) {
	keys, err := c.Read(ctx)
	if err != nil {
		return 0, err
	}
	return uint64(keys.Record.Term), nil
}
