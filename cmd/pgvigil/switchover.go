package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

func switchoverCommand() *cli.Command {
	return &cli.Command{
		Name:  "switchover",
		Usage: "hand the primary over to a standby, as planned: nothing is lost, and the old primary follows",
		Description: "The primary's own sidecar carries it out: it looks for what speaks against it, checkpoints, shuts its server down and\n" +
			"names the heir. If that fails the old primary goes on or is put back.",
		Flags: append(configFlags(storeFlags),
			&cli.StringFlag{Name: "to", Usage: "the `MEMBER` that is to take over (default: the best)"},
			&cli.StringFlag{Name: "from", Usage: "only if this `MEMBER` is the primary still"},
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would happen, and do nothing"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
			&cli.StringSliceFlag{Name: "ignore", Usage: "go on in spite of an `OBSTACLE`: archive, logical, transactions, prepared"},
			&cli.DurationFlag{Name: "shutdown-timeout", Value: 10 * time.Second, Usage: "put the old primary back if its shutdown takes longer"},
			&cli.DurationFlag{Name: "wait", Value: time.Minute, Usage: "wait so long for the outcome; 0: do not wait"},
			outputFlag()),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			asJSON, err := wantsJSON(c)
			if err != nil {
				return err
			}
			if bound := c.Duration("shutdown-timeout"); bound <= 0 {
				return fail(exitUsage, fmt.Errorf("--shutdown-timeout is %s: give more than 0", bound))
			}
			cfg, store, err := clientOf(c)
			if err != nil {
				return err
			}
			defer store.Close()
			o := watchdog.Operation{
				ID: rand.Text()[:8], Kind: watchdog.OperationSwitchover, From: c.String("from"), To: c.String("to"), By: asker(), Since: time.Now().Round(time.Millisecond),
				Bound: watchdog.Duration(c.Duration("shutdown-timeout")), Ignore: c.StringSlice("ignore"), DryRun: c.Bool("dry-run"),
			}
			s := &switchover{cfg: cfg, store: store, out: c.App.Writer, in: c.App.Reader, asJSON: asJSON, wait: c.Duration("wait")}
			return s.run(c.Context, o, c.Bool("yes") || o.DryRun)
		},
	}
}

// asker is who we are, for those who read the history.
func asker() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	user := os.Getenv("SUDO_USER")
	if user == "" {
		user = os.Getenv("USER")
	}
	if user == "" {
		return "pgvigil on " + host
	}
	return user + " on " + host
}

// operationStore is what an operation needs of etcd.
type operationStore interface {
	applier
	Read(ctx context.Context) (watchdog.Cluster, error)
	Events(ctx context.Context, newest int) ([]watchdog.Event, error)
}

// switchover is one run of the command.
type switchover struct {
	cfg    config.Config
	store  operationStore
	in     io.Reader
	out    io.Writer
	asJSON bool
	wait   time.Duration
}

// outcome is what came of it, in the shape that programs read.
type outcome struct {
	Operation string  `json:"operation"`
	OK        bool    `json:"ok"`
	Message   string  `json:"message"`
	From      string  `json:"from"`
	To        string  `json:"to,omitempty"`
	Term      uint64  `json:"term,omitempty"`
	GapMS     float64 `json:"gap_ms,omitempty"` // from the shutdown to the first moment of the new primary, by their own clocks
}

func (s *switchover) run(ctx context.Context, o watchdog.Operation, sure bool) error {
	cluster, err := s.read(ctx)
	if err != nil {
		return err
	}
	if err := exists(s.cfg, cluster); err != nil {
		return err
	}
	if !sure {
		if err := s.confirm(cluster, o); err != nil {
			return err
		}
	}
	from, err := s.ask(ctx, o)
	if err != nil {
		return err
	}
	if s.wait == 0 {
		return s.tell(outcome{Operation: o.ID, OK: true, From: from, Message: "asked for; pgvigil history tells what comes of it"})
	}
	ended, err := s.await(ctx, o.ID, from)
	if err != nil {
		return err
	}
	return s.conclude(ended)
}

// conclude tells the outcome, and fails where nothing came of it.
func (s *switchover) conclude(o outcome) error {
	if err := s.tell(o); err != nil {
		return err
	}
	if !o.OK {
		return fail(exitFailure, errors.New("it did not take place: mend what is said above, and ask again"))
	}
	return nil
}

