package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pgvigil/pgvigil/election"
	"github.com/pgvigil/pgvigil/test/freeport"
	"github.com/pgvigil/pgvigil/test/leftover"
	"github.com/pgvigil/pgvigil/watchdog"
)

// Name is the cluster's, in every lab.
const Name = "demo"

// Options says what to build.
type Options struct {
	BinDir     string // PostgreSQL's programs; empty: found
	Executable string // pgvigil
	Nodes      int    // 0: three
	Embedded   bool   // etcd's members run inside the sidecars; else Debian's etcd runs as three processes
	Preset     string // of the policy; empty: default
	Policy     string // lines of the policy, as "durability: quorum"
	Namespaces bool   // each node has a network namespace of its own, and can be cut off; needs root
	AsRoot     bool   // sidecars are started as root, and become the servers' user by themselves
	Settings   string // lines for every server's postgresql.conf
	Config     string // lines for every sidecar's configuration file
	Empty      bool   // only etcd: servers, and the sidecars' configuration files, are for the caller to make
	// Upstreams says which standbys follow another, by name: they are copied from there.
	Upstreams map[string]string
}

// Cluster is a built cluster.
type Cluster struct {
	Dir   string
	Nodes []*Node
	Etcd  []*Process
	Store *election.Client

	ids       atomic.Int64 // of the rows written so far, by all writers
	options   Options
	as        *syscall.Credential
	endpoints []string
	peers     map[string]string
	network   *network // nil: all nodes are on the loopback
}

// FindBinDir returns the directory of the newest PostgreSQL installed as Debian has it, or on the PATH.
func FindBinDir() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	best, dir := 0, ""
	for _, path := range found {
		major, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		if major > best {
			best, dir = major, filepath.Dir(path)
		}
	}
	if dir != "" {
		return dir, nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("no PostgreSQL server found: install Debian's postgresql package, or name its directory with --bin-dir")
}

// New builds the servers and starts them: one primary, the others streaming from it. Sidecars are started by
// StartSidecars.
func New(ctx context.Context, o Options) (c *Cluster, err error) {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.BinDir == "" {
		if o.BinDir, err = FindBinDir(); err != nil {
			return nil, err
		}
	}
	c = &Cluster{options: o, peers: map[string]string{}}
	if c.Dir, err = os.MkdirTemp("", "pgvigil-"); err != nil {
		return nil, fmt.Errorf("make the lab's directory: %w", err)
	}
	built := c
	defer func() {
		if err != nil {
			err = errors.Join(err, built.Close()) // c may be nil by now
		}
	}()
	if err := c.lodge(); err != nil {
		return nil, err
	}
	if err := c.build(ctx); err != nil {
		return nil, err
	}
	c.Store, err = election.Open(election.Config{Cluster: Name, Endpoints: c.endpoints})
	return c, err
}

// lodge gives the directory to the user that servers run as, and the binary a place that the user can reach.
func (c *Cluster) lodge() error {
	if err := os.Chmod(c.Dir, 0o755); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		owner, err := user.Lookup("postgres")
		if err != nil {
			return fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres: %w", err)
		}
		uid, _ := strconv.Atoi(owner.Uid)
		gid, _ := strconv.Atoi(owner.Gid)
		c.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(c.Dir, uid, gid); err != nil {
			return err
		}
	}
	if c.options.Executable == "" {
		return nil
	}
	program, err := os.ReadFile(c.options.Executable)
	if err != nil {
		return fmt.Errorf("read pgvigil's own program: %w", err)
	}
	return os.WriteFile(c.program(), program, 0o755)
}

func (c *Cluster) program() string { return filepath.Join(c.Dir, "pgvigil") }

// WrittenTable makes the table that writers write to.
const WrittenTable = "CREATE TABLE written (id bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())"

