package main

import (
	"context"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// watchEvery is how often status --watch looks.
const watchEvery = time.Second

func statusCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:  "status",
		Usage: "show the cluster: who is primary, who follows, what is wrong",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "show it again each second, until interrupted"}},
	}, func(c *cli.Context, o *operator) error {
		s := &statusView{operator: o, terminal: isTerminal(o.out)}
		if c.Bool("watch") {
			return s.watch(c.Context)
		}
		r, err := s.look(c.Context)
		if err != nil {
			return err
		}
		return o.form.show(o.out, r, func() string { return renderStatus(r, time.Now(), s.paint) })
	})
}

type statusView struct {
	*operator
	terminal bool
}

// watch shows the report until ctx ends: in place on a terminal, else one after the other. An etcd that does not answer is
// shown like everything else, and looked for again.
func (s *statusView) watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	first := true
	for {
		r, err := s.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := s.show(r, err, first); err != nil {
			return err
		}
		first = false
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *statusView) show(r report, failed error, first bool) error {
	if s.form != asTable && failed != nil {
		return s.form.stream(s.out, map[string]string{"error": failed.Error()}, nil)
	}
	return s.form.stream(s.out, r, func() string {
		now := time.Now()
		text := now.Format(time.DateTime) + "   "
		if failed != nil {
			text += "cluster " + s.cfg.Cluster + "\n\n" + s.paint.of(broken, failed.Error()) + "\n"
		} else {
			text += renderStatus(r, now, s.paint)
		}
		return frame(text, s.terminal, first)
	})
}

// frame puts a picture in the place of the one before, without a flicker.
func frame(text string, terminal, first bool) string {
	if !terminal {
		return text + "\n"
	}
	begin := "\x1b[H"
	if first {
		begin = "\x1b[2J\x1b[H"
	}
	return begin + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"
}

// look reads the cluster and asks all members at once.
func (s *statusView) look(ctx context.Context) (report, error) {
	cluster, err := s.read(ctx)
	if err != nil {
		return report{}, err
	}
	return buildReport(s.cfg.Cluster, cluster, s.lives(ctx, cluster)), nil
}
