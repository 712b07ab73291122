package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/election/electiontest"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/api"
	"github.com/pgvigil/pgvigil/watchdog/request"
)

// etcdOf is an etcd that holds the cluster of a scene with a policy.
func etcdOf(t *testing.T, s *scene) *electiontest.Cluster {
	t.Helper()
	etcd := electiontest.NewCluster(func() watchdog.Instant { return 0 })
	p := watchdog.DefaultPolicy()
	var none int64
	s.cluster.Record.SystemID, s.cluster.Record.Cluster = "7000000000000000001", "test"
	c := watchdog.Change{Record: s.cluster.Record, Policy: &p, If: watchdog.If{RecordRev: &none, PolicyRev: &none}}
	if _, err := etcd.Client().Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return etcd
}

// fakeStore is an etcd in memory, as a command reaches it.
type fakeStore struct{ *electiontest.FakeClient }

func (s fakeStore) Ask(ctx context.Context, r watchdog.Request) (uint64, error) {
	return request.Ask(ctx, s.FakeClient, r, func() time.Time { return began })
}

func (s fakeStore) Members(context.Context, watchdog.Cluster) map[string]api.Answer { return nil }

// run runs a command's work on an etcd in memory, with its flags and arguments.
func run(t *testing.T, etcd *electiontest.Cluster, form form, flags []cli.Flag, act func(*cli.Context, *operator) error, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	o := &operator{store: fakeStore{etcd.Client()}, in: strings.NewReader(""), out: &out, form: form, person: true}
	o.cfg.Cluster = "orders"
	app := &cli.App{Flags: flags, Action: func(c *cli.Context) error { return act(c, o) }, Writer: io.Discard, ExitErrHandler: func(*cli.Context, error) {}}
	err := app.RunContext(t.Context(), append([]string{"test"}, args...))
	return out.String(), err
}

func TestSettingThePolicy(t *testing.T) {
	for _, test := range []struct {
		name string
		set  string
		says string // what is printed, or the error
		code int
	}{
		{"durability", "durability=quorum k=2", "durability async → quorum\nk 1 → 2\nwritten\n", 0},
		{"a duration", "detection=2s", "detection 1.5s → 2s\n", 0},
		{"a switch", "failsafe=off clone=no", "failsafe true → false\nclone true → false\n", 0},
		{"the same again", "durability=async", "nothing changes", 0},
		{"a typing error", "durabilty=quorum", "did you mean durability?", exitUsage},
		{"no assignment", "durability", "no KEY=VALUE", exitUsage},
		{"not a number", "k=two", "give a number", exitUsage},
		{"half a number", "k=1.5", "1.5", exitUsage},
		{"nonsense", "durability=maybe", "give async or quorum", exitUsage},
		{"an inequality", "missed_renewals=9", "would fence after fewer", exitUsage},
		{"how long a primary is trusted", "ttl=9s", "how long a primary is trusted", exitRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			etcd := etcdOf(t, well())
			said, err := run(t, etcd, asTable, nil, setPolicy, strings.Fields(test.set)...)
			if err != nil {
				said = err.Error()
			}
			if !strings.Contains(said, test.says) || (err == nil) != (test.code == 0) || err != nil && codeOf(err) != test.code {
				t.Errorf("%q, %v; want %q and code %d", said, err, test.says, test.code)
			}
			events, _ := etcd.Client().Events(t.Context(), 9)
			if wrote := strings.HasSuffix(said, "written\n"); wrote != (len(events) == 1) || wrote && events[0].Kind != watchdog.EventPolicy {
				t.Errorf("%q, and events %+v", said, events)
			}
		})
	}
}

func TestEditingThePolicy(t *testing.T) {
	other := func(etcd *electiontest.Cluster) func(*testing.T) {
		return func(t *testing.T) {
			if _, err := run(t, etcd, asTable, nil, setPolicy, "k=3"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name, editor string
		args         []string
		meanwhile    bool
		says         string
		code         int
	}{
		{"a value", "sed -i s/1.5s/2s/", []string{"--yes"}, false, "detection 1.5s → 2s\nwritten\n", 0},
		{"a line taken out", "sed -i /detection/d", []string{"--yes"}, false, "nothing changes", 0},
		{"nothing", "true", nil, false, "nothing changes", 0},
		{"without a yes", "sed -i s/1.5s/2s/", nil, false, "Write this to the policy of orders? [y/N]", exitUsage},
		{"a typing error", "sed -i s/^detection/detction/", []string{"--yes"}, false, "unknown key detction: did you mean detection?", exitUsage},
		{"an inequality", `sed -i s/^\(missed_renewals:.\).*/\19/`, []string{"--yes"}, false, "would fence after fewer", exitUsage},
		{"another's change meanwhile", "sed -i s/1.5s/2s/", []string{"--yes"}, true, "was changed by another", exitRefused},
		{"an editor that fails", "false", nil, false, "nothing was written", exitFailure},
		{"no editor", "/nonexistent/vi", nil, false, "EDITOR", exitFailure},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("VISUAL", "")
			t.Setenv("EDITOR", test.editor)
			etcd := etcdOf(t, well())
			act := editPolicy
			if test.meanwhile {
				act = func(c *cli.Context, o *operator) error {
					o.store = &interrupted{o.store, func() { other(etcd)(t) }}
					return editPolicy(c, o)
				}
			}
			said, err := run(t, etcd, asTable, []cli.Flag{yesFlag()}, act, test.args...)
			if err != nil {
				said += err.Error()
			}
			if !strings.Contains(said, test.says) || err != nil && codeOf(err) != test.code || (err == nil) != (test.code == 0) {
				t.Errorf("%q, %v; want %q and code %d", said, err, test.says, test.code)
			}
		})
	}
}

// interrupted is a store in which something happens before a request comes in.
type interrupted struct {
	store
	first func()
}

func (i *interrupted) Ask(ctx context.Context, r watchdog.Request) (uint64, error) {
	i.first()
	return i.store.Ask(ctx, r)
}

func TestTheHistoryOfThePolicy(t *testing.T) {
	etcd := etcdOf(t, well())
	for _, set := range []string{"k=2", "k=3"} {
		if _, err := run(t, etcd, asTable, nil, setPolicy, set); err != nil {
			t.Fatal(err)
		}
	}
	act := func(c *cli.Context, o *operator) error { return policyFeed(o).run(c, o) }
	said, err := run(t, etcd, asTable, []cli.Flag{numberFlag(0, "")}, act)
	if err != nil || strings.Count(said, "\n") != 2 || !strings.Contains(said, "k 1 → 2") || !strings.Contains(said, asker()) {
		t.Errorf("%v: %s", err, said)
	}
	said, err = run(t, etcd, asJSON, []cli.Flag{numberFlag(0, "")}, act, "-n", "1")
	if err != nil || !strings.Contains(said, `"k": "2 → 3"`) || strings.Contains(said, "1 → 2") {
		t.Errorf("%v: %s", err, said)
	}
}

func TestShowingThePolicy(t *testing.T) {
	var out bytes.Buffer
	if err := showPolicy(&out, watchdog.DefaultPolicy(), asTable); err != nil {
		t.Fatal(err)
	}
	golden(t, "policy.txt", out.String())
}
