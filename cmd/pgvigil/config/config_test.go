package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pgvigil.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func load(t *testing.T, text string, environ ...string) Config {
	t.Helper()
	c, err := Load(write(t, text), environ, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheExampleOfTheReadmeIsEnough(t *testing.T) {
	c, err := Load("testdata/issue.yaml", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ForMember(); err != nil {
		t.Fatal(err)
	}
	if c.API.Advertise != "http://10.0.0.11:8008" || c.StateDir != "/var/lib/postgresql/15/main.pgvigil" {
		t.Errorf("derived: advertise %q, state_dir %q", c.API.Advertise, c.StateDir)
	}
	if c.Policy.Policy != watchdog.DefaultPolicy() || c.Policy.TTL.D() != 5*time.Second || c.Policy.LagLimit != 1<<20 {
		t.Errorf("policy: %+v", c.Policy)
	}
	want := watchdog.Identity{Name: "node1", Address: "10.0.0.11:5432", API: "http://10.0.0.11:8008", Replication: "user=replicator"}
	if got := c.Identity(); got != want {
		t.Errorf("identity %+v, want %+v", got, want)
	}
	if len(c.Etcd.Endpoints) != 3 || c.Etcd.Embedded.Enabled() || len(c.Warnings) != 0 {
		t.Errorf("etcd: %+v warnings %v", c.Etcd, c.Warnings)
	}
}

func TestFlagsWinOverEnvironmentOverFile(t *testing.T) {
	name := write(t, "cluster: file\nname: file\nsite: file\npolicy: {preset: tight, detection: 700ms}\n")
	c, err := Load(name, []string{"PGVIGIL_CLUSTER=env", "PGVIGIL_NAME=env", "PGVIGIL_SITE=", "PGVIGIL_POLICY_HEARTBEAT=200ms"},
		map[string]Flag{"cluster": {"cluster", "flag"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Cluster != "flag" || c.Name != "env" || c.Site != "file" {
		t.Errorf("cluster %q, name %q, site %q", c.Cluster, c.Name, c.Site)
	}
	tight, _ := watchdog.Preset("tight")
	tight.Detection, tight.Heartbeat = watchdog.Duration(700*time.Millisecond), watchdog.Duration(200*time.Millisecond)
	if c.Policy.Policy != tight {
		t.Errorf("policy %+v, want the tight one with two changes", c.Policy)
	}
}

// every is a text for each kind of field, as the environment has it.
func every(field reflect.Value) string {
	if _, ok := field.Interface().(watchdog.Duration); ok {
		return "7s"
	}
	switch field.Kind() {
	case reflect.Bool:
		return "true"
	case reflect.Int, reflect.Float64:
		return "7"
	case reflect.Int64:
		return "7MB"
	case reflect.Slice:
		return "a, b"
	case reflect.Map:
		return "a=b,c=d"
	}
	return "text"
}

func TestEveryKeyIsAnEnvironmentVariable(t *testing.T) {
	for _, path := range memberKeys.paths {
		t.Run(path, func(t *testing.T) {
			var c Config
			text := every(memberKeys.field(&c, path))
			switch path {
			case "policy.preset":
				text = "tight"
			case "etcd.password_file", "api.token_file":
				text = write(t, "secret\n")
			case "api.advertise":
				text = "http://text"
			case "alerts":
				text = "[{name: ops, type: webhook, url: 'http://a/'}]"
			case "hooks.on_start", "hooks.before_promote", "hooks.on_promote", "hooks.on_demote", "hooks.on_follow":
				text = "[{command: [/bin/page, dba], timeout: 3s}]"
			case "virtual_ip":
				text = "{address: 10.0.0.100/24, interface: eth0}"
			}
			name := "PGVIGIL_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
			got, err := Load("", []string{name + "=" + text}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := memberKeys.field(&got, path); got.IsZero() {
				t.Errorf("%s=%s left it empty", name, text)
			}
		})
	}
	for _, path := range []string{"cluster", "etcd.embedded.initial_cluster", "postgres.data_dir", "policy.ttl", "policy.clone", "no_failover", "log.format"} {
		if !slices.Contains(memberKeys.paths, path) {
			t.Errorf("%s is no key", path)
		}
	}
}

func TestWhatIsWrongInAFileIsSaidWithItsLine(t *testing.T) {
	for _, test := range []struct {
		name, text string
		says       []string
	}{
		{"a typing error names the key meant", "cluster: a\npostgres:\n  data_dri: /x\n",
			[]string{":3: unknown key postgres.data_dri: did you mean data_dir?", "3 |   data_dri: /x"}},
		{"a key in the wrong section names the right one", "data_dir: /x\n", []string{":1: unknown key data_dir: did you mean postgres.data_dir?"}},
		{"a typing error in the wrong section", "endpoint: x\n", []string{":1: unknown key endpoint"}},
		{"a key like no other lists the keys there", "api:\n  foo: 1\n", []string{":2: unknown key api.foo: the keys here are advertise, listen"}},
		{"a key twice", "cluster: a\nname: b\ncluster: c\n", []string{":3: cluster stands here a second time, after line 1: keep one"}},
		{"a list where a text belongs", "cluster: [a]\n", []string{":1: cluster: it is a list: give one text"}},
		{"a key without a value", "cluster:\n", []string{":1: cluster: it is empty: give one text"}},
		{"a text where a number belongs", "priority: high\n", []string{`:1: priority: "high" is not a whole number`}},
		{"yes where true belongs", "no_failover: yes\n", []string{`:1: no_failover: "yes" is not true or false`}},
		{"a duration without a unit", "policy:\n  ttl: 5\n", []string{`:2: policy.ttl: "5" is no duration: give a number with a unit`}},
		{"a value where a section belongs", "etcd: http://a:2379\n", []string{`:1: etcd is the value "http://a:2379": keys are expected here`}},
		{"a section where a list belongs", "etcd:\n  endpoints: {a: b}\n", []string{":2: etcd.endpoints: it is a section: give a list"}},
		{"a list in a list", "etcd:\n  endpoints:\n  - [a]\n", []string{":2: etcd.endpoints: it holds a list in line 3"}},
		{"a member of etcd twice", "etcd:\n  embedded:\n    initial_cluster:\n      a: http://x:1\n      a: http://y:1\n", []string{"a stands a second time in line 5"}},
		{"no such preset", "policy: {preset: fast}\n", []string{`:1: policy.preset: there is no preset "fast": give default or tight`}},
		{"a section where a list of them belongs", "alerts: {name: a}\n", []string{":1: alerts: it is a section: give a list of sections"}},
		{"a text in a list of sections", "alerts:\n- a\n", []string{`:1: alerts: it holds the value "a" in line 2: give a list of sections`}},
		{"a typing error in a list of sections", "alerts:\n- name: a\n  typ: webhook\n", []string{":1: alerts: unknown key typ in line 3: did you mean type?"}},
		{"a key twice in a section of a list", "alerts:\n- name: a\n  name: b\n", []string{"alerts: name stands a second time in line 3: keep one"}},
		{"a wrong value in a section of a list", "alerts:\n- timeout: 5\n", []string{`alerts: timeout in line 2: "5" is no duration`}},
		{"no YAML", "cluster: a\n\tname: b\n", []string{":2: this is no YAML"}},
		{"not keys at all", "- a\n", []string{":1: the file is a list: keys are expected here"}},
		{"two documents", "cluster: a\n---\ncluster: b\n", []string{"a second document begins here"}},
		{"all errors at once", "clster: a\npriority: x\n", []string{":1: unknown key clster: did you mean cluster?", ":2: priority:"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(write(t, test.text), nil, nil)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, says := range test.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("says\n%v\nwant in it\n%s", err, says)
				}
			}
		})
	}
}

func TestSinksOfAlerts(t *testing.T) {
	c := load(t, "alerts:\n- &a\n  name: ops\n  type: command\n  command: [/bin/page, dba]\n  timeout: 3s\n- name: b\n  type: webhook\n  url: http://x/\n")
	if len(c.Alerts) != 2 || c.Alerts[0].Command[1] != "dba" || c.Alerts[0].Timeout.D() != 3*time.Second || c.Alerts[1].URL != "http://x/" {
		t.Errorf("%+v", c.Alerts)
	}
	if err := c.ForAlerts(); err == nil || !strings.Contains(err.Error(), "cluster: it is missing") {
		t.Errorf("no cluster: %v", err)
	}
	for _, test := range []struct{ text, says string }{
		{"[{}]", "alerts: sink 1: name: it is missing"},
		{"[{name: a b}]", `sink "a b": name: "a b": give 1 to 40 letters`},
		{"[{name: a}]", "type: it is missing: give one of alertmanager, command, notify, opsgenie, pagerduty, teams, webhook"},
		{"[{name: a, type: mail}]", `type: "mail" is no type`},
		{"[{name: a, type: webhook}]", "url: it is missing"},
		{"[{name: a, type: alertmanager, url: am:9093}]", "url: it is no address to post to"},
		{"[{name: a, type: command}]", "command: it is missing"},
		{"[{name: a, type: command, command: [page]}]", "give the program's whole path"},
		{"[{name: a, type: command, command: [/x], url: http://x/}]", "a command takes neither"},
		{"[{name: a, type: webhook, url: http://x/, command: [/x]}]", "it goes with type: command alone"},
		{"[{name: a, type: notify}]", "give the service's URL"},
		{"[{name: a, type: notify, url: 'pigeon://x'}]", `there is no service "pigeon": give the URL of one of`},
		{"[{name: a, type: webhook, url: http://x/, severity: fatal}]", `severity: "fatal" is no severity`},
		{"[{name: a, type: webhook, url: http://x/, kinds: [hand-over, handover]}]", `kinds: "handover" is no kind of event: there are adopted, `},
		{"[{name: a, type: webhook, url: http://x/, except: [x]}]", `except: "x" is no kind of event`},
		{"[{name: a, type: pagerduty}]", "secret_file: it is missing: give a file that holds the integration key"},
		{"[{name: a, type: opsgenie, url: api.eu.opsgenie.com, secret_file: /k}]", "url: it is no address to post to"},
		{"[{name: a, type: teams}]", "url: give the workflow's URL here or in the file"},
		{"[{name: a, type: notify, url: 'pagerduty:///k'}]", "url: pagerduty has a type of its own: give type: pagerduty"},
		{"[{name: a, type: webhook, url: http://x/, timeout: 1h}]", "timeout: 1h0m0s is not between"},
		{"[{name: a, type: webhook, url: http://x/, secret_file: key}]", "give the whole path"},
		{"[{name: a, type: webhook, url: http://x/}, {name: a, type: webhook, url: http://y/}]", "name: another sink has it too"},
	} {
		c := load(t, "cluster: c\nalerts: "+test.text+"\n")
		if err := c.ForAlerts(); err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), ":2: alerts: ") {
			t.Errorf("%s says\n%v\nwant\n%s", test.text, err, test.says)
		}
	}
}

func TestValuesThatAreRead(t *testing.T) {
	c := load(t, "name: 007\netcd:\n  endpoints: &e [\"http://a:1\"]\n  embedded:\n    initial_cluster: {a: http://x:1}\npolicy:\n  lag_limit: 2MB\n  clock_error: 0.02\napi:\n")
	if c.Name != "007" || c.Policy.LagLimit != 2<<20 || c.Policy.ClockError != 0.02 || c.Etcd.Embedded.InitialCluster["a"] != "http://x:1" {
		t.Errorf("%+v", c)
	}
	if empty := load(t, ""); empty.Log.Level != "info" {
		t.Errorf("an empty file: %+v", empty)
	}
}

func TestVariablesThatNearlyAreKeysAreWarnedOf(t *testing.T) {
	c := load(t, "", "PGVIGIL_CLUSTR=a", "PGVIGIL_SERVICE_HOST=10.0.0.1", "PGVIGIL_CRASH_AT=x", "HOME=/")
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "did you mean PGVIGIL_CLUSTER?") {
		t.Errorf("warnings: %q", c.Warnings)
	}
}

func TestAFileThatCannotBeRead(t *testing.T) {
	if _, err := Load("/nonexistent/pgvigil.yaml", nil, nil); err == nil || !strings.Contains(err.Error(), "-c") {
		t.Errorf("%v", err)
	}
}

func TestPasswordFile(t *testing.T) {
	secret := write(t, "s3cret\n")
	if c := load(t, "etcd: {username: u, password_file: "+secret+"}"); c.Etcd.Password != "s3cret" {
		t.Errorf("password %q", c.Etcd.Password)
	}
	if _, err := Load(write(t, "etcd: {password: a, password_file: "+secret+"}"), nil, nil); err == nil || !strings.Contains(err.Error(), "keep one") {
		t.Errorf("both: %v", err)
	}
	if _, err := Load(write(t, "etcd: {password_file: /nonexistent}"), nil, nil); err == nil || !strings.Contains(err.Error(), ":1: etcd.password_file:") {
		t.Errorf("absent: %v", err)
	}
}

func TestVirtualAddresses(t *testing.T) {
	one := load(t, "virtual_ip: {address: 10.0.0.100/24, interface: eth0}\n")
	list := load(t, "virtual_ip:\n- {address: 10.0.0.100/24, interface: eth0}\n- {address: '2001:db8::1/64', interface: eth0}\n")
	if len(one.VirtualIP) != 1 || len(list.VirtualIP) != 2 || one.VirtualIP[0] != list.VirtualIP[0] || one.VirtualIP[0].Interface != "eth0" {
		t.Errorf("%+v and %+v", one.VirtualIP, list.VirtualIP)
	}
	for _, test := range []struct{ text, says string }{
		{"{address: 10.0.0.100, interface: eth0}", "virtual_ip: address: 10.0.0.100 is none: give it with its network's length"},
		{"{address: 10.0.0.11/24, interface: eth0}", "10.0.0.11 is in postgres.address too"},
		{"[{address: 10.0.0.9/24, interface: a}, {address: 10.0.0.9/24, interface: b}]", "10.0.0.9 is given twice"},
	} {
		c := load(t, "postgres: {address: '10.0.0.11:5432'}\nvirtual_ip: "+test.text+"\n")
		if err := c.ForMember(); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", test.text, err)
		}
	}
}
