package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	_ "github.com/pgvigil/pgvigil/cmd/pgvigil/guardian" // runs the guard process and ends there, if this is one
)

// version is set by the linker: see the Makefile.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := execute(ctx, os.Args, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	app := newApp(stdout, stderr)
	if err := app.RunContext(ctx, args); err != nil {
		fmt.Fprintf(stderr, "pgvigil: %v\n", err)
		return codeOf(err)
	}
	return exitOK
}

func newApp(stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:            "pgvigil",
		Usage:           "automatic failover for PostgreSQL streaming replication",
		Version:         buildVersion(),
		HideVersion:     true, // there is a command
		HideHelpCommand: true,
		Writer:          stdout,
		ErrWriter:       stderr,
		ExitErrHandler:  func(*cli.Context, error) {},
		OnUsageError:    usageError,
		Commands:        commands(),
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fail(exitUsage, fmt.Errorf("there is no command %q: see pgvigil --help", c.Args().First()))
			}
			return cli.ShowAppHelp(c)
		},
		CustomAppHelpTemplate: cli.AppHelpTemplate + exitCodeHelp(),
	}
	for _, command := range app.Commands {
		command.OnUsageError = usageError
		command.HideHelpCommand = true
	}
	return app
}

func usageError(_ *cli.Context, err error, _ bool) error {
	return fail(exitUsage, fmt.Errorf("%w: see --help", err))
}

// noArguments refuses what would silently have no effect.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return fail(exitUsage, fmt.Errorf("%s takes no argument such as %q: see pgvigil %s --help", c.Command.Name, c.Args().First(), c.Command.Name))
	}
	return nil
}

// flagsFirst refuses a flag after an argument, which would be taken for one.
func flagsFirst(c *cli.Context) error {
	for _, argument := range c.Args().Slice() {
		if strings.HasPrefix(argument, "-") {
			return fail(exitUsage, fmt.Errorf("%s comes too late: give flags before %q", argument, c.Args().First()))
		}
	}
	return nil
}

// buildVersion is what the linker was told, else what Go noted of the module.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
