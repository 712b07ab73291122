package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/election"
)

// openStore opens the client of the configured etcd. It does not wait for etcd.
func openStore(c config.Config, log *slog.Logger) (*election.Client, error) {
	security, err := etcdTLS(c.Etcd)
	if err != nil {
		return nil, fail(exitConfig, err)
	}
	client, err := election.Open(election.Config{
		Cluster: c.Cluster, Endpoints: c.Etcd.Endpoints, Username: c.Etcd.Username, Password: c.Etcd.Password,
		TLS: security, Log: log,
	})
	return client, fail(exitConfig, err)
}

// etcdTLS is nil when nothing is configured: https endpoints are then verified with the system's CAs.
func etcdTLS(c config.Etcd) (*tls.Config, error) {
	if c.TLS == (config.TLS{}) {
		return nil, nil
	}
	security := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLS.CA != "" {
		text, err := os.ReadFile(c.TLS.CA)
		if err != nil {
			return nil, fmt.Errorf("etcd.tls.ca: %w: let PostgreSQL's user read it", err)
		}
		security.RootCAs = x509.NewCertPool()
		if !security.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("etcd.tls.ca: %s holds no certificate in PEM form", c.TLS.CA)
		}
	}
	if c.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key)
		if err != nil {
			return nil, fmt.Errorf("etcd.tls.cert and etcd.tls.key: %w: let PostgreSQL's user read them, and see that they belong together", err)
		}
		security.Certificates = []tls.Certificate{pair}
	}
	return security, nil
}

// unreachable says what to do when etcd could not be asked.
func unreachable(c config.Config, err error) error {
	return fail(exitEtcd, fmt.Errorf("etcd at %s: %w: see that etcd runs there and can be reached from here (etcdctl endpoint status), and that user, password and TLS are right",
		strings.Join(c.Etcd.Endpoints, ", "), err))
}
