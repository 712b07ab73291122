package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/watchdog"
)

// choreDeadline is for a restart or a reload, cloneDeadline for a copy of a big server.
const (
	choreDeadline = time.Minute
	cloneDeadline = 12 * time.Hour
)

func restartCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:      "restart",
		Usage:     "restart PostgreSQL on a member, or on all, one after the other",
		ArgsUsage: "[MEMBER]",
		Description: "A standby is shut down and started, and awaited until it streams again. The primary is restarted by a switchover, and\n" +
			"follows as a standby; with --in-place, or where nobody could take over, it is shut down and takes the next term itself.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "rolling", Usage: "the standbys one by one, then the primary"},
			&cli.StringFlag{Name: "role", Usage: "those of this `ROLE`: standby or primary"},
			&cli.BoolFlag{Name: "pending", Usage: "only where a setting waits for a restart"},
			&cli.BoolFlag{Name: "in-place", Usage: "the primary without a switchover"},
			yesFlag(),
			&cli.StringSliceFlag{Name: "ignore", Usage: "the primary: go on in spite of an `OBSTACLE`, as for a switchover"},
			&cli.DurationFlag{Name: "shutdown-timeout", Value: 10 * time.Second, Usage: "the primary: end its shutdown if it takes longer"},
			&cli.DurationFlag{Name: "timeout", Value: choreDeadline, Usage: "each must be done, and stream again, in so long"},
		},
	}, restart)
}

func reloadCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:        "reload",
		Usage:       "have PostgreSQL read its settings anew, on a member or on all",
		ArgsUsage:   "[MEMBER]",
		Description: "It says which settings changed and which wait for a restart. Where something in the files is wrong it is not reloaded.",
	}, func(c *cli.Context, o *operator) error {
		names, _, err := o.choose(c, "")
		if err != nil {
			return err
		}
		return o.each(c.Context, names, func(name string) watchdog.Operation { return newChore(watchdog.OperationReload, name, choreDeadline) })
	})
}

func reinitCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:        "reinit",
		Usage:       "clone a standby anew from the primary",
		ArgsUsage:   "MEMBER",
		Description: "The data directory that it has is kept beside. A voter is taken out of the voters first.",
		Flags:       []cli.Flag{yesFlag(), &cli.DurationFlag{Name: "timeout", Value: cloneDeadline, Usage: "it must stream again in so long"}},
	}, func(c *cli.Context, o *operator) error {
		name, err := oneMember(c)
		if err != nil {
			return err
		}
		if err := o.confirm(fmt.Sprintf("Clone %s of %s anew? It is down meanwhile, and cannot take over.", name, o.cfg.Cluster), c.Bool("yes")); err != nil {
			return err
		}
		return o.each(c.Context, []string{name}, func(name string) watchdog.Operation {
			return newChore(watchdog.OperationReinit, name, c.Duration("timeout"))
		})
	})
}

func removeCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:      "remove",
		Usage:     "take a standby out of the cluster for good",
		ArgsUsage: "MEMBER",
		Description: "Its sidecar, if it runs, ends and does not start again; PostgreSQL is left as it is. One that is gone is forgotten.\n" +
			"A voter is taken out of the voters first. Replication slots are yours to drop.",
		Flags: []cli.Flag{yesFlag(), &cli.DurationFlag{Name: "timeout", Value: choreDeadline, Usage: "it must have left in so long"}},
	}, func(c *cli.Context, o *operator) error {
		name, err := oneMember(c)
		if err != nil {
			return err
		}
		if err := o.confirm(fmt.Sprintf("Remove %s from %s?", name, o.cfg.Cluster), c.Bool("yes")); err != nil {
			return err
		}
		return o.each(c.Context, []string{name}, func(name string) watchdog.Operation {
			return newChore(watchdog.OperationRemove, name, c.Duration("timeout"))
		})
	})
}

func newChore(kind watchdog.OperationKind, member string, deadline time.Duration) watchdog.Operation {
	op := newOperation(kind)
	op.Member, op.Deadline = member, watchdog.Duration(deadline)
	return op
}

func oneMember(c *cli.Context) (string, error) {
	if c.NArg() != 1 {
		return "", fail(exitUsage, fmt.Errorf("name one member: pgvigil %s MEMBER", c.Command.Name))
	}
	return c.Args().First(), nil
}

