package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// issue is the smallest file, with some keys given by the environment.
func issue(t *testing.T, environ ...string) Config {
	t.Helper()
	c, err := Load("testdata/issue.yaml", environ, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEachKeyThatIsMissingIsNamed(t *testing.T) {
	text, err := os.ReadFile("testdata/issue.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"cluster", "name", "etcd.endpoints", "postgres.data_dir", "postgres.address"} {
		t.Run(path, func(t *testing.T) {
			key := path[strings.LastIndex(path, ".")+1:]
			var kept []string
			for line := range strings.Lines(string(text)) {
				if !strings.HasPrefix(strings.TrimSpace(line), key+":") {
					kept = append(kept, line)
				}
			}
			c := load(t, strings.Join(kept, ""))
			want := fmt.Sprintf("pgvigil.yaml: %s: it is missing: give ", path)
			if err := c.ForMember(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), variable(path)) {
				t.Errorf("%v, want %q and the variable", err, want)
			}
		})
	}
	var none Config
	if err := none.ForStore(); err == nil || !strings.Contains(err.Error(), "configuration: cluster: it is missing") {
		t.Errorf("no file at all: %v", err)
	}
}

func TestValidation(t *testing.T) {
	for _, test := range []struct{ name, variable, says string }{
		{"a cluster that is a path", "CLUSTER=a/b", `PGVIGIL_CLUSTER: cluster: "a/b": give 1 to 63 letters`},
		{"a name with a colon", "NAME=node:1", `name: "node:1"`},
		{"an endpoint without a scheme", "ETCD_ENDPOINTS=10.0.0.1:2379", `"10.0.0.1:2379" is no address of etcd`},
		{"an endpoint without a port", "ETCD_ENDPOINTS=http://10.0.0.1", "etcd's own is 2379"},
		{"TLS over plain http", "ETCD_TLS_CA=testdata/issue.yaml", "write https://"},
		{"a CA that is not there", "ETCD_TLS_CA=/nonexistent", "PGVIGIL_ETCD_TLS_CA: etcd.tls.ca: stat /nonexistent"},
		{"a certificate without a key", "ETCD_TLS_CERT=testdata/issue.yaml", "give both etcd.tls.cert and etcd.tls.key"},
		{"a user without a password", "ETCD_USERNAME=u", "PGVIGIL_ETCD_USERNAME: etcd.username: etcd needs both"},
		{"a token that is soon guessed", "API_TOKEN=secret", "PGVIGIL_API_TOKEN: api.token: a token of 6 characters"},
		{"half of TLS", "API_TLS_LISTEN=:8443", "give api.tls.listen, api.tls.cert and api.tls.key"},
		{"a relative data directory", "POSTGRES_DATA_DIR=data", "give the whole path"},
		{"a state directory that a clone would replace", "STATE_DIR=/var/lib/postgresql/15/main/pgvigil", "lies in the data directory"},
		{"an address for all hosts", "POSTGRES_ADDRESS=0.0.0.0:5432", "give this host's own"},
		{"an address without a port", "POSTGRES_ADDRESS=10.0.0.11", `"10.0.0.11" is no address: give host:port`},
		{"a port that is none", "API_LISTEN=:80080", "no port from 1 to 65535"},
		{"an API that nobody could ask", "API_ADVERTISE=http://0.0.0.0:8008", "another member could ask"},
		{"a start command alone", "POSTGRES_START_COMMAND=true", "give both postgres.start_command and postgres.stop_command"},
		{"a priority beyond the last", "PRIORITY=1001", "PGVIGIL_PRIORITY: priority: 1001: give 0 to 1000"},
		{"a site with a name that means something else", "SITE=primary", `site: "primary" means something else in policy.prefer_site`},
		{"a member that follows itself", "FOLLOW=node1", `follow: "node1" is this member itself`},
		{"a follow that is no name", "FOLLOW=10.0.0.1:5432", `follow: "10.0.0.1:5432" is no member's name`},
		{"a level that is none", "LOG_LEVEL=loud", "PGVIGIL_LOG_LEVEL: log.level"},
		{"a format that is none", "LOG_FORMAT=xml", "give text or json"},
		{"a policy with which two primaries could live", "POLICY_FENCE_DEADLINE=4.9s", "PGVIGIL_POLICY_FENCE_DEADLINE: policy.fence_deadline: policy would let two primaries live at once"},
		{"an embedded etcd without its cluster", "ETCD_EMBEDDED_DIR=/x", "etcd.embedded.initial_cluster: it is missing"},
		{"an embedded etcd without us", "ETCD_EMBEDDED_INITIAL_CLUSTER=node2=http://10.0.0.2:2380", "this member, node1, is not among node2"},
		{"an embedded etcd with TLS and no certificate", "ETCD_EMBEDDED_INITIAL_CLUSTER=node1=https://10.0.0.1:2380", "http without"},
		{"an embedded etcd whose peer is no URL", "ETCD_EMBEDDED_INITIAL_CLUSTER=node1=10.0.0.1:2380", `"10.0.0.1:2380" is no address for etcd`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := issue(t, "PGVIGIL_"+test.variable)
			if err := c.ForMember(); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("says %v\nwant in it %s", err, test.says)
			}
		})
	}
}

func TestWhereTheAPIIsAdvertised(t *testing.T) {
	for _, test := range []struct{ name, variable, want string }{
		{"the address listened on", "X=", "http://10.0.0.11:8008"},
		{"all addresses: PostgreSQL's host", "API_LISTEN=:9000", "http://10.0.0.11:9000"},
		{"all addresses of IPv6", "API_LISTEN=[::]:9000", "http://10.0.0.11:9000"},
		{"what is given", "API_ADVERTISE=http://node1:1/", "http://node1:1"},
		{"what is given without a scheme", "API_ADVERTISE=node1:1", "http://node1:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if c := issue(t, "PGVIGIL_"+test.variable); c.API.Advertise != test.want {
				t.Errorf("%q, want %q", c.API.Advertise, test.want)
			}
		})
	}
}

func TestAnEmbeddedEtcdNeedsNoEndpoints(t *testing.T) {
	c := load(t, `
cluster: orders
name: node2
etcd:
  embedded:
    listen_client: http://0.0.0.0:2379
    initial_cluster:
      node1: http://10.0.0.11:2380
      node2: http://node2.example:2380
      node3: http://10.0.0.13:2380
postgres: {data_dir: /data, address: "10.0.0.12:5432"}
`)
	if err := c.ForMember(); err != nil {
		t.Fatal(err)
	}
	want := []string{"http://10.0.0.12:2379", "http://10.0.0.11:2379", "http://10.0.0.13:2379"}
	if !reflect.DeepEqual(c.Etcd.Endpoints, want) {
		t.Errorf("endpoints %v, want %v", c.Etcd.Endpoints, want)
	}
	e := c.Etcd.Embedded
	if e.Dir != "/data.pgvigil/etcd" || e.ListenPeer != "http://0.0.0.0:2380" || e.AdvertiseClient != "http://10.0.0.12:2379" {
		t.Errorf("embedded %+v", e)
	}
}