func (s *switchover) read(ctx context.Context) (watchdog.Cluster, error) {
	bounded, cancel := context.WithTimeout(ctx, readBound)
	defer cancel()
	cluster, err := s.store.Read(bounded)
	if err != nil {
		return cluster, unreachable(s.cfg, err)
	}
	return cluster, nil
}

func (s *switchover) confirm(cluster watchdog.Cluster, o watchdog.Operation) error {
	to := o.To
	if to == "" {
		to = "the best standby"
	}
	primary := "nobody"
	if cluster.Record != nil {
		primary = cluster.Record.Primary
	}
	fmt.Fprintf(s.out, "Hand %s over from %s to %s? Sessions are ended, and open transactions lost. [y/N] ", s.cfg.Cluster, primary, to)
	line, _ := bufio.NewReader(s.in).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return fail(exitUsage, errors.New("not done: answer y, or give --yes"))
	}
	return nil
}

// ask puts the operation into the record; a change of the record in between only has it read again.
func (s *switchover) ask(ctx context.Context, o watchdog.Operation) (from string, err error) {
	for range 5 {
		cluster, err := s.read(ctx)
		if err != nil {
			return "", err
		}
		if o.From == "" && cluster.Record != nil {
			o.From = cluster.Record.Primary // another's command may be carried out before ours is in
		}
		change, err := watchdog.AskChange(cluster, o)
		if err != nil {
			return "", fail(exitRefused, err)
		}
		stamp(&change)
		bounded, cancel := context.WithTimeout(ctx, readBound)
		_, err = s.store.Apply(bounded, change)
		cancel()
		switch {
		case err == nil:
			return cluster.Record.Primary, nil
		case !errors.Is(err, sidecar.ErrCompareLost):
			return "", fail(exitEtcd, fmt.Errorf("ask for it: %w: see with pgvigil history whether it was", err))
		}
	}
	return "", fail(exitRefused, errors.New("the cluster changes too often just now: try again"))
}

// await waits until the operation has ended, and for a hand-over until its heir accepts writes.
func (s *switchover) await(ctx context.Context, id, from string) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		cluster, err := s.store.Read(ctx)
		if err == nil && cluster.Record != nil && (cluster.Record.Operation == nil || cluster.Record.Operation.ID != id) {
			events, err := s.store.Events(ctx, 50)
			if err == nil {
				if ended, is := judge(id, from, events); is {
					return ended, nil
				}
			}
		}
		select {
		case <-ctx.Done():
			return outcome{}, fail(exitFailure, fmt.Errorf("no outcome of operation %s within %s: it may still end either way; see pgvigil status and history", id, s.wait))
		case <-tick.C:
		}
	}
}

// judge finds out from the events how the operation ended.
func judge(id, from string, events []watchdog.Event) (o outcome, ended bool) {
	o = outcome{Operation: id, From: from}
	var term watchdog.Term
	for _, e := range events {
		switch {
		case e.Facts["operation"] == id && e.Kind == watchdog.EventOperation && e.Reason != watchdog.ReasonAsked:
			o.OK, o.Message = e.Reason == watchdog.ReasonDryRun, e.Message
			return o, true
		case e.Facts["operation"] == id && (e.Kind == watchdog.EventHandOver || e.Kind == watchdog.EventSurrender || e.Kind == watchdog.EventNamed):
			term = e.Term
			o.GapMS = e.TimingsMS["stop"] + e.TimingsMS["fence"] + e.TimingsMS["find_end"]
		case term != 0 && e.Term >= term && e.Kind == watchdog.EventPromoted:
			o.To, o.Term, o.GapMS = e.Member, uint64(e.Term), o.GapMS+e.TimingsMS["named_to_writable"]
			o.OK = e.Member != from
			if from == "" {
				o.Message = e.Member + " is primary"
				return o, true
			}
			o.Message = fmt.Sprintf("%s handed over to %s, about %.0f ms without writes", from, e.Member, o.GapMS)
			if !o.OK {
				o.Message = fmt.Sprintf("%s was put back after its shutdown, about %.0f ms without writes", from, o.GapMS)
			}
			return o, true
		}
	}
	return o, false
}

func (s *switchover) tell(o outcome) error {
	if s.asJSON {
		return json.NewEncoder(s.out).Encode(o)
	}
	_, err := fmt.Fprintln(s.out, o.Message)
	return err
}
