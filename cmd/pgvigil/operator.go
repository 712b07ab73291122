package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog"
)

// readBound is for one look at the cluster.
const readBound = 5 * time.Second

// store is what a command needs of where the cluster's keys are.
type store interface {
	eventSource
	Read(ctx context.Context) (watchdog.Cluster, error)
	Apply(ctx context.Context, change watchdog.Change) (int64, error)
	Close() error
}

// operator is a command at work on a cluster.
type operator struct {
	cfg   config.Client
	store store
	in    io.Reader
	out   io.Writer
	form  form
}

// operatorCommand completes a command that works on a cluster: it adds the flags by which the cluster is found and the output
// chosen, refuses arguments unless the command says that it has some, and runs act with the store open.
func operatorCommand(command *cli.Command, act func(c *cli.Context, o *operator) error) *cli.Command {
	command.Flags = append(append(clientFlags(), command.Flags...), outputFlag())
	command.Action = func(c *cli.Context) error {
		if command.ArgsUsage == "" {
			if err := noArguments(c); err != nil {
				return err
			}
		}
		o, err := openOperator(c)
		if err != nil {
			return err
		}
		defer o.store.Close()
		return act(c, o)
	}
	return command
}

func openOperator(c *cli.Context) (*operator, error) {
	form, err := formOf(c)
	if err != nil {
		return nil, err
	}
	cfg, err := loadClient(c)
	if err != nil {
		return nil, err
	}
	store, err := openStore(cfg.Config, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return &operator{cfg: cfg, store: store, in: c.App.Reader, out: c.App.Writer, form: form}, nil
}

// read is one consistent look at a cluster that exists. Its record may be unreadable.
func (o *operator) read(ctx context.Context) (watchdog.Cluster, error) {
	bounded, cancel := context.WithTimeout(ctx, readBound)
	defer cancel()
	cluster, err := o.store.Read(bounded)
	switch {
	case err != nil:
		return cluster, o.unreachable(err)
	case cluster.Record == nil && len(cluster.Members) == 0 && len(cluster.Garbage) == 0:
		return cluster, fail(exitNotFound, fmt.Errorf("etcd holds nothing of a cluster called %s: correct the name, or begin it with pgvigil run beside the primary", o.cfg.Cluster))
	}
	return cluster, nil
}

// readRecord is read, for a command that can do nothing without the record.
func (o *operator) readRecord(ctx context.Context) (watchdog.Cluster, error) {
	cluster, err := o.read(ctx)
	if err == nil && cluster.Record == nil {
		why := "there is none yet: run pgvigil beside the server that is the primary"
		if len(cluster.Garbage) > 0 {
			why = cluster.GarbageList()
		}
		err = fail(exitRefused, fmt.Errorf("the record of cluster %s cannot be read: %s", o.cfg.Cluster, why))
	}
	return cluster, err
}

// events are the newest events of a cluster that exists, oldest first.
func (o *operator) events(ctx context.Context, newest int) ([]watchdog.Event, error) {
	bounded, cancel := context.WithTimeout(ctx, readBound)
	defer cancel()
	events, err := o.store.Events(bounded, newest)
	if err != nil {
		return nil, o.unreachable(err)
	}
	if len(events) == 0 {
		_, err = o.read(ctx)
	}
	return events, err
}

func (o *operator) unreachable(err error) error { return unreachable(o.cfg.Config, err) }

// confirm asks the person unless it is sure already.
func (o *operator) confirm(question string, sure bool) error {
	if sure {
		return nil
	}
	fmt.Fprintf(o.out, "%s [y/N] ", question)
	line, _ := bufio.NewReader(o.in).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return fail(exitUsage, errors.New("not done: answer y, or give --yes"))
	}
	return nil
}
