package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func bootstrapCommand() *cli.Command {
	return &cli.Command{
		Name:  "bootstrap",
		Usage: "make a new cluster's first primary in an empty directory, and start it",
		Description: "initdb with checksums, the settings that replication needs, a replication role with a password of its own in a\n" +
			"passfile, and the lines of pg_hba.conf that let standbys in. It is made beside the data directory and renamed when it\n" +
			"is whole. A second run says what is there. As root the server is made and run as the directory's owner, or --user.",
		Flags: append(createFlags(),
			&cli.StringSliceFlag{Name: "hba", Usage: "`LINE` for pg_hba.conf; more than once for more"},
			&cli.StringFlag{Name: "locale", Value: "C.UTF-8", Usage: "`LOCALE` of the databases"},
		),
		Action: func(c *cli.Context) error {
			made, err := openCreation(c, c.StringSlice("hba"))
			if err != nil {
				return err
			}
			return bootstrap(c, made)
		},
	}
}

func bootstrap(c *cli.Context, made *creation) error {
	if made.Made() {
		return made.exists(c.Context)
	}
	cluster, err := made.look(c.Context)
	switch {
	case err == nil && cluster.Record != nil:
		return fail(exitRefused, fmt.Errorf("there is a cluster %s already, with the primary %s: make a standby of it with pgvigil join, or give the new one another name",
			made.cfg.Cluster, orNobody(cluster.Record.Primary)))
	case err != nil && !made.cfg.Etcd.Embedded.Enabled():
		fmt.Fprintf(c.App.ErrWriter, "pgvigil: whether there is a cluster %s already is not known: %v\n", made.cfg.Cluster, err)
	}
	made.plan(made.BootstrapPlan())
	if made.dry {
		return nil
	}
	if err := made.Bootstrap(c.Context, made.tell); err != nil {
		return fail(exitPostgres, err)
	}
	if err := made.writeConfig(); err != nil {
		return err
	}
	fmt.Fprintf(made.out, "%s is a primary at %s\n", made.cfg.Name, made.cfg.Postgres.Address)
	if file := made.Passfile(); file != "" {
		fmt.Fprintf(made.out, "copy %s to the hosts of the standbys, mode 0600: pgvigil join needs it there\n", file)
	}
	made.next(c.String("config"))
	return nil
}
