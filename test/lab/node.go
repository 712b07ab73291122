package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgvigil/pgvigil/test/faultline"
)

// loopback is where every node is that has no network of its own.
const loopback = "127.0.0.1"

// Node is a server, its sidecar and its guard.
type Node struct {
	*Cluster
	Name    string
	Port    int
	APIPort int

	host    string
	sidecar *Process
	extra   string // lines of its configuration
	env     []string
	lines   []*faultline.Line // to etcd's members; none: directly
	api     *faultline.Line   // to its own API; nil: directly
}

// InterposeAPI has the other members reach the sidecar's API through a line, from its next start on.
func (n *Node) InterposeAPI() (line *faultline.Line, err error) {
	n.api, err = faultline.New(strings.TrimPrefix(n.API(), "http://"))
	return n.api, err
}

// Interpose has the sidecar reach etcd through lines of its own, from its next start on.
func (n *Node) Interpose() error {
	for _, endpoint := range n.endpoints {
		line, err := faultline.New(strings.TrimPrefix(endpoint, "http://"))
		if err != nil {
			return err
		}
		n.lines = append(n.lines, line)
	}
	return nil
}

// BreakEtcd changes the faults on all the node's lines to etcd.
func (n *Node) BreakEtcd(change func(*faultline.Line)) {
	for _, line := range n.lines {
		line.Set(func() { change(line) })
	}
}

// etcdEndpoints are where the sidecar finds etcd.
func (n *Node) etcdEndpoints() []string {
	if len(n.lines) == 0 {
		return n.endpoints
	}
	var through []string
	for _, line := range n.lines {
		through = append(through, "http://"+line.Address())
	}
	return through
}

// DataDir is the server's.
func (n *Node) DataDir() string { return filepath.Join(n.Dir, n.Name) }

// Address is where clients reach the server.
func (n *Node) Address() string { return fmt.Sprintf("%s:%d", n.host, n.Port) }

// API is the sidecar's base URL.
func (n *Node) API() string { return fmt.Sprintf("http://%s:%d", n.host, n.APIPort) }

// ConfigFile is the sidecar's.
func (n *Node) ConfigFile() string { return filepath.Join(n.Dir, n.Name+".yml") }

// Conninfo is for sessions on this server.
func (n *Node) Conninfo() string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres sslmode=disable connect_timeout=2", n.host, n.Port)
}

// initialise makes an empty primary, as somebody sets one up by hand.
func (n *Node) initialise(context.Context) error {
	if err := n.run("initdb", "-D", n.DataDir(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		return err
	}
	lines := []string{
		"unix_socket_directories = '" + n.Dir + "'", "wal_log_hints = on", "hot_standby = on",
		"max_wal_senders = 10", "wal_level = replica", "max_connections = 50", "shared_buffers = 32MB", "dynamic_shared_memory_type = mmap", "logging_collector = off", n.options.Settings,
	}
	if err := appendTo(filepath.Join(n.DataDir(), "postgresql.conf"), lines...); err != nil {
		return err
	}
	hba := []string{"host replication all " + loopback + "/32 trust"}
	if n.network != nil {
		hba = append(hba, "host all all "+n.network.subnet+".0/24 trust", "host replication all "+n.network.subnet+".0/24 trust")
	}
	return appendTo(filepath.Join(n.DataDir(), "pg_hba.conf"), hba...)
}

// StartServer starts the server by hand, and waits until it answers.
func (n *Node) StartServer(ctx context.Context) error {
	if err := n.reaped(ctx); err != nil {
		return err
	}
	log := filepath.Join(n.Dir, n.Name+".server.log")
	at, err := n.listen()
	if err != nil {
		return err
	}
	err = n.inside(func() error {
		return n.run("pg_ctl", "-D", n.DataDir(), "-s", "-w", "-t", "60", "-l", log, "-o", fmt.Sprintf("-p %d %s", n.Port, at), "start")
	})
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, tail(log, 8))
	}
	return err
}

