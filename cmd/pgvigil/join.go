package main

import (
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/watchdog"
)

func joinCommand() *cli.Command {
	return &cli.Command{
		Name:  "join",
		Usage: "make a standby of the cluster's primary in an empty directory, and start it",
		Description: "A base backup of the primary that etcd names, with the settings of a standby. It is made beside the data\n" +
			"directory and renamed when it is whole. A second run says what is there.",
		Flags: append(createFlags(), &cli.StringFlag{
			Name: "from", Usage: "`HOST:PORT` of the primary, where etcd cannot tell",
		}),
		Action: func(c *cli.Context) error {
			made, err := openCreation(c, nil)
			if err != nil {
				return err
			}
			return join(c, made)
		},
	}
}

func join(c *cli.Context, made *creation) error {
	if made.Made() {
		return made.exists(c.Context)
	}
	upstream, systemID := watchdog.Upstream{Name: c.String("from"), Address: c.String("from")}, ""
	if upstream.Address == "" {
		var err error
		if upstream, systemID, err = made.primary(c); err != nil {
			return err
		}
	}
	made.plan(made.JoinPlan(upstream))
	if made.dry {
		return nil
	}
	bar := &progressBar{out: made.out, terminal: isTerminal(made.out)}
	if err := made.Join(c.Context, upstream, systemID, made.tell, bar.show); err != nil {
		return fail(exitPostgres, err)
	}
	if err := made.writeConfig(); err != nil {
		return err
	}
	fmt.Fprintf(made.out, "%s streams from %s at %s\n", made.cfg.Name, upstream.Name, upstream.Address)
	made.next(c.String("config"))
	return nil
}

// primary finds the primary through etcd.
func (c *creation) primary(ctx *cli.Context) (upstream watchdog.Upstream, systemID string, err error) {
	cluster, err := c.look(ctx.Context)
	switch {
	case err != nil:
		return upstream, "", fmt.Errorf("%w; or name the primary with --from HOST:PORT", err)
	case cluster.Record == nil:
		return upstream, "", fail(exitNotFound, fmt.Errorf("there is no cluster %s yet: make its primary with pgvigil bootstrap, and start the sidecar there with pgvigil run", c.cfg.Cluster))
	}
	r := cluster.Record
	if _, taken := cluster.Members[c.cfg.Name]; taken || r.Primary == c.cfg.Name {
		return upstream, "", fail(exitRefused, fmt.Errorf("there is a member called %s already: give this one another name", c.cfg.Name))
	}
	primary, known := cluster.Members[r.Primary]
	if r.Phase != watchdog.PhaseNormal || !known || primary.Address == "" {
		return upstream, "", fail(exitRefused, fmt.Errorf("cluster %s has no primary at rest just now (%s): try again when pgvigil status shows one", c.cfg.Cluster, r.Phase))
	}
	return watchdog.Upstream{Name: r.Primary, Address: primary.Address}, r.SystemID, nil
}

// progressBar shows how far a copy is: in place on a terminal, else a line every few seconds.
type progressBar struct {
	out      io.Writer
	terminal bool
	shown    time.Time
}

const progressEvery = 5 * time.Second

func (p *progressBar) show(done, all int64) {
	if !p.terminal && done < all && time.Since(p.shown) < progressEvery {
		return
	}
	p.shown = time.Now()
	text := fmt.Sprintf("  %s of about %s", size(uint64(done)<<10), size(uint64(max(done, all))<<10))
	if p.terminal {
		fmt.Fprintf(p.out, "\r%s\x1b[K", text)
		if done >= all {
			fmt.Fprintln(p.out)
		}
		return
	}
	fmt.Fprintln(p.out, text)
}
