package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/election"
	"github.com/pgvigil/pgvigil/election/embedded"
	"github.com/pgvigil/pgvigil/pgctl"
	"github.com/pgvigil/pgvigil/watchdog/api"
	"github.com/pgvigil/pgvigil/watchdog/guard"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
	"github.com/pgvigil/pgvigil/watchdog/virtualip"
)

// patience is how long etcd may stay silent at the start of a member that belongs to no cluster yet.
const patience = 10 * time.Second

func runCommand() *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "run the sidecar beside a PostgreSQL server",
		Description: "Stopping it (SIGTERM, SIGINT) leaves PostgreSQL and the guard as they are. Started again before the trust\n" +
			"ends, it takes both back and PostgreSQL does not notice; later, the guard has fenced a primary.",
		Flags: configFlags(storeFlags, memberFlags),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			cfg, err := loadConfig(c, storeFlags, memberFlags)
			if err != nil {
				return err
			}
			if err := cfg.ForMember(); err != nil {
				return fail(exitConfig, err)
			}
			log := newLog(c.App.ErrWriter, cfg.Log)
			for _, warning := range cfg.Warnings {
				log.Warn(warning)
			}
			return runMember(c.Context, cfg, log)
		},
	}
}

// runMember wires a member together and runs it until ctx ends or a part of it fails.
func runMember(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	addressed := len(cfg.VirtualIP) > 0 || virtualip.Noted(cfg.StateDir)
	if err := becomeOwnerWith(keptRights(addressed), cfg.Postgres.DataDir, cfg.StateDir, cfg.Etcd.Embedded.Dir); err != nil {
		return err
	}
	addresses, err := openAddresses(cfg, addressed, log)
	if err != nil {
		return err
	}
	if os.Getenv("GOMAXPROCS") == "" && !cfg.Etcd.Embedded.Enabled() {
		// A sidecar sleeps and answers. With a second processor each wake-up wakes another thread to look for work that is not
		// there, a third of what it costs at rest; a call that the disk holds up gives the processor away in any case.
		runtime.GOMAXPROCS(1)
	}
	group, ctx := errgroup.WithContext(ctx)
	var etcd *embedded.Member
	if cfg.Etcd.Embedded.Enabled() {
		var err error
		if etcd, err = startEtcd(ctx, cfg, log); err != nil {
			return err
		}
		defer etcd.Stop()
	}
	store, err := openStore(cfg, log)
	if err != nil {
		return err
	}
	defer store.Close()
	server, err := openPostgres(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer server.Close()
	watched := guard.Options{DataDir: cfg.Postgres.DataDir, StateDir: cfg.StateDir, Log: log}
	if addresses != nil {
		watched.Addresses = addresses.Guarded()
	}
	watcher, err := guard.New(watched)
	if err != nil {
		return err
	}
	hooks, err := openHooks(cfg, log)
	if err != nil {
		return err
	}
	security, err := apiTLS(cfg.API.TLS)
	if err != nil {
		return fail(exitConfig, err)
	}
	options := api.Options{
		Listen: cfg.API.Listen, TLSListen: cfg.API.TLS.Listen, TLS: security, Log: log, Version: buildVersion(), Cluster: cfg.Cluster,
		Lag: api.NewLag(clock{}.Now), Operators: api.Operators{Store: store, Token: cfg.API.Token, Clock: clock{}.Wall},
	}
	peers := api.NewPeers(options)
	defer peers.Close()
	wiring := sidecar.Options{
		Cluster: cfg.Cluster, Identity: cfg.Identity(), Version: buildVersion(), Policy: cfg.Policy.Policy, StateDir: cfg.StateDir,
		Store: store, Postgres: server, Guard: watcher, Peers: peers, Clock: clock{}, Log: log, Crash: crashAt(os.Getenv("PGVIGIL_CRASH_AT")),
	}
	if hooks != nil {
		wiring.BeforePromote, options.Metrics = hooks.BeforePromote, hooks.Collectors()
	}
	if addresses != nil {
		options.Metrics = append(options.Metrics, addresses.Collectors()...)
	}
	pools, err := openPools(cfg, store, log)
	if err != nil {
		return fail(exitConfig, err)
	}
	if pools != nil {
		wiring.Pools = pools
	}
	member, err := sidecar.New(wiring)
	if err != nil {
		return err
	}
	rounds := openPatrol(cfg, store, server, log)
	options.Checked = rounds.Report
	notifier, err := openAlerts(cfg, store, member, log)
	if err != nil {
		return fail(exitConfig, err)
	}
	if notifier != nil {
		options.Alerts, options.Metrics = notifier.Status, append(options.Metrics, notifier.Collectors()...)
	}
	face := api.NewServer(member, options)
	if err := face.Listen(); err != nil { // before anything is touched
		return fail(exitConfig, err)
	}
	log.Info("sidecar starts", "version", buildVersion(), "cluster", cfg.Cluster, "member", cfg.Name, "api", cfg.API.Advertise)
	group.Go(func() error { return face.Run(ctx) })
	group.Go(func() error { return member.Run(ctx) })
	group.Go(func() error { return rounds.Run(ctx, member) })
	if addresses != nil {
		group.Go(func() error { return addresses.Run(ctx, member) })
	}
	if hooks != nil {
		group.Go(func() error { return hooks.Run(ctx, member) })
	}
	if pools != nil {
		group.Go(func() error { return pools.Run(ctx, member) })
	}
	if notifier != nil {
		group.Go(func() error { return notifier.Run(ctx) })
	}
	if etcd != nil { // which may rightly wait for the other sidecars to be started
		group.Go(func() error { return keepEtcd(ctx, cfg, etcd, member, log) })
	} else {
		group.Go(func() error { return firstRead(ctx, cfg, store, member, log) })
	}
	return group.Wait()
}

// firstRead refuses an etcd that does not answer, for a member that belongs to no cluster yet. One that does goes on
// trying: its server may hold a term, and the sidecar has other ways to know how the cluster stands.
func firstRead(ctx context.Context, cfg config.Config, store *election.Client, member *sidecar.Sidecar, log *slog.Logger) error {
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := store.Read(bounded)
	switch {
	case err == nil || ctx.Err() != nil:
		return nil
	case member.Snapshot().View.Me.Admitted.SystemID != "":
		log.Warn("etcd does not answer, and is tried again", "endpoints", cfg.Etcd.Endpoints, "error", err)
		return nil
	default:
		return unreachable(cfg, err)
	}
}

func openPostgres(ctx context.Context, cfg config.Config, log *slog.Logger) (*pgctl.Instance, error) {
	p := cfg.Postgres
	instance, err := pgctl.Open(ctx, pgctl.Config{
		Name: cfg.Name, DataDir: p.DataDir, BinDir: p.BinDir, StateDir: cfg.StateDir, Address: p.Address,
		Replication: p.Replication, Rewind: p.Rewind, Connect: p.Connect, StartCommand: p.StartCommand, StopCommand: p.StopCommand, Log: log,
	})
	return instance, fail(exitPostgres, err)
}

// apiTLS shows the certificate of the files as they are when a client comes, so that a renewed one needs no restart.
func apiTLS(c config.APITLS) (*tls.Config, error) {
	if c.Listen == "" {
		return nil, nil
	}
	load := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			err = fmt.Errorf("api.tls.cert and api.tls.key: %w: let PostgreSQL's user read them, and see that they belong together", err)
		}
		return &pair, err
	}
	_, err := load(nil)
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: load}, err
}

// crashAt returns what ends this process as SIGKILL does when it comes to the step; nil for no step.
func crashAt(at string) func(step string) {
	if at == "" {
		return nil
	}
	return func(step string) {
		if step == at {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			select {} // not one instruction further
		}
	}
}
