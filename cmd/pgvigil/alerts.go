package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog/alert"
	"github.com/pgvigil/pgvigil/watchdog/alert/sink"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

func alertCommand() *cli.Command {
	return &cli.Command{
		Name:  "alert",
		Usage: "see whether alerts arrive",
		Subcommands: []*cli.Command{{
			Name: "test", Usage: "send a test alert through the configured sinks, or one of them",
			Flags: append(configFlags([]keyFlag{storeFlags[0]}), &cli.StringFlag{Name: "sink", Usage: "through this one alone"}),
			Description: "It is sent from this host, whatever the sink's severity, and etcd is not asked. As root it is sent as the\n" +
				"data directory's owner, as the sidecar does.",
			Action: func(c *cli.Context) error {
				if err := noArguments(c); err != nil {
					return err
				}
				cfg, err := loadConfig(c, []keyFlag{storeFlags[0]})
				if err != nil {
					return err
				}
				if err := cfg.ForAlerts(); err != nil {
					return fail(exitConfig, err)
				}
				if cfg.Postgres.DataDir != "" {
					if err := becomeOwner(cfg.Postgres.DataDir); err != nil {
						return err
					}
				}
				return testAlerts(c.Context, c.App.Writer, cfg, c.String("sink"), time.Now())
			},
		}},
	}
}

// openSinks makes the sinks of the configuration.
func openSinks(configured []sink.Config) (routes []alert.Route, err error) {
	for _, c := range configured {
		route, failed := sink.Open(c)
		err = errors.Join(err, failed)
		routes = append(routes, route)
	}
	return routes, err
}

// openAlerts returns what delivers alerts beside the sidecar, nil if there is no sink.
func openAlerts(cfg config.Config, store alert.Store, member *sidecar.Sidecar, log *slog.Logger) (*alert.Notifier, error) {
	if len(cfg.Alerts) == 0 {
		return nil, nil
	}
	routes, err := openSinks(cfg.Alerts)
	if err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	return alert.New(alert.Options{
		Cluster: cfg.Cluster, Routes: routes, Store: store, Log: log, Tell: member.Tell,
		Standing: func() alert.Standing { return alert.StandingOf(member.Snapshot()) },
	}), nil
}

// testAlerts sends a test alert through the sink of that name, or all, side by side, and says of each whether it went.
func testAlerts(ctx context.Context, w io.Writer, cfg config.Config, only string, now time.Time) error {
	var chosen []sink.Config
	var names []string
	for _, s := range cfg.Alerts {
		names = append(names, s.Name)
		if only == "" || s.Name == only {
			chosen = append(chosen, s)
		}
	}
	switch {
	case len(names) == 0:
		return fail(exitConfig, errors.New("no sink is configured: give one under alerts, in the file that -c names"))
	case len(chosen) == 0:
		return fail(exitUsage, fmt.Errorf("there is no sink %q%s: there are %s", only, config.DidYouMean(only, names), strings.Join(names, ", ")))
	}
	from := cfg.Name
	if from == "" {
		from, _ = os.Hostname()
	}
	outcomes := make([]error, len(chosen))
	var sending sync.WaitGroup
	for i, c := range chosen {
		sending.Go(func() {
			route, err := sink.Open(c)
			if err == nil {
				bounded, cancel := context.WithTimeout(ctx, route.Timeout)
				defer cancel()
				err = route.Sink.Deliver(bounded, alert.Test(cfg.Cluster, from, now))
			}
			outcomes[i] = err
		})
	}
	sending.Wait()
	failed := 0
	for i, c := range chosen {
		said := "sent"
		if outcomes[i] != nil {
			failed++
			said = "failed: " + outcomes[i].Error()
		}
		fmt.Fprintf(w, "%s (%s): %s\n", c.Name, c.Type, said)
	}
	if failed > 0 {
		return fail(exitFailure, fmt.Errorf("%d of %d sinks did not take the test alert", failed, len(chosen)))
	}
	return nil
}
