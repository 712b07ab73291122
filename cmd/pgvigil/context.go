package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
)

func contextCommand() *cli.Command {
	return &cli.Command{
		Name:  "context",
		Usage: "choose among several clusters",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the clusters of the file of contexts", Flags: []cli.Flag{contextsFlag(), outputFlag()},
				Action: func(c *cli.Context) error {
					if err := noArguments(c); err != nil {
						return err
					}
					form, err := formOf(c)
					if err != nil {
						return err
					}
					contexts, err := readContexts(c)
					if err != nil {
						return err
					}
					return listContexts(c.App.Writer, contexts, form)
				},
			},
			{
				Name: "use", Usage: "make one of them the current one", ArgsUsage: "CONTEXT", Flags: []cli.Flag{contextsFlag()},
				Action: func(c *cli.Context) error {
					if c.NArg() != 1 {
						return fail(exitUsage, errors.New("give the name of one context: pgvigil context list shows them"))
					}
					contexts, err := readContexts(c)
					if err != nil {
						return err
					}
					if err := contexts.Use(c.Args().First()); err != nil {
						return fail(exitConfig, err)
					}
					_, err = fmt.Fprintf(c.App.Writer, "%s is the current context\n", c.Args().First())
					return err
				},
			},
		},
	}
}

func readContexts(c *cli.Context) (config.Contexts, error) {
	contexts, err := config.ReadContexts(c.String("contexts"))
	return contexts, fail(exitConfig, err)
}

// contextRow is one line of the list.
type contextRow struct {
	Name    string   `json:"name"`
	Current bool     `json:"current"`
	Cluster string   `json:"cluster,omitempty"`
	Etcd    []string `json:"etcd,omitempty"`
	API     []string `json:"api,omitempty"`
}

func listContexts(w io.Writer, contexts config.Contexts, form form) error {
	rows := []contextRow{}
	for _, name := range contexts.Names {
		found, err := contexts.Get(name)
		if err != nil {
			return fail(exitConfig, err)
		}
		rows = append(rows, contextRow{name, name == contexts.Current, found.Cluster, found.Etcd.Endpoints, found.API})
	}
	return form.show(w, rows, func() string {
		if len(rows) == 0 {
			return fmt.Sprintf("%s holds no contexts: see pgvigil's README for how one is written\n", contexts.File)
		}
		var b strings.Builder
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "CURRENT\tNAME\tCLUSTER\tREACHED AT")
		for _, row := range rows {
			mark := ""
			if row.Current {
				mark = "*"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", mark, row.Name, orDash(row.Cluster), strings.Join(append(row.Etcd, row.API...), ", "))
		}
		t.Flush()
		return trimLines(b.String())
	})
}
