package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

// demoBound is the longest that the demo may take, whatever happens.
const demoBound = 115 * time.Second

func demoCommand() *cli.Command {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return &cli.Command{
		Name:  "demo",
		Usage: "three servers, three sidecars, a writer that never pauses, and three disasters",
		Description: "Everything is made in a temporary directory, runs as the current user (for root, as postgres), keeps to this\n" +
			"machine, and is removed at the end. Exit status 1: a scenario failed.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object, and nothing else, on standard output"},
			&cli.BoolFlag{Name: "keep", Usage: "leave the cluster up at the end, until Ctrl-C, and say how to look at it and break it"},
			&cli.StringSliceFlag{Name: "scenario", Usage: "only this one, again and again if named again: " + strings.Join(names, ", ")},
			&cli.StringFlag{Name: "preset", Value: "default", Usage: "policy: default or tight"},
			&cli.StringFlag{Name: "durability", Value: "async", Usage: "policy: async, or quorum, in which nothing acknowledged is ever lost"},
			&cli.StringFlag{Name: "bin-dir", Usage: "PostgreSQL's programs (default: the newest found)"},
		},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			chosen, err := chooseScenarios(c.StringSlice("scenario"))
			if err != nil {
				return fail(exitUsage, err)
			}
			namespaces := lab.NamespacesAllowed()
			if len(chosen) == 0 {
				chosen = usual(watchdog.Mode(c.String("durability")), namespaces)
			}
			d := &demo{out: c.App.Writer, told: c.App.Writer, keep: c.Bool("keep"), json: c.Bool("json")}
			if d.json {
				d.told = c.App.ErrWriter
			}
			o := lab.Options{BinDir: c.String("bin-dir"), Preset: c.String("preset"), Embedded: true}
			switch d.durability = watchdog.Mode(c.String("durability")); d.durability {
			case watchdog.ModeAsync:
			case watchdog.ModeQuorum:
				o.Policy = "durability: quorum"
			default:
				return fail(exitUsage, fmt.Errorf("durability %q: give async or quorum", d.durability))
			}
			o.Namespaces = slices.ContainsFunc(chosen, func(s scenario) bool { return s.network })
			switch {
			case o.Namespaces && namespaces != nil:
				return fmt.Errorf("host-cut-off: %w", namespaces)
			case namespaces != nil && d.durability == watchdog.ModeQuorum:
				d.say("host-cut-off is left out: %v", namespaces)
			}
			return d.run(c.Context, chosen, o)
		},
	}
}

// demo tells scenarios on a lab.
type demo struct {
	out, told  io.Writer
	json, keep bool
	durability watchdog.Mode
	cluster    *lab.Cluster
	writer     *lab.Writer
	from       time.Time // the fault
}

func (d *demo) run(ctx context.Context, chosen []scenario, o lab.Options) (err error) {
	bounded, cancel := context.WithTimeout(ctx, demoBound+time.Duration(max(0, len(chosen)-len(scenarios)))*40*time.Second)
	defer cancel()
	if o.Executable, err = os.Executable(); err != nil {
		return fmt.Errorf("find pgvigil's own program: %w", err)
	}
	d.say("building three servers, one primary and two standbys …")
	if d.cluster, err = lab.New(bounded, o); err != nil {
		return fmt.Errorf("build the demo's cluster: %w", err)
	}
	defer func() { err = errors.Join(err, d.cluster.Close()) }()
	if err := d.cluster.StartSidecars(); err != nil {
		return err
	}
	primary, err := d.cluster.WaitWhole(bounded, 40*time.Second)
	if err != nil {
		return err
	}
	d.say("three sidecars with embedded etcd have adopted it; %s is primary", primary.Name)
	results, failed := d.tell(bounded, chosen)
	if err := d.summary(results); err != nil {
		return err
	}
	if d.keep {
		d.explain(ctx)
	}
	if failed {
		return errors.New("a scenario failed")
	}
	return nil
}

func (d *demo) tell(ctx context.Context, chosen []scenario) (results []result, failed bool) {
	for _, s := range chosen {
		r, err := d.play(ctx, s)
		if err != nil {
			d.say("%s failed: %v", s.name, err)
			r.Error = firstLine(err.Error())
		}
		results = append(results, r)
		failed = failed || !r.OK
		if ctx.Err() != nil {
			break
		}
	}
	return results, failed
}

// say prints one line; during a scenario with the time since the fault.
func (d *demo) say(format string, args ...any) {
	at := "         "
	if !d.from.IsZero() {
		at = fmt.Sprintf("%+8.0f ms ", float64(time.Since(d.from).Microseconds())/1000)[0:12]
	}
	fmt.Fprintf(d.told, "%-12s %s\n", at, fmt.Sprintf(format, args...))
}

// result is one scenario's, in the shape that programs read.
type result struct {
	Name     string  `json:"name"`
	GapMS    float64 `json:"gap_ms"`
	Acked    int     `json:"acked"`
	Lost     int     `json:"lost"`
	Reported string  `json:"lost_range,omitempty"` // the WAL range that was reported as possibly lost
	RejoinMS float64 `json:"rejoin_ms"`
	OK       bool    `json:"ok"`
	Error    string  `json:"error,omitempty"`
}

func (d *demo) summary(results []result) error {
	if d.json {
		return json.NewEncoder(d.out).Encode(map[string]any{"scenarios": results})
	}
	fmt.Fprintf(d.out, "\n%-20s %28s %14s %6s %12s\n", "scenario", "longest gap between writes", "acknowledged", "lost", "rejoined in")
	for _, r := range results {
		verdict := "ok"
		if !r.OK {
			verdict = "FAILED " + r.Error
		}
		fmt.Fprintf(d.out, "%-20s %25.0f ms %14d %6d %9.0f ms  %s\n", r.Name, r.GapMS, r.Acked, r.Lost, r.RejoinMS, verdict)
		if r.Reported != "" {
			fmt.Fprintf(d.out, "%-20s %s\n", "", r.Reported)
		}
	}
	return nil
}

// explain leaves the cluster up until the user has seen enough.
func (d *demo) explain(ctx context.Context) {
	d.from = time.Time{}
	endpoints := strings.Join(d.cluster.Endpoints(), ",")
	fmt.Fprintf(d.told, "\nThe cluster is up, in %s. Look at it, and break it:\n\n", d.cluster.Dir)
	fmt.Fprintf(d.told, "  pgvigil status  --cluster %s --etcd %s --watch\n  pgvigil history --cluster %s --etcd %s\n", lab.Name, endpoints, lab.Name, endpoints)
	for _, n := range d.cluster.Nodes {
		fmt.Fprintf(d.told, "  psql '%s'    # %s, API %s\n", n.Conninfo(), n.Name, n.API())
	}
	fmt.Fprintf(d.told, "  kill -9 $(head -1 %s/postmaster.pid)\n\nCtrl-C ends and removes it.\n", d.cluster.Nodes[0].DataDir())
	<-ctx.Done()
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
