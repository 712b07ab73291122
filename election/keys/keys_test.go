package keys_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/election/keys"
	"github.com/pgvigil/pgvigil/watchdog"
)

func layout(t *testing.T) keys.Layout {
	t.Helper()
	l, err := keys.NewLayout("main")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The keys are part of the contract with other tools and with other versions: they never change.
func TestKeysAreThoseOfTheDesign(t *testing.T) {
	l := layout(t)
	event := watchdog.Event{Term: 3, Seq: 41}
	for got, want := range map[string]string{
		l.Record():       "/pgvigil/main/record",
		l.Primary():      "/pgvigil/main/primary",
		l.PrimaryTerm():  "/pgvigil/main/primary.term",
		l.Policy():       "/pgvigil/main/config",
		l.Leader(0xbeef): "/pgvigil/main/leader/beef",
		l.Member("a"):    "/pgvigil/main/members/a",
		l.Ballot(3, "a"): "/pgvigil/main/ballots/00000000000000000003/a",
		l.LedgerEntry(3): "/pgvigil/main/terms/00000000000000000003",
		l.Event(event):   "/pgvigil/main/events/00000000000000000003-00000000000000000041",
	} {
		if got != want {
			t.Errorf("key %q, want %q", got, want)
		}
	}
	event.Time = time.Unix(1, 0)
	if aside := l.Aside(event); !strings.HasPrefix(aside, l.Event(event)+"-") || aside >= l.Event(watchdog.Event{Term: 3, Seq: 42}) {
		t.Errorf("an event aside lies at %q", aside)
	}
	if early := l.Aside(watchdog.Event{}); !strings.HasSuffix(early, "-00000000000000000000") {
		t.Errorf("an event without a time lies at %q", early)
	}
}

func TestEverythingButRenewalsWakes(t *testing.T) {
	l := layout(t)
	wakes := func(key string) bool {
		for _, span := range l.Waking() {
			if span.Holds(key) {
				return true
			}
		}
		return false
	}
	for _, key := range []string{
		l.Record(), l.Primary(), l.Policy(), l.Leader(1), l.Member("a"), l.Ballot(1, "a"), l.LedgerEntry(1), l.Event(watchdog.Event{}),
		l.Prefix() + "requests/1", l.PrimaryTerm() + "x", l.Prefix() + "primary.terl",
	} {
		if !wakes(key) {
			t.Errorf("%q wakes nobody", key)
		}
	}
	for _, key := range []string{l.PrimaryTerm(), "/pgvigil/main", "/pgvigil/main2/record", "/pgvigil/mai/record"} {
		if wakes(key) {
			t.Errorf("%q wakes", key)
		}
	}
}

// FuzzDecode: no value, whatever it is, breaks the reader, and what was read is no garbage.
func FuzzDecode(f *testing.F) {
	l, err := keys.NewLayout("main")
	if err != nil {
		f.Fatal(err)
	}
	all := []string{
		l.Record(), l.Primary(), l.PrimaryTerm(), l.Policy(), l.Leader(7), l.Member("a"), l.Ballot(1, "a"), l.LedgerEntry(1), l.Ballots(),
		l.Prefix() + "from-later",
	}
	for _, seed := range []string{
		"", "{}", "null", "[]", "a", `{"name":"a","incarnation":"1"}`, `{"term":1,"member":"a","incarnation":"1"}`,
		`{"term":1,"timeline":1,"owner":"a"}`, `{"term":1,"seq":1,"phase":"electing","system_id":"1","durability":{"mode":"async"}}`,
		`{"cluster":"other","term":1,"phase":"electing","system_id":"1","durability":{"mode":"async"}}`, `{"term":18446744073709551616}`,
	} {
		for i := range all {
			f.Add(i, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, i int, value []byte) {
		if i < 0 {
			i = -(i + 1)
		}
		kv := keys.KV{Key: all[i%len(all)], Value: value, Create: 3, Mod: 5, Lease: 7}
		c := l.Decode([]keys.KV{kv})
		read := c.Record != nil || c.Primary != "" || c.PrimaryTerm != nil || c.Policy != nil || c.LeaderKey != "" || len(c.Members)+len(c.Ledger) != 0
		if _, garbage := c.Garbage[kv.Key]; garbage && read {
			t.Errorf("%q is both read and garbage: %+v", value, c)
		}
	})
}

func TestRecordOfAnotherClusterIsGarbage(t *testing.T) {
	l := layout(t)
	text := `{"cluster":"other","term":1,"phase":"electing","system_id":"1","durability":{"mode":"async"}}`
	c := l.Decode([]keys.KV{{Key: l.Record(), Value: []byte(text), Create: 1, Mod: 2}})
	if c.Record != nil || c.RecordRev != 2 || !strings.Contains(c.Garbage[l.Record()], `cluster "other"`) {
		t.Errorf("record %+v, garbage %v", c.Record, c.Garbage)
	}
}

func TestChangesThatContradictThemselves(t *testing.T) {
	l, none := layout(t), int64(0)
	long := strings.Repeat("x", keys.MaxValue)
	for what, change := range map[string]watchdog.Change{
		"compares no revision of it":           {Record: &watchdog.Record{}},
		"primary.term compares no revision":    {PrimaryTerm: &watchdog.PrimaryTerm{}},
		"takes and drops the primary key":      {TakePrimary: "a", DropPrimary: true},
		"campaigns and resigns":                {Campaign: "a", Resign: true},
		`registers and withdraws member "a"`:   {Member: &watchdog.Member{Name: "a"}, WithdrawnBy: "a"},
		`gives and deletes the ballot of "a"`:  {Ballot: &watchdog.Ballot{Term: 1, Member: "a"}, ClearBallots: true},
		`gives and deletes the ballot of "b"`:  {Ballot: &watchdog.Ballot{Term: 1, Member: "b"}, DropBallotsOf: 1},
		"with no revision":                     {If: watchdog.If{LeaderKey: l.Leader(1)}},
		"member has no name":                   {Member: &watchdog.Member{}},
		`member name "a/b" has a slash`:        {Ballot: &watchdog.Ballot{Term: 1, Member: "a/b"}},
		`member name "a\n" has a slash or a`:   {TakePrimary: "a\n"},
		`member name "a\x00" has a slash or a`: {Campaign: "a\x00"},
		"value of ":                            {If: watchdog.If{RecordRev: &none}, Record: &watchdog.Record{SystemID: long}},
	} {
		if _, err := l.Plan(change, keys.Writer{Lease: 1}); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want something with %q", err, what)
		}
	}
}

func TestPutsArePinned(t *testing.T) {
	l, at := layout(t), int64(17)
	w := keys.Writer{Lease: 0xbeef, Seen: 40}
	for what, test := range map[string]struct {
		change watchdog.Change
		want   []keys.Compare
	}{
		"a status, to what its writer has seen": {
			watchdog.Change{Member: &watchdog.Member{Name: "a"}}, []keys.Compare{{Key: l.Member("a"), Field: keys.NotAfter, Rev: 40}},
		},
		"a ballot, to the revision that the change has": {
			watchdog.Change{If: watchdog.If{BallotTerm: 3, BallotRevs: map[string]int64{"a": 17}}, Ballot: &watchdog.Ballot{Term: 3, Member: "a"}},
			[]keys.Compare{{Key: l.Ballot(3, "a"), Field: keys.Modified, Rev: 17}},
		},
		"a policy, to the revision that the change has": {
			watchdog.Change{If: watchdog.If{PolicyRev: &at}, Policy: &watchdog.Policy{}}, []keys.Compare{{Key: l.Policy(), Field: keys.Modified, Rev: 17}},
		},
		"a campaign, to its own absence": {watchdog.Change{Campaign: "a"}, nil},
	} {
		plan, err := l.Plan(test.change, w)
		if err != nil || !reflect.DeepEqual(plan.Compares, test.want) {
			t.Errorf("%s: compares %+v, error %v, want %+v", what, plan.Compares, err, test.want)
		}
	}
}
