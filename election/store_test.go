package election_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/pgvigil/pgvigil/election"
	"github.com/pgvigil/pgvigil/election/electiontest"
	"github.com/pgvigil/pgvigil/election/embedded"
	"github.com/pgvigil/pgvigil/test/faultline"
	"github.com/pgvigil/pgvigil/test/freeport"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// freeAddress returns an address on which nobody listens just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// newProxy is a line to etcd that can be broken.
func newProxy(t *testing.T, target string) *faultline.Line {
	t.Helper()
	l, err := faultline.New(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// startEmbedded runs an etcd of our own version in this process and returns its address.
func startEmbedded(t *testing.T) string {
	t.Helper()
	client, peer := freeAddress(t), freeAddress(t)
	m, err := embedded.Start(t.Context(), embedded.Config{
		Name: "store", Dir: t.TempDir(), ListenPeer: peer, ListenClient: client, InitialCluster: map[string]string{"store": peer}, New: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	select {
	case <-m.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("the embedded etcd is not ready after 20 s")
	}
	return client
}

// debianEtcd is what Debian's package etcd-server installs: 3.4.
const debianEtcd = "/usr/bin/etcd"

// startDebian runs Debian's etcd and returns its address.
func startDebian(t *testing.T, options ...string) string {
	t.Helper()
	if _, err := os.Stat(debianEtcd); err != nil {
		t.Fatalf("%s is missing: install it with: apt-get install etcd-server", debianEtcd)
	}
	client, peer := freeAddress(t), freeAddress(t)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	options = append(options, "--name", "store", "--data-dir", t.TempDir(),
		"--listen-client-urls", "http://"+client, "--advertise-client-urls", "http://"+client,
		"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer, "--initial-cluster", "store=http://"+peer)
	etcd := exec.Command(debianEtcd, options...)
	etcd.Stdout, etcd.Stderr = log, log
	etcd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := etcd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = etcd.Process.Kill()
		_ = etcd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("etcd's log ends: %s", text[max(0, len(text)-4000):])
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := rawClient(t, client).Get(ctx, "any", clientv3.WithSerializable()); err != nil {
		t.Fatalf("Debian's etcd does not answer: %v", err)
	}
	return client
}

func rawClient(t *testing.T, address string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// open returns a client of the cluster that ends with the test.
func open(t *testing.T, cluster string, endpoints ...string) *election.Client {
	t.Helper()
	c, err := election.Open(election.Config{Cluster: cluster, Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// etcdctl is what the contract needs to reach around the store.
type etcdctl struct {
	t      *testing.T
	client *clientv3.Client
	prefix string
}

func (e *etcdctl) check(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *etcdctl) Prefix() string { return e.prefix }

func (e *etcdctl) Put(key, value string) {
	_, err := e.client.Put(context.Background(), key, value)
	e.check(err)
}

func (e *etcdctl) Get(key string) (string, bool) {
	r, err := e.client.Get(context.Background(), key)
	e.check(err)
	if len(r.Kvs) == 0 {
		return "", false
	}
	return string(r.Kvs[0].Value), true
}

func (e *etcdctl) Delete(key string) {
	_, err := e.client.Delete(context.Background(), key)
	e.check(err)
}

func (e *etcdctl) DeletePrefix(prefix string) {
	_, err := e.client.Delete(context.Background(), prefix, clientv3.WithPrefix())
	e.check(err)
}

func (e *etcdctl) Expire(lease int64) {
	_, err := e.client.Revoke(context.Background(), clientv3.LeaseID(lease))
	e.check(err)
}

// clusters numbers the clusters that share an etcd.
var clusters atomic.Int64

func exercise(t *testing.T, endpoints ...string) {
	t.Helper()
	electiontest.Exercise(t, func(t *testing.T) (func() sidecar.Store, electiontest.RawAccess) {
		cluster := fmt.Sprintf("contract%d", clusters.Add(1))
		raw := &etcdctl{t: t, client: rawClient(t, endpoints[0]), prefix: "/pgvigil/" + cluster + "/"}
		return func() sidecar.Store { return open(t, cluster, endpoints...) }, raw
	})
}

func TestContractOnOurOwnEtcd(t *testing.T) {
	t.Parallel()
	exercise(t, startEmbedded(t))
}

func TestContractOnDebiansEtcd(t *testing.T) {
	t.Parallel()
	exercise(t, startDebian(t))
}