func restart(c *cli.Context, o *operator) error {
	for _, name := range []string{"timeout", "shutdown-timeout"} {
		if d := c.Duration(name); d <= 0 {
			return fail(exitUsage, fmt.Errorf("--%s is %s: give more than 0", name, d))
		}
	}
	ways := c.NArg()
	for _, way := range []string{"rolling", "role"} {
		if c.IsSet(way) {
			ways++
		}
	}
	if ways != 1 {
		return fail(exitUsage, errors.New("say what to restart: one member, --rolling for all, or --role standby or primary"))
	}
	names, primary, err := o.choose(c, c.String("role"))
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Restart %s of %s?", strings.Join(names, ", then "), o.cfg.Cluster)
	if slices.Contains(names, primary) {
		question += fmt.Sprintf(" Sessions on %s are ended, and open transactions lost.", primary)
	}
	if err := o.confirm(question, c.Bool("yes")); err != nil {
		return err
	}
	return o.each(c.Context, names, func(name string) watchdog.Operation {
		op := newChore(watchdog.OperationRestart, name, c.Duration("timeout"))
		op.Pending, op.Ignore, op.Bound = c.Bool("pending"), c.StringSlice("ignore"), watchdog.Duration(c.Duration("shutdown-timeout"))
		op.InPlace = name == primary && c.Bool("in-place")
		return op
	})
}

// choose lists the members that a command is about: the one that is named, those of a role, or all, the primary last.
func (o *operator) choose(c *cli.Context, role string) (names []string, primary string, err error) {
	if c.NArg() > 1 {
		return nil, "", fail(exitUsage, errors.New("name one member, or none for all"))
	}
	cluster, err := o.readRecord(c.Context)
	if err != nil {
		return nil, "", err
	}
	primary = cluster.Record.Primary
	switch role {
	case "":
	case string(watchdog.RoleStandby), string(watchdog.RolePrimary):
	default:
		return nil, "", fail(exitUsage, fmt.Errorf("there is no role %q: give standby or primary", role))
	}
	if c.NArg() == 1 {
		return []string{c.Args().First()}, primary, nil
	}
	for _, name := range cluster.Record.Members {
		if name != primary && role != string(watchdog.RolePrimary) && !cluster.Members[name].Witness {
			names = append(names, name)
		}
	}
	if primary != "" && role != string(watchdog.RoleStandby) {
		names = append(names, primary)
	}
	if len(names) == 0 {
		err = fail(exitRefused, fmt.Errorf("there is no %s just now", role))
	}
	return names, primary, err
}

// each asks for one operation after the other, each awaited, and ends at the first that fails.
func (o *operator) each(ctx context.Context, names []string, make func(name string) watchdog.Operation) error {
	for _, name := range names {
		op := make(name)
		began := time.Now()
		if err := o.perform(ctx, op, op.Deadline.D()+choreDeadline, func(events []watchdog.Event) (outcome, bool) { return judgeChore(op, events) }); err != nil {
			return err
		}
		if op.Kind == watchdog.OperationRestart {
			if err := o.awaitStreaming(ctx, name, op.Deadline.D()-time.Since(began)); err != nil {
				return err
			}
		}
	}
	return nil
}

// judgeChore finds out from the events how a chore ended: by its own word, or for the primary by a hand-over.
func judgeChore(op watchdog.Operation, events []watchdog.Event) (outcome, bool) {
	for _, e := range events {
		if e.Facts["operation"] == op.ID && e.Kind == watchdog.EventOperation && e.Reason != watchdog.ReasonAsked {
			return outcome{Operation: op.ID, OK: e.Reason == watchdog.ReasonOperationDone, Message: e.Message}, true
		}
	}
	handed, ended := judgeHandOver(op.ID, op.Member, events)
	if !ended || handed.To == "" {
		return handed, false
	}
	handed.Message = fmt.Sprintf("restart of %s: %s took over, about %.0f ms without writes", op.Member, handed.To, handed.GapMS)
	if handed.To == op.Member {
		handed.Message = fmt.Sprintf("restart of %s: in place, about %.0f ms without writes", op.Member, handed.GapMS)
	}
	handed.OK = true
	return handed, true
}

// awaitStreaming waits until a member that was restarted serves again: as a standby that streams, or as the primary.
func (o *operator) awaitStreaming(ctx context.Context, name string, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		cluster, err := o.store.Read(ctx)
		if err == nil && cluster.Record != nil {
			s := o.lives(ctx, cluster)[name].status
			if s != nil && (s.Server.Streaming || s.Writable && cluster.Record.Primary == name) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fail(exitFailure, fmt.Errorf("%s was restarted, and is not back within its time: see pgvigil status", name))
		case <-tick.C:
		}
	}
}
