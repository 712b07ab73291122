package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/pgvigil/pgvigil/test/freeport"
)

// PgBouncer is one in front of the cluster, in transaction pooling, its server connections made to whoever is primary.
type PgBouncer struct {
	*Process
	Port   int
	router net.Listener
}

// FindPgBouncer returns the program, as Debian has it or on the PATH.
func FindPgBouncer() (string, error) {
	const debian = "/usr/sbin/pgbouncer"
	if _, err := os.Stat(debian); err == nil {
		return debian, nil
	}
	return exec.LookPath("pgbouncer")
}

// ReservePgBouncer takes a port for one that is started later, and returns its console's conninfo.
func ReservePgBouncer() (port int, console string, err error) {
	port, err = freeport.Take()
	return port, bouncer(port, "pgbouncer"), err
}

func bouncer(port int, database string) string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s sslmode=disable", loopback, port, database)
}

// Conninfo is for clients of the pool.
func (b *PgBouncer) Conninfo() string { return bouncer(b.Port, "pooled") }

// StartPgBouncer starts one on a port that was reserved.
func (c *Cluster) StartPgBouncer(port int) (*PgBouncer, error) {
	program, err := FindPgBouncer()
	if err != nil {
		return nil, err
	}
	b := &PgBouncer{Port: port}
	if b.router, err = net.Listen("tcp", loopback+":0"); err != nil {
		return nil, err
	}
	go c.route(b.router)
	users, file := filepath.Join(c.Dir, "pgbouncer.users"), filepath.Join(c.Dir, "pgbouncer.ini")
	ini := fmt.Sprintf("[databases]\npooled = host=%s port=%d dbname=postgres\n[pgbouncer]\nlisten_addr = %s\nlisten_port = %d\nauth_type = trust\nauth_file = %s\n"+
		"admin_users = postgres\nunix_socket_dir =\npool_mode = transaction\nserver_login_retry = 1\n",
		loopback, b.router.Addr().(*net.TCPAddr).Port, loopback, port, users)
	for name, text := range map[string]string{users: "\"postgres\" \"\"\n", file: ini} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	b.Process, err = c.spawn("pgbouncer", nil, program, file)
	return b, err
}

// Close ends it.
func (b *PgBouncer) Close() {
	_ = b.Kill()
	_ = b.router.Close()
}

// route hands each connection on to whoever says that it is primary, as a load balancer does.
func (c *Cluster) route(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go c.carry(client)
	}
}

func (c *Cluster) carry(client net.Conn) {
	defer client.Close()
	n := c.saysPrimary()
	if n == nil {
		return
	}
	server, err := net.DialTimeout("tcp", n.Address(), time.Second)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, server)
}

func (c *Cluster) saysPrimary() *Node {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, n := range c.Nodes {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.API()+"/primary", nil)
		if err != nil {
			continue
		}
		if response, err := http.DefaultClient.Do(request); err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK {
			return n
		}
	}
	return nil
}
