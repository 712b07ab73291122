package pgctl

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
)

func TestSyncValue(t *testing.T) {
	for _, s := range []watchdog.Sync{
		{K: 1, Voters: []string{"two"}, Term: 1},
		{K: 2, Voters: []string{"a", "b", "c"}, Term: 18446744073709551615},
		{K: 1, Voters: []string{`a "quoted" one`, `b"`}, Term: 7},
		{K: 6, Voters: []string{"\n", "0"}, Term: 3},
		{K: 1, Voters: []string{"a, b", `c", "d`, "e:5", "x) (y", "é"}, Term: 7},
	} {
		if got := parseSync(formatSync(s)); !reflect.DeepEqual(got, s) {
			t.Errorf("%s is read as %+v, want %+v", formatSync(s), got, s)
		}
	}
	if got := parseSync(""); !reflect.DeepEqual(got, watchdog.Sync{}) {
		t.Errorf("nothing is read as %+v", got)
	}
	for _, value := range []string{
		"*", "a", "a, b", "FIRST 1 (a)", "ANY 1 (a, b)", `ANY 1 ("a", "b")`, `ANY 1 ("*")`, "1 (a)", `FIRST 1 ("a:1")`,
		`ANY 1 ("a:1", "b:2")`, `ANY 1 ("a:1", b)`, `ANY 1 ("a:1", "*")`, `ANY 1 ("a:01")`, `ANY 1 ("a:0")`, `ANY 1 ("a:0", "b:5")`,
		`ANY 0 ("a:1")`, `ANY 01 ("a:1")`, `ANY 99999999999999999999 ("a:1")`, `ANY 1 ("a:99999999999999999999")`,
		`ANY 1 ("a:1"`, `ANY 1 ("a:1") `, `any 1 ("a:1")`, `ANY 1 ("a:1","b:1")`, `ANY 1 ("a":1)`, `ANY 1 (":1")`, "ANY 1 ()", " ",
	} {
		if got := parseSync(value); !reflect.DeepEqual(got, watchdog.Sync{Foreign: true}) {
			t.Errorf("%s is read as %+v", value, got)
		}
	}
}

// What is not foreign is what we would write.
func FuzzParseSync(f *testing.F) {
	for _, seed := range []string{"", "*", `ANY 1 ("a:1")`, `ANY 2 ("a:1", "b""c:1")`, `ANY 1 ("a, b:7", "c:7")`, "FIRST 1 (a)", `ANY 1 ("b:1", "a:1")`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		s := parseSync(value)
		switch {
		case s.Foreign:
			if !reflect.DeepEqual(s, watchdog.Sync{Foreign: true}) {
				t.Fatalf("%q is foreign and says %+v", value, s)
			}
			return
		case value == "":
			return
		case s.K < 1 || len(s.Voters) == 0 || s.Term == 0 || !slices.IsSorted(s.Voters):
			t.Fatalf("%q is read as %+v", value, s)
		}
		again := formatSync(s)
		if len(again) != len(value) || !reflect.DeepEqual(parseSync(again), s) {
			t.Fatalf("%q is read as %+v and written as %q", value, s, again)
		}
	})
}

// Whatever the members are called, we know our own setting again.
func FuzzFormatSync(f *testing.F) {
	f.Add("two", "three", 1, uint64(7))
	f.Add(`a", "b`, "c:5", 2, uint64(1))
	f.Fuzz(func(t *testing.T, a, b string, k int, term uint64) {
		if a == "" || b == "" || k < 1 || term == 0 || strings.ContainsRune(a+b, 0) {
			return
		}
		voters := []string{a, b}
		slices.Sort(voters)
		s := watchdog.Sync{K: k, Voters: voters, Term: watchdog.Term(term)}
		if got := parseSync(formatSync(s)); !reflect.DeepEqual(got, s) {
			t.Fatalf("%s is read as %+v, want %+v", formatSync(s), got, s)
		}
	})
}
