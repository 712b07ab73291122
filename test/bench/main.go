package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/pgvigil/pgvigil/test/lab"
)

func main() {
	idle := flag.Duration("idle", time.Minute, "for how long to watch an idle cluster; 0: not")
	failovers := flag.Int("failovers", 10, "how often to kill the postmaster; 0: not")
	upgrades := flag.Int("upgrades", 3, "how often to restart every sidecar in turn; 0: not")
	preset := flag.String("preset", "default", "policy")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, *idle, *failovers, *upgrades, *preset)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, idle time.Duration, failovers, upgrades int, preset string) (err error) {
	dir, err := os.MkdirTemp("", "pgvigil-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "pgvigil")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "github.com/pgvigil/pgvigil/cmd/pgvigil")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build pgvigil: %w\n%s", err, out)
	}
	c, err := lab.New(ctx, lab.Options{Executable: program, Preset: preset})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.StartSidecars(); err != nil {
		return err
	}
	if _, err := c.WaitWhole(ctx, time.Minute); err != nil {
		return err
	}
	if idle > 0 {
		if err := measureIdle(ctx, c, idle); err != nil {
			return err
		}
	}
	if err := measureFailovers(ctx, c, failovers); err != nil {
		return err
	}
	return measureUpgrades(ctx, c, upgrades)
}

// measureIdle watches sidecars and guards of a cluster in which nothing happens.
func measureIdle(ctx context.Context, c *lab.Cluster, idle time.Duration) error {
	before := map[string]lab.Usage{}
	primary := c.Primary(ctx)
	for _, n := range c.Nodes {
		u, err := n.Usage()
		if err != nil {
			return err
		}
		before[n.Name] = u
	}
	began := time.Now()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(idle):
	}
	fmt.Printf("idle for %s, sidecar and guard together, etcd apart\n%-8s %-8s %14s %10s\n", idle, "node", "role", "% of a core", "PSS MB")
	for _, n := range c.Nodes {
		u, err := n.Usage()
		if err != nil {
			return err
		}
		role := "standby"
		if n == primary {
			role = "primary"
		}
		share := 100 * float64(u.CPU-before[n.Name].CPU) / float64(time.Since(began))
		fmt.Printf("%-8s %-8s %14.2f %10.1f\n", n.Name, role, share, float64(u.PSS)/(1<<20))
	}
	return nil
}

// measureFailovers kills the postmaster of whoever is primary, again and again.
func measureFailovers(ctx context.Context, c *lab.Cluster, times int) error {
	var gaps []time.Duration
	for i := range times {
		gap, lost, err := failover(ctx, c)
		if err != nil {
			return err
		}
		fmt.Printf("postmaster killed, run %2d: longest gap %4d ms, %d acknowledged writes lost\n", i+1, gap.Milliseconds(), lost)
		gaps = append(gaps, gap)
	}
	if len(gaps) > 0 {
		slices.Sort(gaps)
		fmt.Printf("median %d ms, worst %d ms of %d\n", gaps[len(gaps)/2].Milliseconds(), gaps[len(gaps)-1].Milliseconds(), len(gaps))
	}
	return nil
}

func failover(ctx context.Context, c *lab.Cluster) (gap time.Duration, lost int, err error) {
	old, err := c.WaitWhole(ctx, time.Minute)
	if err != nil {
		return 0, 0, err
	}
	w := c.StartWriter()
	defer w.Stop()
	if err := w.WaitAck(ctx, 10*time.Second, old, time.Now().Add(time.Second)); err != nil {
		return 0, 0, err
	}
	from := time.Now()
	if err := old.KillPostmaster(); err != nil {
		return 0, 0, err
	}
	fresh, err := c.WaitPrimary(ctx, 30*time.Second, old)
	if err != nil {
		return 0, 0, err
	}
	if err := w.WaitAck(ctx, 10*time.Second, fresh, from); err != nil {
		return 0, 0, err
	}
	gap = w.Gap(from)
	if _, err := c.WaitWhole(ctx, time.Minute); err != nil {
		return 0, 0, err
	}
	w.Stop()
	v, err := w.Verify(ctx, fresh)
	return gap, len(v.Lost), err
}
