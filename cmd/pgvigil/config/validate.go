package config

import (
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
)

// ForStore says what is wrong or missing for a command that only talks to etcd.
func (c *Config) ForStore() error { return errors.Join(c.storeComplaints()...) }

// ForMember says what is wrong or missing for a sidecar.
func (c *Config) ForMember() error {
	complaints := c.storeComplaints()
	complaints = append(complaints, c.memberComplaints()...)
	complaints = append(complaints, c.apiComplaints()...)
	complaints = append(complaints, c.pathComplaints()...)
	complaints = append(complaints, c.embeddedComplaints()...)
	complaints = append(complaints, c.alertComplaints()...)
	complaints = append(complaints, c.hookComplaints()...)
	complaints = append(complaints, c.virtualIPComplaints()...)
	for _, complaint := range c.PgBouncer.Complaints() {
		complaints = append(complaints, c.complain("pgbouncer", "%w", complaint))
	}
	if err := c.Policy.Validate(); err != nil {
		complaints = append(complaints, c.complain(c.firstGiven("policy"), "%v", err))
	}
	return errors.Join(complaints...)
}

var (
	clusterName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)
	// A member's name is its application_name too, to which a term is added, and PostgreSQL cuts that after 63 bytes.
	memberName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$`)
)

func (c *Config) storeComplaints() (complaints []error) {
	add := func(err error) { complaints = append(complaints, err) }
	switch {
	case c.Cluster == "":
		add(c.missing("cluster", "the cluster's name, the same on all members"))
	case !clusterName.MatchString(c.Cluster):
		add(c.complain("cluster", "%q: give 1 to 63 letters, digits, dots, dashes or underscores, a letter or digit first", c.Cluster))
	}
	if len(c.Etcd.Endpoints) == 0 {
		add(c.missing("etcd.endpoints", "etcd's client addresses such as http://10.0.0.1:2379 (or run etcd inside the sidecar with etcd.embedded)"))
	}
	tls := c.Etcd.TLS != TLS{}
	for _, endpoint := range c.Etcd.Endpoints {
		switch u, err := url.Parse(endpoint); {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			add(c.complain("etcd.endpoints", "%q is no address of etcd: give http://host:2379, or https://", endpoint))
		case tls && u.Scheme == "http":
			add(c.complain("etcd.endpoints", "%q would be spoken to without the TLS that etcd.tls asks for: write https://", endpoint))
		case u.Port() == "":
			add(c.complain("etcd.endpoints", "%q has no port: etcd's own is 2379", endpoint))
		}
	}
	if (c.Etcd.TLS.Cert == "") != (c.Etcd.TLS.Key == "") {
		add(c.complain(c.firstGiven("etcd.tls"), "a certificate goes with its key: give both etcd.tls.cert and etcd.tls.key, or neither"))
	}
	for path, name := range map[string]string{"etcd.tls.ca": c.Etcd.TLS.CA, "etcd.tls.cert": c.Etcd.TLS.Cert, "etcd.tls.key": c.Etcd.TLS.Key} {
		if _, err := os.Stat(name); name != "" && err != nil {
			add(c.complain(path, "%v: put the file there or correct the path", err))
		}
	}
	if (c.Etcd.Username == "") != (c.Etcd.Password == "") {
		add(c.complain(c.firstGiven("etcd.username", "etcd.password"), "etcd needs both a username and a password: give etcd.username, and etcd.password or etcd.password_file"))
	}
	if level := c.Log.Level; level != "debug" && level != "info" && level != "warn" && level != "error" {
		add(c.complain("log.level", "%q is no level: give debug, info, warn or error", level))
	}
	if format := c.Log.Format; format != "text" && format != "json" {
		add(c.complain("log.format", "%q is no format: give text or json", format))
	}
	return complaints
}

func (c *Config) memberComplaints() (complaints []error) {
	add := func(err error) { complaints = append(complaints, err) }
	switch {
	case c.Name == "":
		add(c.missing("name", "this member's name, which no other member of the cluster has"))
	case !memberName.MatchString(c.Name):
		add(c.complain("name", "%q: give 1 to 40 letters, digits, dots, dashes or underscores, a letter or digit first", c.Name))
	}
	if c.Priority < 0 || c.Priority > 1000 {
		add(c.complain("priority", "%d: give 0 to 1000; the higher one wins among members with the same WAL", c.Priority))
	}
	if c.Site == watchdog.SiteOfPrimary || c.Site == watchdog.SiteNone {
		add(c.complain("site", "%q means something else in policy.prefer_site: give the site another name", c.Site))
	}
	switch {
	case c.Follow == "":
	case c.Follow == c.Name:
		add(c.complain("follow", "%q is this member itself: give another's name, or primary", c.Follow))
	case !memberName.MatchString(c.Follow):
		add(c.complain("follow", "%q is no member's name: give one, or primary", c.Follow))
	}
	if c.Postgres.Address == "" {
		add(c.missing("postgres.address", "host:port at which members and clients reach this PostgreSQL"))
	} else if host, _, err := hostPort(c.Postgres.Address); err != nil {
		add(c.complain("postgres.address", "%v", err))
	} else if wildcard(host) {
		add(c.complain("postgres.address", "%q is no address that another host could connect to: give this host's own", c.Postgres.Address))
	}
	if _, _, err := hostPort(c.API.Listen); err != nil {
		add(c.complain("api.listen", "%v", err))
	}
	if u, err := url.Parse(c.API.Advertise); c.API.Advertise != "" && (err != nil || u.Scheme != "http" || u.Port() == "" || wildcard(u.Hostname())) {
		add(c.complain("api.advertise", "%q is no address that another member could ask: give http://host:8008", c.API.Advertise))
	}
	if (c.Postgres.StartCommand == "") != (c.Postgres.StopCommand == "") {
		add(c.complain(c.firstGiven("postgres.start_command", "postgres.stop_command"), "who starts the server by a command stops it by one: give both postgres.start_command and postgres.stop_command, or neither"))
	}
	return complaints
}

// leastToken is how long a token must be that opens the cluster to whoever guesses it.
const leastToken = 16

func (c *Config) apiComplaints() (complaints []error) {
	add := func(err error) { complaints = append(complaints, err) }
	if n := len(c.API.Token); n > 0 && n < leastToken {
		add(c.complain(c.firstGiven("api.token", "api.token_file"), "a token of %d characters is soon guessed: give %d or more, such as openssl rand -hex 16 prints", n, leastToken))
	}
	t := c.API.TLS
	if t == (APITLS{}) {
		return complaints
	}
	if t.Listen == "" || t.Cert == "" || t.Key == "" {
		add(c.complain(c.firstGiven("api.tls"), "TLS needs a port, a certificate and its key: give api.tls.listen, api.tls.cert and api.tls.key"))
		return complaints
	}
	if _, _, err := hostPort(t.Listen); err != nil {
		add(c.complain("api.tls.listen", "%v", err))
	}
	for path, name := range map[string]string{"api.tls.cert": t.Cert, "api.tls.key": t.Key} {
		if _, err := os.Stat(name); err != nil {
			add(c.complain(path, "%v: put the file there or correct the path", err))
		}
	}
	return complaints
}

func (c *Config) pathComplaints() (complaints []error) {
	add := func(err error) { complaints = append(complaints, err) }
	if c.Postgres.DataDir == "" {
		add(c.missing("postgres.data_dir", "PostgreSQL's data directory"))
	}
	for _, dir := range []struct{ path, value string }{
		{"postgres.data_dir", c.Postgres.DataDir}, {"postgres.bin_dir", c.Postgres.BinDir},
		{"state_dir", c.StateDir}, {"etcd.embedded.dir", c.Etcd.Embedded.Dir},
	} {
		if dir.value != "" && !filepath.IsAbs(dir.value) {
			add(c.complain(dir.path, "%q depends on where pgvigil is started: give the whole path, from / on", dir.value))
		}
	}
	for _, dir := range []struct{ path, value string }{{"state_dir", c.StateDir}, {"etcd.embedded.dir", c.Etcd.Embedded.Dir}} {
		if inside, err := filepath.Rel(c.Postgres.DataDir, dir.value); c.Postgres.DataDir != "" && dir.value != "" && err == nil && filepath.IsLocal(inside) {
			add(c.complain(dir.path, "%s lies in the data directory, which a rewind or clone replaces: give a directory beside it", dir.value))
		}
	}
	return complaints
}

func (c *Config) embeddedComplaints() (complaints []error) {
	e := c.Etcd.Embedded
	if !e.Enabled() {
		return nil
	}
	add := func(err error) { complaints = append(complaints, err) }
	if len(e.InitialCluster) == 0 {
		add(c.missing("etcd.embedded.initial_cluster", "each member's name and its etcd peer address, such as node1: http://10.0.0.1:2380"))
	} else if _, found := e.InitialCluster[c.Name]; !found {
		add(c.complain("etcd.embedded.initial_cluster", "this member, %s, is not among %s: add it with its peer address", c.Name, strings.Join(sortedKeys(e.InitialCluster), ", ")))
	}
	if e.ListenClient == "" {
		add(c.missing("etcd.embedded.listen_client", "the address on which etcd listens for clients, such as http://10.0.0.1:2379"))
	}
	scheme := "http"
	if c.Etcd.TLS.Cert != "" {
		scheme = "https"
	}
	check := func(path, value string) {
		switch u, err := url.Parse(value); {
		case value == "":
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Port() == "":
			add(c.complain(path, "%q is no address for etcd: give %s://host:port", value, scheme))
		case u.Scheme != scheme:
			add(c.complain(path, "%q does not go with etcd.tls.cert: an embedded etcd speaks https with a certificate, and http without", value))
		}
	}
	check("etcd.embedded.listen_client", e.ListenClient)
	check("etcd.embedded.listen_peer", e.ListenPeer)
	check("etcd.embedded.advertise_client", e.AdvertiseClient)
	for _, name := range sortedKeys(e.InitialCluster) {
		check("etcd.embedded.initial_cluster", e.InitialCluster[name])
	}
	return complaints
}

// firstGiven returns the first of the keys, or of the keys under a section, that was given; else the first name.
func (c *Config) firstGiven(names ...string) string {
	for _, name := range names {
		for _, path := range memberKeys.paths {
			if _, given := c.settings[path]; given && (path == name || strings.HasPrefix(path, name+".")) {
				return path
			}
		}
	}
	return names[0]
}

func hostPort(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, errors.New(strconv.Quote(address) + " is no address: give host:port")
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, errors.New(strconv.Quote(address) + " has no port from 1 to 65535: give host:port")
	}
	return host, port, nil
}

// wildcard says whether the host stands for all addresses of a machine, or for none.
func wildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || host == "*" || ip != nil && ip.IsUnspecified()
}

// Identity is what the configuration knows of the member.
func (c *Config) Identity() watchdog.Identity {
	return watchdog.Identity{
		Name: c.Name, Address: c.Postgres.Address, API: c.API.Advertise, Priority: c.Priority, Site: c.Site,
		NoFailover: c.NoFailover, NoSync: c.NoSync, Follow: c.Follow, Replication: c.Postgres.Replication,
	}
}
