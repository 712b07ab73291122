package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/api"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

func stopCommand() *cli.Command {
	return &cli.Command{
		Name:  "stop",
		Usage: "end the sidecar on this host; with --postgres, the server beside it too",
		Description: "Without --postgres PostgreSQL and the guard are left as they are: a sidecar that is started again before the trust ends\n" +
			"takes both back. With it, a primary hands over first, if there is who could take over.",
		Flags: append(configFlags(storeFlags, memberFlags),
			&cli.BoolFlag{Name: "postgres", Usage: "shut PostgreSQL down too"},
			&cli.BoolFlag{Name: "no-hand-over", Usage: "with --postgres: do not hand over first, and do not ask the cluster"},
			yesFlag(),
			&cli.StringSliceFlag{Name: "ignore", Usage: "hand over in spite of an `OBSTACLE`, as for a switchover"},
			&cli.DurationFlag{Name: "timeout", Value: time.Minute, Usage: "for each of: the hand-over, the sidecar's end, the shutdown"}),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			cfg, err := loadConfig(c, storeFlags, memberFlags)
			if err != nil {
				return err
			}
			if err := cfg.ForMember(); err != nil {
				return fail(exitConfig, err)
			}
			s := &stopping{cfg: cfg, out: c.App.Writer, bound: c.Duration("timeout"), ignore: c.StringSlice("ignore")}
			if !c.Bool("postgres") {
				return s.sidecar(c.Context)
			}
			o := &operator{cfg: config.Client{Config: cfg}, in: c.App.Reader, out: c.App.Writer, form: asTable}
			if err := o.confirm(fmt.Sprintf("Shut PostgreSQL on %s of %s down?", cfg.Name, cfg.Cluster), c.Bool("yes")); err != nil {
				return err
			}
			return s.all(c.Context, o, !c.Bool("no-hand-over"))
		},
	}
}

// stopping is the end of what runs on this host.
type stopping struct {
	cfg    config.Config
	out    io.Writer
	bound  time.Duration
	ignore []string
}

// sidecar ends the sidecar alone. That none runs is as good.
func (s *stopping) sidecar(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, s.bound)
	defer cancel()
	switch err := sidecar.Stop(bounded, s.cfg.StateDir); {
	case errors.Is(err, sidecar.ErrNotRunning):
		fmt.Fprintf(s.out, "no sidecar runs with the state directory %s\n", s.cfg.StateDir)
	case err != nil:
		return err
	default:
		fmt.Fprintln(s.out, "the sidecar has ended, and PostgreSQL is left as it is; a primary's guard fences it when the trust is over, unless the sidecar is started again")
	}
	return nil
}

// all hands over where we are primary, ends the sidecar, which would start the server again, and shuts that down.
func (s *stopping) all(ctx context.Context, o *operator, handOver bool) error {
	if err := becomeOwner(s.cfg.Postgres.DataDir, s.cfg.StateDir); err != nil {
		return err
	}
	if handOver {
		if err := s.handOver(ctx, o); err != nil {
			return fmt.Errorf("%w; nothing was stopped, --no-hand-over does without", err)
		}
	}
	bounded, cancel := context.WithTimeout(ctx, s.bound)
	defer cancel()
	if err := sidecar.Stop(bounded, s.cfg.StateDir); err != nil && !errors.Is(err, sidecar.ErrNotRunning) {
		return err
	}
	server, err := openPostgres(ctx, s.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer server.Close()
	bounded, cancel = context.WithTimeout(ctx, s.bound)
	defer cancel()
	if err := server.Stop(bounded); err != nil {
		return fail(exitPostgres, fmt.Errorf("the sidecar has ended, and PostgreSQL was not shut down: %w", err))
	}
	fmt.Fprintln(s.out, "the sidecar has ended, and PostgreSQL is shut down: the sidecar, started again, starts it as a standby")
	return nil
}

// handOver leaves the primary's place to another, if we have it and there is another.
func (s *stopping) handOver(ctx context.Context, o *operator) error {
	client, err := openStore(s.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	o.store = etcdStore{client, s.cfg.Cluster, api.NewAsker()}
	defer o.store.Close()
	cluster, err := o.read(ctx)
	if err != nil {
		return err
	}
	switch r := cluster.Record; {
	case r == nil || r.Primary != s.cfg.Name:
		return nil
	case !anotherThere(cluster):
		fmt.Fprintln(s.out, "there is no other member that could take over: the cluster has no primary until this one is back")
		return nil
	}
	op := newOperation(watchdog.OperationSwitchover)
	op.From, op.Bound, op.Ignore = s.cfg.Name, watchdog.Duration(s.bound), s.ignore
	err = o.perform(ctx, op, s.bound+choreDeadline, func(events []watchdog.Event) (outcome, bool) {
		return judgeHandOver(op.ID, op.From, events)
	})
	if err != nil {
		return err
	}
	return o.awaitStreaming(ctx, s.cfg.Name, s.bound) // until it has all of its rejoining behind it
}

// anotherThere says whether a live member is meant to take over at all. Whether it could just now is for the primary to judge,
// which waits for what passes by itself, and says why not.
func anotherThere(c watchdog.Cluster) bool {
	for name, m := range c.Members {
		if name != c.Record.Primary && c.Record.Confirmed(name) && !m.Witness && !m.NoFailover {
			return true
		}
	}
	return false
}