// build makes etcd and the servers.
func (c *Cluster) build(ctx context.Context) error {
	if err := c.plan(); err != nil {
		return err
	}
	if !c.options.Embedded {
		for i := range 3 {
			if err := c.StartEtcd(i); err != nil {
				return err
			}
		}
	}
	if c.options.Empty {
		return nil
	}
	first := c.Nodes[0]
	if err := first.initialise(ctx); err != nil {
		return err
	}
	if err := first.StartServer(ctx); err != nil {
		return err
	}
	if err := first.Execute(ctx,
		"CREATE ROLE replicator SUPERUSER LOGIN REPLICATION",
		WrittenTable,
		"CHECKPOINT"); err != nil {
		return err
	}
	for _, n := range c.Nodes[1:] {
		up := first
		if name := c.options.Upstreams[n.Name]; name != "" {
			up = c.Node(name)
		}
		if err := n.copyFrom(ctx, up); err != nil {
			return err
		}
		if err := n.StartServer(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Add makes one more standby, a base backup of up, and starts it and its sidecar.
func (c *Cluster) Add(ctx context.Context, up *Node) (*Node, error) {
	var ports [2]int
	for i := range ports {
		var err error
		if ports[i], err = freeport.Take(); err != nil {
			return nil, err
		}
	}
	n := &Node{Cluster: c, host: loopback, Name: fmt.Sprintf("node%d", len(c.Nodes)+1), Port: ports[0], APIPort: ports[1]}
	c.Nodes = append(c.Nodes, n)
	if err := n.copyFrom(ctx, up); err != nil {
		return nil, err
	}
	if err := n.StartServer(ctx); err != nil {
		return nil, err
	}
	return n, n.StartSidecar()
}

// plan chooses the nodes' ports and those of etcd's members.
func (c *Cluster) plan() error {
	members := 3
	if c.options.Embedded {
		members = c.options.Nodes
	}
	ports := make([]int, 2*(c.options.Nodes+members))
	for i := range ports {
		var err error
		if ports[i], err = freeport.Take(); err != nil {
			return err
		}
	}
	for i := range c.options.Nodes {
		c.Nodes = append(c.Nodes, &Node{Cluster: c, host: loopback, Name: fmt.Sprintf("node%d", i+1), Port: ports[2*i], APIPort: ports[2*i+1]})
	}
	if c.options.Namespaces {
		if err := c.buildNetwork(); err != nil {
			return err
		}
	}
	ports = ports[2*c.options.Nodes:]
	for i := range members {
		host := loopback
		if c.options.Embedded {
			host = c.Nodes[i].host
		}
		c.endpoints = append(c.endpoints, fmt.Sprintf("http://%s:%d", host, ports[2*i]))
		c.peers[fmt.Sprintf("node%d", i+1)] = fmt.Sprintf("http://%s:%d", host, ports[2*i+1])
	}
	return nil
}

func (c *Cluster) initialCluster() string {
	var parts []string
	for name, peer := range c.peers {
		parts = append(parts, name+"="+peer)
	}
	return strings.Join(parts, ",")
}

// StartEtcd starts the i-th of the separate etcd processes, anew or again.
func (c *Cluster) StartEtcd(i int) error {
	name := fmt.Sprintf("node%d", i+1)
	peer := c.peers[name]
	p, err := c.spawn("etcd"+strconv.Itoa(i+1), nil, "etcd", "--name", name, "--data-dir", filepath.Join(c.Dir, "etcd"+strconv.Itoa(i+1)),
		"--listen-client-urls", c.endpoints[i], "--advertise-client-urls", c.endpoints[i], "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", c.initialCluster())
	if err != nil {
		return fmt.Errorf("start etcd (Debian's package etcd-server): %w", err)
	}
	if i < len(c.Etcd) {
		c.Etcd[i] = p
	} else {
		c.Etcd = append(c.Etcd, p)
	}
	return nil
}

// Endpoints are etcd's, for clients.
func (c *Cluster) Endpoints() []string { return c.endpoints }

// Read returns the cluster's keys.
func (c *Cluster) Read(ctx context.Context) (watchdog.Cluster, error) {
	bounded, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return c.Store.Read(bounded)
}

// StartSidecars starts a sidecar beside every server, the primary's first.
func (c *Cluster) StartSidecars() error {
	for _, n := range c.Nodes {
		if err := n.StartSidecar(); err != nil {
			return err
		}
	}
	return nil
}

// Node returns the node of that name.
func (c *Cluster) Node(name string) *Node {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Close ends everything by pid and removes the directory.
func (c *Cluster) Close() error {
	c.Stop()
	return errors.Join(leftover.FreeSegments(c.Dir), os.RemoveAll(c.Dir))
}

// Stop ends everything and keeps the directory.
func (c *Cluster) Stop() {
	if c.Store != nil {
		_ = c.Store.Close()
	}
	for _, n := range c.Nodes {
		if n.sidecar != nil {
			_ = n.sidecar.Kill()
		}
	}
	for _, n := range c.Nodes {
		n.killAll()
		if n.api != nil {
			n.api.Close()
		}
		for _, line := range n.lines {
			line.Close()
		}
	}
	for _, p := range c.Etcd {
		_ = p.Kill()
	}
	if c.network != nil {
		c.network.close(c.Nodes)
	}
}
