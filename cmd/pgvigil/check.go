package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/election"
	"github.com/pgvigil/pgvigil/pgctl"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/api"
	"github.com/pgvigil/pgvigil/watchdog/check"
	"github.com/pgvigil/pgvigil/watchdog/check/patrol"
)

// checkBound is for a look at this host.
const checkBound = 30 * time.Second

func checkCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:  "check",
		Usage: "find what would make a failover or a rejoin fail, and say what mends it",
		Description: "With -c and a member's configuration it looks at this host, before there is a cluster too: at the server, at\n" +
			"etcd, and at each other member, to which it connects as a standby would. It changes nothing. Of the other members,\n" +
			"and with any other way to the cluster of all, it shows what each last found: sidecars look every five minutes.",
		Flags: []cli.Flag{&cli.StringSliceFlag{
			Name: "peer", Usage: "`HOST:PORT` of a server that is to be a member, and is not yet: connect to it too",
		}},
	}, func(c *cli.Context, o *operator) error {
		r, err := o.checked(c.Context, c.String("config") != "" && len(o.cfg.API) == 0 && o.cfg.Postgres.DataDir != "", c.StringSlice("peer"))
		if err != nil {
			return err
		}
		if err := o.form.show(o.out, r, func() string { return renderCheck(r, o.paint) }); err != nil {
			return err
		}
		return r.outcome()
	})
}

// checkReport is what check shows. Its JSON is stable: fields are added, never renamed.
type checkReport struct {
	Cluster  string               `json:"cluster,omitempty"`
	Worst    check.Severity       `json:"worst,omitempty"`
	Errors   int                  `json:"errors"`
	Warnings int                  `json:"warnings"`
	Looked   map[string]time.Time `json:"looked"` // when each member did
	Findings []check.Finding      `json:"findings"`
}

// checked gathers what the members last found and, with here, what this host shows now.
func (o *operator) checked(ctx context.Context, here bool, peers []string) (checkReport, error) {
	r := checkReport{Cluster: o.cfg.Cluster, Looked: map[string]time.Time{}, Findings: []check.Finding{}}
	cluster, err := o.read(ctx)
	if err != nil && !here {
		return r, err
	}
	var answers map[string]api.Answer
	if err == nil {
		answers = o.store.Members(ctx, cluster)
	}
	own := ""
	if here {
		own = o.cfg.Name
		found, err := o.checkHere(ctx, cluster, answers, peers)
		if err != nil {
			return r, err
		}
		r.Findings, r.Looked[own] = append(r.Findings, found...), time.Now()
	}
	for _, name := range slices.Sorted(maps.Keys(cluster.Members)) {
		if name != own && !cluster.Members[name].Witness {
			r.add(name, answers[name])
		}
	}
	check.Sort(r.Findings)
	r.Worst, r.Errors, r.Warnings = check.Worst(r.Findings), check.Count(r.Findings, check.Error), check.Count(r.Findings, check.Warning)
	return r, nil
}

// add takes over what a member last found.
func (r *checkReport) add(name string, a api.Answer) {
	switch {
	case a.Status != nil && a.Status.Check != nil && !a.Status.Check.At.IsZero():
		r.Looked[name], r.Findings = a.Status.Check.At, append(r.Findings, a.Status.Check.Findings...)
	case a.Status != nil:
		r.Findings = append(r.Findings, check.Finding{
			Name: "not_looked", Severity: check.Info, Member: name, What: "the sidecar of " + name + " has not looked yet",
			Why: "it does soon after its start, while the cluster is at rest", Mend: "wait a little, or run pgvigil check -c on that host",
		})
	default:
		r.Findings = append(r.Findings, check.Finding{
			Name: "not_answering", Severity: check.Warning, Member: name, What: "the sidecar of " + name + " does not answer: " + a.Error,
			Why: "what it last found is not known, and it can neither vote nor take over", Mend: "start it, and see that api.advertise can be reached from here",
		})
	}
}

func (r checkReport) outcome() error {
	said := fmt.Errorf("check has found %s and %s", counted(r.Errors, "error"), counted(r.Warnings, "warning"))
	switch r.Worst {
	case check.Error:
		return fail(exitErrors, said)
	case check.Warning:
		return fail(exitWarnings, said)
	}
	return nil
}

// checkHere looks at this host as its sidecar would.
func (o *operator) checkHere(ctx context.Context, cluster watchdog.Cluster, answers map[string]api.Answer, peers []string) ([]check.Finding, error) {
	cfg := o.cfg.Config
	if err := cfg.ForMember(); err != nil {
		return nil, fail(exitConfig, err)
	}
	if err := becomeOwner(cfg.Postgres.DataDir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(cfg.StateDir); err != nil {
		cfg.StateDir = "" // nothing is created
	}
	server, err := openPostgres(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(ctx, checkBound)
	defer cancel()
	others := patrol.Others(cluster, cfg.Name)
	for i, other := range others {
		clock := answers[other.Name].Clock
		others[i].ClockOff, others[i].ClockError = clock.Off, clock.Error
	}
	for _, peer := range peers {
		others = append(others, check.Other{Name: peer, Address: peer})
	}
	h := server.Inspect(ctx, others, true)
	h.Policy = cfg.Policy.Policy
	if cluster.Policy != nil {
		h.Policy = *cluster.Policy
	}
	_, h.Adopted = cluster.Members[cfg.Name]
	found := check.OfHost(h, time.Now())
	if etcd, direct := o.store.(etcdStore); direct {
		endpoints := etcd.Health(ctx)
		for i := range endpoints {
			endpoints[i].Policy = h.Policy
		}
		found = append(found, check.OfStore(cfg.Name, endpoints)...)
	}
	return found, nil
}

// openPatrol makes what looks every few minutes beside the sidecar.
func openPatrol(cfg config.Config, store *election.Client, server *pgctl.Instance, log *slog.Logger) *patrol.Patrol {
	asker := api.NewAsker()
	return patrol.New(patrol.Options{
		Member: cfg.Name, StateDir: cfg.StateDir, Store: store, Wall: clock{}.Wall, Log: log,
		Inspect: func(ctx context.Context, others []check.Other) check.Host { return server.Inspect(ctx, others, false) },
		Clocks: func(ctx context.Context, members map[string]watchdog.Registered) map[string]patrol.Clock {
			clocks := map[string]patrol.Clock{}
			for name, answer := range api.AskMembers(ctx, asker, cfg.Cluster, members) {
				clocks[name] = patrol.Clock(answer.Clock)
			}
			asker.CloseIdleConnections()
			return clocks
		},
	})
}
