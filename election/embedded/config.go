package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
)

// Config is what a member needs to know. Addresses are URLs; without a scheme they are http, or https where certificates are
// given.
type Config struct {
	Name            string            // of the etcd member, the sidecar's own
	Dir             string            // for its data
	ListenPeer      string            // IP address and port for the other members
	ListenClient    string            // IP address and port for clients
	AdvertisePeer   string            // as the other members reach it; empty: ListenPeer
	AdvertiseClient string            // as clients reach it; empty: ListenClient
	InitialCluster  map[string]string // name → AdvertisePeer of every member, this one too
	Cluster         string            // token that tells apart clusters made from the same addresses
	New             bool              // the cluster is being made; false: this member was added to one that exists
	PeerCerts       Certs             // between members; zero: no TLS
	ClientCerts     Certs             // for clients; zero: no TLS
	Log             *slog.Logger      // nil: silence
}

// Certs is files of certificates. With CA, the other side must show a certificate too.
type Certs struct{ Cert, Key, CA string }

func (c Certs) given() bool { return c != Certs{} }

func (c Certs) info() transport.TLSInfo {
	return transport.TLSInfo{CertFile: c.Cert, KeyFile: c.Key, TrustedCAFile: c.CA, ClientCertAuth: c.CA != ""}
}

const (
	heartbeatMS        = 100
	electionMS         = 1000
	snapshotCount      = 2000
	snapshotCatchUp    = 1000
	compactionKeeps    = "1h"
	compactionPeriodic = "periodic"
)

// etcd turns the configuration into etcd's own.
func (c Config) etcd() (*embed.Config, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	e := embed.NewConfig()
	e.Name, e.Dir = c.Name, c.Dir
	e.InitialClusterToken, e.ClusterState = c.Cluster, embed.ClusterStateFlagExisting
	if c.New {
		e.ClusterState = embed.ClusterStateFlagNew
	}
	var err error
	address := func(text string, otherwise string, certs Certs) []url.URL {
		if text == "" {
			text = otherwise
		}
		u, invalid := parse(text, certs)
		err = errors.Join(err, invalid)
		return []url.URL{u}
	}
	e.ListenPeerUrls = address(c.ListenPeer, "", c.PeerCerts)
	e.ListenClientUrls = address(c.ListenClient, "", c.ClientCerts)
	e.AdvertisePeerUrls = address(c.AdvertisePeer, c.ListenPeer, c.PeerCerts)
	e.AdvertiseClientUrls = address(c.AdvertiseClient, c.ListenClient, c.ClientCerts)
	var initial []string
	for _, name := range slices.Sorted(maps.Keys(c.InitialCluster)) {
		initial = append(initial, name+"="+address(c.InitialCluster[name], "", c.PeerCerts)[0].String())
	}
	e.InitialCluster = strings.Join(initial, ",")
	e.PeerTLSInfo, e.ClientTLSInfo = c.PeerCerts.info(), c.ClientCerts.info()

	e.TickMs, e.ElectionMs, e.PreVote = heartbeatMS, electionMS, true
	e.SnapshotCount, e.SnapshotCatchUpEntries = snapshotCount, snapshotCatchUp
	e.AutoCompactionMode, e.AutoCompactionRetention = compactionPeriodic, compactionKeeps
	e.EnableGRPCGateway = false
	e.ZapLoggerBuilder = embed.NewZapLoggerBuilder(bridged(c.Log))
	return e, err
}

// validate says in one sentence what is missing.
func (c Config) validate() error {
	switch {
	case c.Name == "":
		return errors.New("embedded etcd has no name")
	case c.Dir == "":
		return errors.New("embedded etcd has no directory for its data")
	case c.ListenPeer == "" || c.ListenClient == "":
		return errors.New("embedded etcd has no address to listen on for members and for clients")
	case c.InitialCluster[c.Name] == "":
		return fmt.Errorf("embedded etcd's initial cluster does not name %q itself", c.Name)
	}
	return nil
}

func parse(text string, certs Certs) (url.URL, error) {
	if !strings.Contains(text, "://") {
		scheme := "http://"
		if certs.given() {
			scheme = "https://"
		}
		text = scheme + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return url.URL{}, fmt.Errorf("embedded etcd's address: %w", err)
	}
	return *u, nil
}
