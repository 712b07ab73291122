package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const two = `# mine
contexts:
  orders:
    cluster: orders
    etcd:
      endpoints: ["http://10.0.0.1:2379"]
  billing:   # by any member
    api: http://10.1.0.1:8008/, http://10.1.0.2:8008
    token: secret
current: orders # for now
`

func TestTheClusterIsFoundByTheContext(t *testing.T) {
	file, member := write(t, two), write(t, "cluster: local\netcd: {endpoints: [\"http://127.0.0.1:2379\"]}\n")
	flag := func(path, value string) map[string]Flag { return map[string]Flag{path: {path, value}} }
	for _, test := range []struct {
		name          string
		from          Source
		cluster, etcd string
		api, says     string
	}{
		{"the current one", Source{Contexts: file}, "orders", "http://10.0.0.1:2379", "", ""},
		{"another by name", Source{Contexts: file, Context: "billing"}, "", "", "http://10.1.0.1:8008 http://10.1.0.2:8008", ""},
		{"a flag over it", Source{Contexts: file, Flags: flag("cluster", "stage")}, "stage", "http://10.0.0.1:2379", "", ""},
		{"the environment over it", Source{Contexts: file, Environ: []string{"PGVIGIL_ETCD_ENDPOINTS=http://e:1"}}, "orders", "http://e:1", "", ""},
		{"an API by flag over its etcd", Source{Contexts: file, Flags: flag("api", "http://n:1")}, "orders", "http://10.0.0.1:2379", "http://n:1", ""},
		{"an etcd by flag over its API", Source{Contexts: file, Context: "billing", Flags: flag("etcd.endpoints", "http://e:1")}, "", "http://e:1", "", ""},
		{"a member's configuration instead", Source{Contexts: file, File: member}, "local", "http://127.0.0.1:2379", "", ""},
		{"both", Source{Contexts: file, File: member, Context: "orders"}, "", "", "", "give one"},
		{"none", Source{Contexts: filepath.Join(t.TempDir(), "none.yaml")}, "", "", "", ""},
		{"a name that is none", Source{Contexts: file, Context: "biling"}, "", "", "", "did you mean billing?"},
		{"a name and no file", Source{Contexts: "/nonexistent", Context: "orders"}, "", "", "", "holds none"},
		{"an API and an etcd by flag", Source{Flags: map[string]Flag{"api": {"api", "http://n:1"}, "etcd.endpoints": {"etcd", "http://e:1"}}}, "", "", "", "--etcd and --api"},
		{"an address that is none", Source{Flags: flag("api", "n:1")}, "", "", "", "no address of a member's API"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := LoadClient(test.from)
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Fatalf("%v; want %q", err, test.says)
				}
				return
			}
			if err != nil || c.Cluster != test.cluster || strings.Join(c.Etcd.Endpoints, " ") != test.etcd || strings.Join(c.API, " ") != test.api {
				t.Errorf("%v: cluster %q, etcd %q, api %q", err, c.Cluster, c.Etcd.Endpoints, c.API)
			}
		})
	}
}

func TestWhereTheTokenStands(t *testing.T) {
	file, secret := write(t, two), write(t, "from the file\n")
	for _, test := range []struct {
		name  string
		from  Source
		token string
	}{
		{"in the context", Source{Contexts: file, Context: "billing"}, "secret"},
		{"in the environment", Source{Contexts: file, Context: "billing", Environ: []string{"PGVIGIL_TOKEN=e"}}, "e"},
		{"in a file by flag", Source{Contexts: file, Context: "billing", Flags: map[string]Flag{"token_file": {"token-file", secret}}}, "from the file"},
	} {
		if c, err := LoadClient(test.from); err != nil || c.Token != test.token || c.ForOperator() != nil {
			t.Errorf("%s: %q, %v", test.name, c.Token, err)
		}
	}
	member := write(t, "cluster: a\napi: {token: of the member}\n")
	if c, err := LoadClient(Source{File: member, Flags: map[string]Flag{"api": {"api", "http://n:1"}}}); err != nil || c.Token != "of the member" {
		t.Errorf("a member's own: %q, %v", c.Token, err)
	}
	c, err := LoadClient(Source{Flags: map[string]Flag{"api": {"api", "http://n:1"}}})
	if err != nil || c.ForOperator() == nil || !strings.Contains(c.ForOperator().Error(), "--token-file") {
		t.Errorf("no token: %v, %v", err, c.ForOperator())
	}
}

func TestWhatIsWrongInAFileOfContexts(t *testing.T) {
	for text, says := range map[string]string{
		"contexts:\n  a:\n    clster: b\n":                ":3: unknown key contexts.a.clster: did you mean cluster?\n      3 |     clster: b",
		"contexts:\n  a:\n    etcd:\n      endpoint: x\n": ":4: unknown key contexts.a.etcd.endpoint: did you mean endpoints?",
		"curent: a\n":   ":1: unknown key curent (did you mean current?)",
		"colour: red\n": ":1: unknown key colour: the keys here are contexts, current",
		"current: b\ncontexts: {a: {cluster: a}}\n": `:1: there is no context "b"`,
		"contexts: [a]\n": ":1: contexts is a list",
		"contexts:\n  a: {cluster: a}\n  a: {cluster: b}\n":    ":3: contexts.a stands here a second time",
		"contexts:\n  a/b: {cluster: a}\n":                     `:2: context "a/b"`,
		"contexts:\n  a: {token_file: token, api: http://x}\n": `contexts.a.token_file: "token" depends on where`,
		"- a\n":     ":1: the file is a list",
		"a: [\n":    "this is no YAML",
		"a\n---\nb": "a second document",
	} {
		if _, err := ReadContexts(write(t, text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v\nwant %q", text, err, says)
		}
	}
	c, err := ReadContexts(write(t, "contexts: {a: {cluster: [b]}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get("a"); err == nil || !strings.Contains(err.Error(), "contexts.a.cluster: it is a list") {
		t.Errorf("%v", err)
	}
}

func TestUsingAContextLeavesTheRest(t *testing.T) {
	file := write(t, two)
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		two: strings.Replace(two, "current: orders # for now", "current: billing", 1),
		"contexts: {orders: {cluster: a}, billing: {cluster: b}}": "current: billing\ncontexts: {orders: {cluster: a}, billing: {cluster: b}}",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := ReadContexts(link)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Use("billing"); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		info, _ := os.Stat(file)
		if err != nil || string(got) != want || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v: %s", err, info.Mode(), got)
		}
		if err := c.Use("orderz"); err == nil || !strings.Contains(err.Error(), "did you mean orders?") {
			t.Errorf("%v", err)
		}
	}
}