// listen is where the server does: at every address of a host of its own, where its socket lies apart from those of the
// others, which have the same port.
func (n *Node) listen() (string, error) {
	if n.network == nil {
		return "-h " + n.host, nil
	}
	sockets := filepath.Join(n.Dir, n.Name+".sockets")
	return "-h 0.0.0.0 -k " + sockets, n.runPath("mkdir", "-p", sockets)
}

// reaped waits until a killed postmaster is no zombie any more: PostgreSQL would take it for alive, and not start.
func (n *Node) reaped(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(n.DataDir(), "postmaster.pid"))
	if err != nil {
		return nil // an orderly end, or none yet
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	return n.Until(ctx, "the dead postmaster is reaped", 10*time.Second, func() bool { return err != nil || syscall.Kill(pid, 0) != nil })
}

// Execute runs statements in one session.
func (n *Node) Execute(ctx context.Context, statements ...string) error {
	conn, err := n.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s on %s: %w", s, n.Name, err)
		}
	}
	return nil
}

// Connect opens a session.
func (n *Node) Connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, n.Conninfo())
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", n.Name, err)
	}
	return conn, nil
}

// Ask returns one value as text; an error is the empty string, for polling.
func (n *Node) Ask(ctx context.Context, query string) string {
	bounded, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(bounded, n.Conninfo())
	if err != nil {
		return ""
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var answer *string
	if err := conn.QueryRow(bounded, "SELECT ("+query+")::text").Scan(&answer); err != nil || answer == nil {
		return ""
	}
	return *answer
}

// config is the least that a user must write, and etcd.
func (n *Node) config() string {
	var b strings.Builder
	b.WriteString(n.extra)
	fmt.Fprintf(&b, "cluster: %s\nname: %s\netcd:\n  endpoints: [\"%s\"]\n", Name, n.Name, strings.Join(n.etcdEndpoints(), `", "`))
	if n.options.Embedded {
		i := n.index()
		fmt.Fprintf(&b, "  embedded:\n    dir: %s\n    listen_client: %s\n    listen_peer: %s\n    initial_cluster:\n",
			filepath.Join(n.Dir, n.Name+".etcd"), n.endpoints[i], n.peers[n.Name])
		for name, peer := range n.peers {
			fmt.Fprintf(&b, "      %s: %s\n", name, peer)
		}
	}
	fmt.Fprintf(&b, "postgres:\n  data_dir: %s\n  address: %s\n  replication: user=replicator\nlog:\n  level: debug\napi:\n  listen: %s:%d\n",
		n.DataDir(), n.Address(), n.host, n.APIPort)
	if n.api != nil {
		fmt.Fprintf(&b, "  advertise: http://%s\n", n.api.Address())
	}
	b.WriteString(n.options.Config)
	if n.options.Preset != "" || n.options.Policy != "" {
		b.WriteString("policy:\n")
		if n.options.Preset != "" {
			fmt.Fprintf(&b, "  preset: %s\n", n.options.Preset)
		}
		for line := range strings.Lines(n.options.Policy) {
			fmt.Fprintf(&b, "  %s\n", strings.TrimSpace(line))
		}
	}
	return b.String()
}

// Configure adds lines to the sidecar's configuration, from its next start on.
func (n *Node) Configure(lines string) { n.extra = lines + "\n" }

func (n *Node) index() int {
	for i, other := range n.Nodes {
		if other == n {
			return i
		}
	}
	return -1
}

// StartSidecar starts the sidecar, anew or again, with what Env said.
func (n *Node) StartSidecar() error {
	if !n.options.Empty {
		if err := os.WriteFile(n.ConfigFile(), []byte(n.config()), 0o644); err != nil {
			return err
		}
	}
	return n.inside(func() (err error) {
		as := n.as
		if n.options.AsRoot {
			as = nil
		}
		p, err := n.spawnAs(as, n.Name+".sidecar", n.env, n.program(), "run", "-c", n.ConfigFile())
		if err == nil {
			n.sidecar = p
		}
		return err
	})
}

// Env sets environment variables for the sidecar's next start.
func (n *Node) Env(env ...string) { n.env = env }

// Sidecar is the sidecar's process.
func (n *Node) Sidecar() *Process { return n.sidecar }

func appendTo(file string, lines ...string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	return err
}
