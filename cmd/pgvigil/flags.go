package main

import (
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
)

// keyFlag is a flag that stands for a key of the configuration file.
type keyFlag struct{ name, key, usage string }

var storeFlags = []keyFlag{
	{"cluster", "cluster", "the cluster's `NAME`"},
	{"etcd", "etcd.endpoints", "etcd's `ENDPOINTS`, separated by commas"},
	{"etcd-username", "etcd.username", "etcd `USER`"},
	{"etcd-password-file", "etcd.password_file", "`FILE` with the etcd user's password"},
	{"etcd-ca", "etcd.tls.ca", "`FILE` with the CA that etcd's certificates are verified with"},
	{"etcd-cert", "etcd.tls.cert", "`FILE` with our certificate for etcd"},
	{"etcd-key", "etcd.tls.key", "`FILE` with that certificate's key"},
}

var apiFlags = []keyFlag{
	{"api", "api", "`URL` of a member's API, or several separated by commas, instead of etcd"},
	{"token", "token", "the operators' `TOKEN` of that API"},
	{"token-file", "token_file", "`FILE` with that token"},
	{"api-ca", "ca", "`FILE` with the CA that the API's certificate is verified with"},
}

var memberFlags = []keyFlag{
	{"name", "name", "this member's `NAME`"},
	{"data-dir", "postgres.data_dir", "PostgreSQL's data `DIRECTORY`"},
	{"bin-dir", "postgres.bin_dir", "`DIRECTORY` of PostgreSQL's programs, if it is not found"},
	{"address", "postgres.address", "`HOST:PORT` at which members and clients reach this PostgreSQL"},
	{"replication", "postgres.replication", "conninfo `WORDS` that a standby connects with"},
	{"listen", "api.listen", "`HOST:PORT` of this sidecar's HTTP interface"},
	{"advertise", "api.advertise", "`URL` at which the other members reach it"},
	{"state-dir", "state_dir", "`DIRECTORY` for the sidecar's own state"},
	{"preset", "policy.preset", "`POLICY` of a cluster that is created: default or tight"},
	{"log-level", "log.level", "debug, info, warn or error"},
	{"log-format", "log.format", "text or json"},
}

func configFlags(keys ...[]keyFlag) []cli.Flag {
	flags := []cli.Flag{&cli.StringFlag{
		Name: "config", Aliases: []string{"c"}, EnvVars: []string{"PGVIGIL_CONFIG"},
		Usage: "configuration `FILE`; every key of it is also an environment variable, such as PGVIGIL_POSTGRES_DATA_DIR",
	}}
	for _, list := range keys {
		for _, f := range list {
			flags = append(flags, &cli.StringFlag{Name: f.name, Usage: f.usage})
		}
	}
	return flags
}

// clientFlags say how a command finds its cluster. The help has them below the command's own.
func clientFlags() []cli.Flag {
	flags := append([]cli.Flag{
		&cli.StringFlag{Name: "context", Usage: "`CONTEXT`: the cluster of that name in the file of contexts (default: the one in PGVIGIL_CONTEXT, else the file's current one)"},
		contextsFlag(),
	}, configFlags(storeFlags, apiFlags)...)
	for _, f := range flags {
		if text, is := f.(*cli.StringFlag); is {
			text.Category = "where the cluster is reached"
		}
	}
	return flags
}

func contextsFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "contexts", EnvVars: []string{"PGVIGIL_CONTEXTS"}, Value: config.ContextsFile(), Usage: "`FILE` of contexts",
	}
}

// loadClient finds out how the cluster is reached: a flag wins over the environment, and that over the member's configuration or
// the context.
func loadClient(c *cli.Context) (config.Client, error) {
	from := config.Source{
		File: c.String("config"), Contexts: c.String("contexts"), Context: c.String("context"), Environ: os.Environ(),
		Flags: givenFlags(c, storeFlags, apiFlags),
	}
	switch file, named := os.Getenv("PGVIGIL_CONFIG"), os.Getenv("PGVIGIL_CONTEXT"); {
	case from.Context != "" && from.File == file:
		from.File = "" // the flag wins
	case from.Context == "" && from.File == file:
		from.Context = named
	}
	client, err := config.LoadClient(from)
	if err == nil {
		err = client.ForOperator()
	}
	return client, fail(exitConfig, err)
}

// loadConfig reads the configuration from file, environment and the flags of the command.
func loadConfig(c *cli.Context, keys ...[]keyFlag) (config.Config, error) {
	cfg, err := config.Load(c.String("config"), os.Environ(), givenFlags(c, keys...))
	return cfg, fail(exitConfig, err)
}

func givenFlags(c *cli.Context, keys ...[]keyFlag) map[string]config.Flag {
	given := map[string]config.Flag{}
	for _, list := range keys {
		for _, f := range list {
			if c.IsSet(f.name) {
				given[f.key] = config.Flag{Name: f.name, Value: c.String(f.name)}
			}
		}
	}
	return given
}

func yesFlag() cli.Flag {
	return &cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"}
}

func waitFlag() cli.Flag {
	return &cli.DurationFlag{Name: "wait", Value: time.Minute, Usage: "wait so long for the outcome; 0: do not wait"}
}
