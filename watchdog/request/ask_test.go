package request_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/election/electiontest"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/request"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

var at = time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)

func now() time.Time { return at }

// cluster is an etcd in memory that holds a cluster at rest, with its primary's sidecar alive.
func cluster(t *testing.T) *electiontest.FakeClient {
	t.Helper()
	client := electiontest.NewCluster(func() watchdog.Instant { return 0 }).Client()
	if _, err := client.Grant(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	var none int64
	p := watchdog.DefaultPolicy()
	change := watchdog.Change{
		If: watchdog.If{RecordRev: &none, PolicyRev: &none, MemberRevs: map[string]int64{"node1": 0}}, Policy: &p,
		Record: &watchdog.Record{
			Cluster: "test", SystemID: "7", Term: 3, Seq: 9, Phase: watchdog.PhaseNormal, Primary: "node1", Taken: true, Timeline: 1,
			Members: []string{"node1", "node2"}, Durability: watchdog.Durability{Mode: watchdog.ModeAsync}, Reason: watchdog.ReasonPromoted,
		},
		Member: &watchdog.Member{Name: "node1", Incarnation: "d"},
	}
	if _, err := client.Apply(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	return client
}

func switchover() *watchdog.Operation {
	return &watchdog.Operation{ID: "abc", Kind: watchdog.OperationSwitchover, To: "node2"}
}

func policy(set string, revision int64) *watchdog.PolicyRequest {
	return &watchdog.PolicyRequest{Set: json.RawMessage(set), Revision: revision}
}

func TestAsking(t *testing.T) {
	read, err := cluster(t).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rev := read.PolicyRev
	for _, test := range []struct {
		name string
		ask  watchdog.Request
		says string // why it is refused; empty: it is not
	}{
		{"a switchover", watchdog.Request{By: "ann", Operation: switchover()}, ""},
		{"a policy", watchdog.Request{By: "ann", Policy: policy(`{"detection":"2s"}`, rev)}, ""},
		{"nobody", watchdog.Request{Operation: switchover()}, "say who asks"},
		{"two lines", watchdog.Request{By: "a\nb", Operation: switchover()}, "say who asks"},
		{"nothing", watchdog.Request{By: "ann"}, "nothing is asked for"},
		{"a pause", watchdog.Request{By: "ann", Pause: &watchdog.PauseRequest{}}, ""},
		{"an end of no pause", watchdog.Request{By: "ann", Resume: true}, "not paused"},
		{"two things", watchdog.Request{By: "ann", Operation: switchover(), Policy: policy("{}", rev)}, "nothing is asked for"},
		{"an operation without an id", watchdog.Request{By: "ann", Operation: &watchdog.Operation{Kind: "switchover"}}, "give an id"},
		{"a switchover to nobody", watchdog.Request{By: "ann", Operation: &watchdog.Operation{ID: "a", Kind: "switchover", To: "node9"}}, "node9 is no member"},
		{"an old policy", watchdog.Request{By: "ann", Policy: policy(`{"k":2}`, rev-1)}, "changed by another"},
		{"a key that is none", watchdog.Request{By: "ann", Policy: policy(`{"kay":2}`, rev)}, "kay"},
		{"a policy that is none", watchdog.Request{By: "ann", Policy: policy(`{"missed_renewals":9}`, rev)}, "would fence after fewer"},
		{"trust", watchdog.Request{By: "ann", Policy: policy(`{"ttl":"9s"}`, rev)}, "how long a primary is trusted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := cluster(t)
			_, err := request.Ask(t.Context(), client, test.ask, now)
			events, _ := client.Events(t.Context(), 9)
			if test.says == "" {
				if err != nil || len(events) != 1 || events[0].Member != "ann" || !events[0].Time.Equal(at) {
					t.Errorf("%v, events %+v", err, events)
				}
				return
			}
			if !errors.Is(err, request.ErrRefused) || !strings.Contains(err.Error(), test.says) || len(events) != 0 {
				t.Errorf("%v, want %q; events %+v", err, test.says, events)
			}
		})
	}
}

func TestWhatThePolicysEventSays(t *testing.T) {
	client := cluster(t)
	read, _ := client.Read(t.Context())
	if _, err := request.Ask(t.Context(), client, watchdog.Request{By: "ann", Policy: policy(`{"k":2,"failsafe":false}`, read.PolicyRev)}, now); err != nil {
		t.Fatal(err)
	}
	events, _ := client.Events(t.Context(), 1)
	if e := events[0]; e.Message != "policy: k 1 → 2, failsafe true → false" || e.Facts["k"] != "1 → 2" || e.Facts["failsafe"] != "true → false" || len(e.Facts) != 2 {
		t.Errorf("%+v", e)
	}
	after, _ := client.Read(t.Context())
	if p := after.Policy; p.K != 2 || p.Failsafe || p.Detection != watchdog.DefaultPolicy().Detection {
		t.Errorf("%+v", p)
	}
}

// contested is a store under which others change the record, so often, before each change.
type contested struct {
	*electiontest.FakeClient
	left int
}

func (c *contested) Apply(ctx context.Context, change watchdog.Change) (int64, error) {
	if c.left--; c.left >= 0 {
		return 0, sidecar.ErrCompareLost
	}
	return c.FakeClient.Apply(ctx, change)
}

func TestARecordThatChangesMeanwhile(t *testing.T) {
	ask := watchdog.Request{By: "ann", Operation: switchover()}
	if _, err := request.Ask(t.Context(), &contested{cluster(t), 4}, ask, now); err != nil {
		t.Errorf("four times: %v", err)
	}
	if _, err := request.Ask(t.Context(), &contested{cluster(t), 99}, ask, now); !errors.Is(err, request.ErrRefused) || !strings.Contains(err.Error(), "try again") {
		t.Errorf("for ever: %v", err)
	}
}

func TestAnEtcdThatDoesNotAnswer(t *testing.T) {
	ask := watchdog.Request{By: "ann", Operation: switchover()}
	client := cluster(t)
	client.SetUnreachable(true)
	if _, err := request.Ask(t.Context(), client, ask, now); !errors.Is(err, request.ErrUnread) {
		t.Errorf("unreachable: %v", err)
	}
	client = cluster(t)
	lost := &deaf{client}
	if _, err := request.Ask(t.Context(), lost, ask, now); err == nil || errors.Is(err, request.ErrUnread) || errors.Is(err, request.ErrRefused) {
		t.Errorf("an answer that is lost is no refusal: %v", err)
	}
}

// deaf is a store whose answers to changes are lost.
type deaf struct{ *electiontest.FakeClient }

func (d *deaf) Apply(ctx context.Context, change watchdog.Change) (int64, error) {
	d.LoseAnswers(1)
	return d.FakeClient.Apply(ctx, change)
}
