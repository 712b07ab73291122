package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// written is a store that keeps the last change, or refuses it.
type written struct {
	change watchdog.Change
	err    error
}

func (w *written) Apply(_ context.Context, c watchdog.Change) (int64, error) {
	w.change = c
	return 1, w.err
}

func TestSettingThePolicy(t *testing.T) {
	for _, test := range []struct {
		name string
		set  string
		says string // what is printed, or the error
		code int
	}{
		{"durability", "durability=quorum k=2", "durability async → quorum\nk 1 → 2\n", 0},
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
			c := well().cluster
			p := watchdog.DefaultPolicy()
			c.Policy, c.PolicyRev, c.RecordRev = &p, 5, 7
			store, out := &written{}, &bytes.Buffer{}
			err := setPolicy(t.Context(), out, store, c, strings.Fields(test.set))
			said := out.String()
			if err != nil {
				said = err.Error()
			}
			if !strings.Contains(said, test.says) || (err == nil) != (test.code == 0) || err != nil && codeOf(err) != test.code {
				t.Errorf("%q, %v; want %q and code %d", said, err, test.says, test.code)
			}
			if change := store.change; change.Policy != nil && (*change.If.PolicyRev != 5 || *change.If.RecordRev != 7 || change.Event.Kind != watchdog.EventPolicy) {
				t.Errorf("written: %+v", change)
			}
		})
	}
}

func TestAPolicyThatAnotherHasChanged(t *testing.T) {
	c := well().cluster
	p := watchdog.DefaultPolicy()
	c.Policy = &p
	err := setPolicy(t.Context(), &bytes.Buffer{}, &written{err: sidecar.ErrCompareLost}, c, []string{"k=2"})
	if codeOf(err) != exitRefused || !strings.Contains(err.Error(), "try again") {
		t.Errorf("%v", err)
	}
}

func TestShowingThePolicy(t *testing.T) {
	var out bytes.Buffer
	if err := showPolicy(&out, watchdog.DefaultPolicy(), asTable); err != nil {
		t.Fatal(err)
	}
	golden(t, "policy.txt", out.String())
}
