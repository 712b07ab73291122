package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/pgctl"
	"github.com/pgvigil/pgvigil/watchdog"
)

// createFlags are those of the commands that make a server.
func createFlags() []cli.Flag {
	return append(configFlags(storeFlags, memberFlags),
		&cli.BoolFlag{Name: "dry-run", Usage: "only say what would be done"},
		&cli.StringFlag{Name: "user", Usage: "operating-system `USER` that is to own the server (default: the data directory's owner; as root postgres)"},
		&cli.StringFlag{Name: "passfile", Usage: "`FILE` with the replication role's password (default: replication.pgpass in the state directory)"},
		&cli.StringSliceFlag{Name: "set", Usage: "`NAME=VALUE` for postgresql.conf; more than once for more"},
		&cli.StringFlag{Name: "write-config", Usage: "write the sidecar's configuration to `FILE`"},
	)
}

// creation is a command that makes a server.
type creation struct {
	*pgctl.Creation
	cfg    config.Config
	out    io.Writer
	dry    bool
	target string // of --write-config
}

// openCreation reads the configuration and finds out what there is.
func openCreation(c *cli.Context, hba []string) (*creation, error) {
	if err := noArguments(c); err != nil {
		return nil, err
	}
	cfg, err := loadConfig(c, storeFlags, memberFlags)
	if err != nil {
		return nil, err
	}
	if err := cfg.ForMember(); err != nil {
		return nil, fail(exitConfig, err)
	}
	p := cfg.Postgres
	made, err := pgctl.Create(c.Context, pgctl.Blueprint{
		Config: pgctl.Config{
			Name: cfg.Name, DataDir: p.DataDir, BinDir: p.BinDir, StateDir: cfg.StateDir, Address: p.Address, Replication: p.Replication,
			Rewind: p.Rewind, Connect: p.Connect, StartCommand: p.StartCommand, StopCommand: p.StopCommand,
		},
		User: c.String("user"), Passfile: c.String("passfile"), Locale: c.String("locale"), Settings: c.StringSlice("set"), HBA: hba,
	})
	if errors.Is(err, pgctl.ErrOccupied) {
		return nil, fail(exitRefused, err)
	}
	if err != nil {
		return nil, fail(exitPostgres, err)
	}
	return &creation{Creation: made, cfg: cfg, out: c.App.Writer, dry: c.Bool("dry-run"), target: c.String("write-config")}, nil
}

// plan says what is done, or would be.
func (c *creation) plan(steps []string) {
	if c.dry {
		fmt.Fprintln(c.out, "it would be done:")
	}
	for i, step := range append(steps, c.configStep()...) {
		fmt.Fprintf(c.out, "%d. %s\n", i+1, step)
	}
}

func (c *creation) configStep() []string {
	if c.target == "" {
		return nil
	}
	return []string{"write the sidecar's configuration to " + c.target}
}

// tell says which step has begun.
func (c *creation) tell(step string) { fmt.Fprintf(c.out, "… %s\n", step) }

// exists ends a second run well: it says what is there.
func (c *creation) exists(ctx context.Context) error {
	if c.dry {
		fmt.Fprintf(c.out, "%s holds a server that an earlier run made: nothing would be made\n", c.cfg.Postgres.DataDir)
		return nil
	}
	what, err := c.Existing(ctx)
	if err != nil {
		return fail(exitPostgres, err)
	}
	fmt.Fprintln(c.out, what)
	return c.writeConfig()
}

// writeConfig writes the sidecar's configuration where that was asked for. A file with other content is left as it is.
func (c *creation) writeConfig() error {
	if c.target == "" {
		return nil
	}
	text, left, err := c.cfg.File(map[string]string{"postgres.replication": c.Replication()})
	if err != nil {
		return fail(exitConfig, err)
	}
	switch there, err := os.ReadFile(c.target); {
	case err == nil && bytes.Equal(there, text):
		return nil
	case err == nil:
		return fail(exitConfig, fmt.Errorf("%s is there with other content, and was left as it is: move it away, or compare it with\n%s", c.target, text))
	case !errors.Is(err, fs.ErrNotExist):
		return fail(exitConfig, err)
	}
	if err := os.MkdirAll(filepath.Dir(c.target), 0o755); err != nil {
		return fail(exitConfig, err)
	}
	if err := os.WriteFile(c.target, text, 0o644); err != nil {
		return fail(exitConfig, err)
	}
	for _, secret := range left {
		fmt.Fprintf(c.out, "%s was not written to %s, which everybody may read: give it as a file or in the environment\n", secret, c.target)
	}
	return nil
}

// next says how the sidecar is started.
func (c *creation) next(file string) {
	if c.target != "" {
		file = c.target
	} else if c.cfg.Postgres.Replication == "" {
		fmt.Fprintf(c.out, "put into the sidecar's configuration, under postgres:\n  replication: %s\n", c.Replication())
	}
	if file == "" {
		file = "FILE"
	}
	fmt.Fprintf(c.out, "now start its sidecar: pgvigil run -c %s\n", file)
}

// look reads what etcd holds of the cluster; known is false where etcd does not answer.
func (c *creation) look(ctx context.Context) (cluster watchdog.Cluster, known error) {
	store, err := openStore(c.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return cluster, err
	}
	defer store.Close()
	bounded, cancel := context.WithTimeout(ctx, readBound)
	defer cancel()
	if cluster, err = store.Read(bounded); err != nil {
		return cluster, unreachable(c.cfg, err)
	}
	return cluster, nil
}
