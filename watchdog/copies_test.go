package watchdog

import "testing"

func TestCopiesBeforeAPromotion(t *testing.T) {
	next := Durability{Mode: ModeQuorum, K: 2, Voters: []string{"old", "two", "three"}}
	member := func(names ...string) map[string]Registered {
		m := map[string]Registered{}
		for _, n := range names {
			m[n] = Registered{}
		}
		return m
	}
	c := Cluster{Record: &Record{Term: 5, Next: &next, Tail: &Tail{From: "old"}}, Members: member("old", "two")}
	if got := c.CopiesWanted(); got != 0 {
		t.Errorf("one of two could have a copy, and %d are waited for", got)
	}
	c.Members = member("old", "two", "three")
	if got := c.CopiesWanted(); got != 2 {
		t.Errorf("wanted %d of 2", got)
	}
	server := Server{Timeline: 7, Standbys: []Downstream{{Name: "two", Term: 5, Flushed: 100}, {Name: "three", Term: 4, Flushed: 100}}}
	if got := c.Copies(server, 100); got != 1 {
		t.Errorf("of another term's name and one that counts, %d counted", got)
	}
	if got := c.Copies(server, 101); got != 0 {
		t.Errorf("%d counted that do not reach", got)
	}
	for name, b := range map[string]Ballot{
		"withdrawn": {Exact: true, End: 100, Timeline: 7, Withdrawn: true}, "inexact": {End: 100, Timeline: 7},
		"of another timeline": {Exact: true, End: 100, Timeline: 6}, "short": {Exact: true, End: 99, Timeline: 7},
	} {
		c.Ballots = map[string]Cast{"three": {Ballot: b}}
		if got := c.Copies(server, 100); got != 1 {
			t.Errorf("a ballot that is %s counted: %d", name, got)
		}
	}
	c.Ballots = map[string]Cast{"three": {Ballot: Ballot{Exact: true, End: 100, Timeline: 7}}}
	if got := c.Copies(server, 100); got != 2 {
		t.Errorf("a ballot that reaches did not count: %d", got)
	}
}
