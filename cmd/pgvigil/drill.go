package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/watchdog"
)

// drillLag is how far the best standby may be behind in async when a drill begins: a kill could lose what nobody else has, should
// the host not be reached afterwards.
const drillLag = 1 << 20

func drillCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:  "drill",
		Usage: "rehearse: change the primary while writing, and measure what clients see",
		Description: "A switchover to the best standby and back; with --kill the primary's postmaster is killed by its own sidecar instead, and\n" +
			"the cluster fails over. It is refused unless the cluster is whole and at rest. It writes to a table of its own in a schema\n" +
			"pgvigil_drill, which is dropped afterwards, and files its report in the history. Sessions are ended, as by any change of the\n" +
			"primary. PostgreSQL is reached at the members' addresses with --user and --database or the environment (PGUSER,\n" +
			"PGPASSWORD, PGPASSFILE, PGSSLMODE ...).",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "kill", Usage: "kill the primary's postmaster"},
			&cli.StringFlag{Name: "user", Usage: "PostgreSQL `ROLE` that may create a schema", EnvVars: []string{"PGUSER"}},
			&cli.StringFlag{Name: "database", Usage: "`DATABASE` to write to", Value: "postgres", EnvVars: []string{"PGDATABASE"}},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask; only together with --cluster"},
		},
	}, startDrill)
}

// drill is a rehearsal at work.
type drill struct {
	*operator
	kill           bool
	user, database string
}

func startDrill(c *cli.Context, o *operator) error {
	d := &drill{operator: o, kill: c.Bool("kill"), user: c.String("user"), database: c.String("database")}
	if c.Bool("yes") && !c.IsSet("cluster") {
		return fail(exitUsage, errors.New("--yes asks nothing, so say which cluster is meant: --yes --cluster NAME"))
	}
	cluster, err := o.readRecord(c.Context)
	if err != nil {
		return err
	}
	r := buildReport(o.cfg.Cluster, cluster, o.lives(c.Context, cluster))
	if err := mayDrill(*cluster.Record, r); err != nil {
		return fail(exitRefused, err)
	}
	// before anything is asked or changed: that it can write at all
	conn, err := d.connect(c.Context, cluster.Members[r.Primary].Address)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(c.Context))
	if !c.Bool("yes") {
		if err := o.confirmByName(d.warning(r)); err != nil {
			return err
		}
	}
	result, err := d.rehearse(c.Context, conn, cluster)
	if err != nil {
		return err
	}
	if err := o.form.show(o.out, result, result.text); err != nil {
		return err
	}
	if !result.OK {
		return fail(exitFailure, errors.New("the drill did not go well: see what is said above"))
	}
	return nil
}

// mayDrill refuses unless the cluster is whole and at rest.
func mayDrill(record watchdog.Record, r report) error {
	var best *uint64
	for _, row := range r.Members {
		if row.Name != r.Primary && row.Role == watchdog.RoleStandby && row.LagBytes != nil && (best == nil || *row.LagBytes < *best) {
			best = row.LagBytes
		}
	}
	switch {
	case record.Phase != watchdog.PhaseNormal || record.Next != nil:
		return fmt.Errorf("term %d is %s and not settled: wait until it is", record.Term, record.Phase)
	case record.Paused != nil:
		return fmt.Errorf("the cluster is %s: resume it first", record.Paused.String(time.Now()))
	case record.Operation != nil:
		return fmt.Errorf("%s, asked for by %s, is under way: wait for its end", record.Operation.Title(), record.Operation.By)
	case record.Scheduled != nil:
		return fmt.Errorf("%s, and would be dropped: withdraw it first (pgvigil switchover --cancel)", record.Scheduled)
	case r.Health != healthy:
		return fmt.Errorf("the cluster is not whole: %s", r.Summary)
	case best == nil:
		return errors.New("no standby says how far behind it is")
	case record.Durability.Mode != watchdog.ModeQuorum && *best > drillLag:
		return fmt.Errorf("the best standby is %s behind: wait until it is less than %s", size(*best), size(drillLag))
	}
	return nil
}

func (d *drill) warning(r report) string {
	if d.kill {
		return fmt.Sprintf("The postmaster of %s, the primary of %s, will be killed. Every session is ended, and alerts go out as for a real failover.", r.Primary, r.Cluster)
	}
	return fmt.Sprintf("%s will be handed over from %s to the best standby and back. Every session is ended, twice.", r.Cluster, r.Primary)
}

// confirmByName has the person type the cluster's name.
func (o *operator) confirmByName(warning string) error {
	if !o.person {
		return fail(exitUsage, errors.New("not done: this asks first, and standard input is no terminal to answer on: give --yes --cluster NAME"))
	}
	fmt.Fprintf(o.out, "%s\nType the cluster's name to go on: ", warning)
	line, _ := bufio.NewReader(o.in).ReadString('\n')
	if strings.TrimSpace(line) != o.cfg.Cluster {
		return fail(exitUsage, fmt.Errorf("not done: that is not %s", o.cfg.Cluster))
	}
	return nil
}

// conninfo is for sessions on a member's server. What it does not say comes from the environment.
func (d *drill) conninfo(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = address, "5432"
	}
	words := []string{"host=" + quoteWord(host), "port=" + quoteWord(port), "dbname=" + quoteWord(d.database), "connect_timeout=2", "application_name=pgvigil_drill"}
	if d.user != "" {
		words = append(words, "user="+quoteWord(d.user))
	}
	return strings.Join(words, " ")
}

func quoteWord(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

func (d *drill) connect(ctx context.Context, address string) (*pgx.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, readBound)
	defer cancel()
	conn, err := pgx.Connect(bounded, d.conninfo(address))
	if err != nil {
		who := d.user
		if who == "" {
			who = os.Getenv("USER")
		}
		return nil, fail(exitPostgres, fmt.Errorf("connect to %s as %s: %w: give --user and --database, and a password in PGPASSWORD or ~/.pgpass", address, who, err))
	}
	return conn, nil
}
