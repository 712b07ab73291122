package config

import (
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// derive fills in what follows from other keys. What is wrong is left for the validation to name.
func (c *Config) derive() {
	if c.Postgres.DataDir != "" {
		c.Postgres.DataDir = filepath.Clean(c.Postgres.DataDir)
		if c.StateDir == "" {
			c.StateDir = c.Postgres.DataDir + ".pgvigil"
		}
	}
	own, _, _ := hostPort(c.Postgres.Address)
	if c.API.Advertise == "" {
		if host, port, err := net.SplitHostPort(c.API.Listen); err == nil {
			if wildcard(host) {
				host = own
			}
			if host != "" {
				c.API.Advertise = "http://" + net.JoinHostPort(host, port)
			}
		}
	} else if !strings.Contains(c.API.Advertise, "://") {
		c.API.Advertise = "http://" + c.API.Advertise
	}
	c.API.Advertise = strings.TrimRight(c.API.Advertise, "/")
	for _, name := range []*string{&c.Etcd.TLS.CA, &c.Etcd.TLS.Cert, &c.Etcd.TLS.Key, &c.API.TLS.Cert, &c.API.TLS.Key} {
		if absolute, err := filepath.Abs(*name); *name != "" && err == nil {
			*name = absolute // the sidecar leaves the directory that it was started in
		}
	}
	if c.Etcd.Embedded.Enabled() {
		c.deriveEmbedded(own)
	}
}

func (c *Config) deriveEmbedded(own string) {
	e := &c.Etcd.Embedded
	if e.Dir == "" && c.StateDir != "" {
		e.Dir = filepath.Join(c.StateDir, "etcd")
	}
	if peer, err := url.Parse(e.InitialCluster[c.Name]); err == nil && e.ListenPeer == "" && peer.Port() != "" {
		host := peer.Hostname()
		if net.ParseIP(host) == nil {
			host = "0.0.0.0" // etcd listens on addresses, not on names
		}
		e.ListenPeer = peer.Scheme + "://" + net.JoinHostPort(host, peer.Port())
	}
	client, err := url.Parse(e.ListenClient)
	if err != nil || client.Port() == "" {
		return
	}
	at := func(host string) string { return client.Scheme + "://" + net.JoinHostPort(host, client.Port()) }
	if e.AdvertiseClient == "" {
		e.AdvertiseClient = e.ListenClient
		if wildcard(client.Hostname()) && own != "" {
			e.AdvertiseClient = at(own)
		}
	}
	if len(c.Etcd.Endpoints) > 0 {
		return
	}
	// The other members' etcd is taken to listen for clients on the same port as ours.
	c.Etcd.Endpoints = []string{e.AdvertiseClient}
	for _, name := range sortedKeys(e.InitialCluster) {
		peer, err := url.Parse(e.InitialCluster[name])
		if err != nil || name == c.Name {
			continue
		}
		if endpoint := at(peer.Hostname()); !slices.Contains(c.Etcd.Endpoints, endpoint) {
			c.Etcd.Endpoints = append(c.Etcd.Endpoints, endpoint)
		}
	}
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
