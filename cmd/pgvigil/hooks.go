package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/hook"
)

func hooksCommand() *cli.Command {
	flags := append(configFlags([]keyFlag{storeFlags[0]}), &cli.BoolFlag{
		Name: "dry-run", Usage: "only show the commands, and what they would be told",
	})
	return &cli.Command{
		Name:  "hooks",
		Usage: "try the commands that are run when a member's role changes",
		Subcommands: []*cli.Command{{
			Name: "test", Usage: "run the commands of an occasion, with PGVIGIL_TEST=true", ArgsUsage: strings.Join(occasions(), "|"),
			Flags: flags,
			Description: "They are run on this host, in order and within their timeouts, whatever the state of the cluster, and\n" +
				"neither etcd nor PostgreSQL is touched. As root they are run as the data directory's owner, as the sidecar does.",
			Action: func(c *cli.Context) error {
				if err := flagsFirst(c); err != nil {
					return err
				}
				if c.NArg() != 1 {
					return fail(exitUsage, fmt.Errorf("give one occasion: %s", strings.Join(occasions(), ", ")))
				}
				cfg, err := loadConfig(c, []keyFlag{storeFlags[0]})
				if err != nil {
					return err
				}
				if err := cfg.ForHooks(); err != nil {
					return fail(exitConfig, err)
				}
				return testHooks(c.Context, c.App.Writer, cfg, hook.Kind(c.Args().First()), c.Bool("dry-run"))
			},
		}},
	}
}

func occasions() (names []string) {
	for _, kind := range hook.Kinds {
		names = append(names, string(kind))
	}
	return names
}

// openHooks returns what runs the hooks beside the sidecar, nil if there are none.
func openHooks(cfg config.Config, log *slog.Logger) (*hook.Runner, error) {
	if !cfg.Hooks.Any() {
		return nil, nil
	}
	return hook.Open(hook.Options{Cluster: cfg.Cluster, StateDir: cfg.StateDir, Hooks: cfg.Hooks, Wall: clock{}.Wall, Log: log})
}

// testHooks runs the commands of an occasion, or shows them, and says of each how it ended.
func testHooks(ctx context.Context, w io.Writer, cfg config.Config, kind hook.Kind, dry bool) error {
	commands := cfg.Hooks.Of(kind)
	switch {
	case !slices.Contains(hook.Kinds, kind):
		return fail(exitUsage, fmt.Errorf("there is no occasion %q%s: there are %s", kind, config.DidYouMean(string(kind), occasions()), strings.Join(occasions(), ", ")))
	case len(commands) == 0:
		return fail(exitConfig, fmt.Errorf("no command is configured: give one under hooks.%s, in the file that -c names", kind))
	}
	if cfg.Postgres.DataDir != "" && !dry {
		if err := becomeOwner(cfg.Postgres.DataDir); err != nil {
			return err
		}
	}
	e := hook.Event{
		Event: kind, Cluster: cfg.Cluster, Member: cfg.Name, Role: watchdog.RoleUnknown, OldPrimary: cfg.Name, NewPrimary: cfg.Name,
		Time: time.Now(), Test: true,
	}
	if e.Member == "" {
		e.Member, _ = os.Hostname()
	}
	if dry {
		return showHooks(w, commands, e)
	}
	failed := 0
	for _, c := range commands {
		began := time.Now()
		said, err := hook.Execute(ctx, c, e)
		outcome := "done"
		if err != nil {
			failed++
			outcome = "failed: " + err.Error()
		}
		fmt.Fprintf(w, "%s: %s, after %s\n", c, outcome, time.Since(began).Round(time.Millisecond))
		if said != "" {
			fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(said, "\n", "\n  "))
		}
	}
	if failed > 0 {
		return fail(exitFailure, fmt.Errorf("%d of %d commands failed", failed, len(commands)))
	}
	return nil
}

func showHooks(w io.Writer, commands []hook.Command, e hook.Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	for _, c := range commands {
		fmt.Fprintf(w, "would run, for at most %s: %s\n", c.Limit(e.Event), c)
	}
	fmt.Fprintf(w, "environment:\n  %s\nstandard input:\n  %s\n", strings.Join(e.Environment(), "\n  "), line)
	return nil
}
