package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/election"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/api"
	"github.com/pgvigil/pgvigil/watchdog/request"
)

// readBound is for one look at the cluster.
const readBound = 5 * time.Second

// store is what a command needs of where the cluster's keys are.
type store interface {
	eventSource
	Read(ctx context.Context) (watchdog.Cluster, error)
	// Ask puts a request into the record: request.ErrRefused and ErrUnread, or the outcome is unknown.
	// It returns the record's new sequence number.
	Ask(ctx context.Context, r watchdog.Request) (seq uint64, err error)
	// Members are what the sidecars of the cluster that was read say now.
	Members(ctx context.Context, c watchdog.Cluster) map[string]api.Answer
	Close() error
}

// etcdStore is etcd itself, and the members asked from here.
type etcdStore struct {
	*election.Client
	cluster string
	asker   *http.Client
}

func (s etcdStore) Members(ctx context.Context, c watchdog.Cluster) map[string]api.Answer {
	return api.AskMembers(ctx, s.asker, s.cluster, c.Members)
}

func (s etcdStore) Ask(ctx context.Context, r watchdog.Request) (uint64, error) {
	return request.Ask(ctx, s.Client, r, time.Now)
}

// operator is a command at work on a cluster.
type operator struct {
	cfg   config.Client
	store store
	in    io.Reader
	out   io.Writer
	form  form
	paint palette
	// person: somebody sits at the terminal that in is.
	person bool
}

// operatorCommand completes a command that works on a cluster: it adds the flags by which the cluster is found and the output
// chosen, refuses arguments unless the command says that it has some, and runs act with the store open.
func operatorCommand(command *cli.Command, act func(c *cli.Context, o *operator) error) *cli.Command {
	command.Flags = append(append(clientFlags(), command.Flags...), outputFlag(), noColourFlag())
	command.Action = func(c *cli.Context) error {
		if err := arguments(c, command); err != nil {
			return err
		}
		for _, argument := range c.Args().Slice() {
			if strings.HasPrefix(argument, "-") {
				return fail(exitUsage, fmt.Errorf("give %s before %s", argument, c.Args().First()))
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

// arguments refuses those that the command does not have, and flags that stand behind them: they would be taken for more.
func arguments(c *cli.Context, command *cli.Command) error {
	if command.ArgsUsage == "" {
		return noArguments(c)
	}
	for _, word := range c.Args().Slice() {
		if len(word) > 1 && word[0] == '-' {
			return fail(exitUsage, fmt.Errorf("%s stands behind an argument: flags go first, pgvigil %s %s ... %s", word, command.Name, word, command.ArgsUsage))
		}
	}
	return nil
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
	o := &operator{cfg: cfg, in: c.App.Reader, out: c.App.Writer, form: form, paint: paletteFor(c, c.App.Writer), person: isTerminal(c.App.Reader)}
	if len(cfg.API) > 0 {
		ctx, cancel := context.WithTimeout(c.Context, readBound)
		defer cancel()
		remote, err := openRemote(ctx, cfg)
		if err != nil {
			return nil, err
		}
		o.store, o.cfg.Cluster = remote, remote.cluster
		return o, nil
	}
	client, err := openStore(cfg.Config, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	o.store = etcdStore{client, cfg.Cluster, api.NewAsker()}
	return o, nil
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

func (o *operator) unreachable(err error) error {
	if len(o.cfg.API) > 0 {
		return unreachableAPI(o.cfg, err)
	}
	return unreachable(o.cfg.Config, err)
}

// lives are what the members of the cluster that was read say now.
func (o *operator) lives(ctx context.Context, c watchdog.Cluster) map[string]live {
	bounded, cancel := context.WithTimeout(ctx, readBound)
	defer cancel()
	lives := map[string]live{}
	for name, answer := range o.store.Members(bounded, c) {
		lives[name] = live{answer.Status, answer.Error}
	}
	return lives
}

// request asks the cluster for something, and returns the record's sequence number with which it is asked for.
func (o *operator) request(ctx context.Context, r watchdog.Request) (seq uint64, err error) {
	bounded, cancel := context.WithTimeout(ctx, readBound)
	defer cancel()
	r.By = asker()
	switch seq, err = o.store.Ask(bounded, r); {
	case err == nil:
		return seq, nil
	case errors.Is(err, request.ErrRefused):
		return 0, fail(exitRefused, err)
	case errors.Is(err, request.ErrUnread):
		return 0, o.unreachable(err)
	default:
		return 0, fail(exitEtcd, fmt.Errorf("ask for it: %w: see with pgvigil history whether it was", err))
	}
}

// confirm asks the person unless it is sure already. Where nobody can answer, it is an error that says so.
func (o *operator) confirm(question string, sure bool) error {
	if sure {
		return nil
	}
	if !o.person {
		return fail(exitUsage, errors.New("not done: this asks first, and standard input is no terminal to answer on: give --yes"))
	}
	fmt.Fprintf(o.out, "%s [y/N] ", question)
	line, _ := bufio.NewReader(o.in).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return fail(exitUsage, errors.New("not done: answer y, or give --yes"))
	}
	return nil
}
