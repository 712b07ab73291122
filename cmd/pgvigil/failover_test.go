package main

import (
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
)

func TestWhatABallotLacks(t *testing.T) {
	ballot := watchdog.Ballot{End: 0x5000000, NextXID: 1000}
	for _, c := range []struct {
		end  watchdog.LSN
		next uint64
		want string
	}{
		{0x5000000 + 2048, 1037, "2.0 kB, at most 37 transactions,"},
		{0x5000000 + 200, 1001, "200 B, at most 1 transaction,"},
		{0x5000000 + 200, 1000, "200 B, with no transaction in it,"},
		{0x5000000 + 200, 999, "200 B, with no transaction in it,"}, // an older renewal than what was received since
		{0x5000000 + 200, 0, "200 B"},
	} {
		if got := lacks(ballot, c.end, c.next); got != c.want {
			t.Errorf("%s, %d: %q, want %q", c.end, c.next, got, c.want)
		}
	}
	ballot.NextXID = 0
	if got := lacks(ballot, 0x5000000+200, 1037); got != "200 B" {
		t.Errorf("where the member did not say: %q", got)
	}
}
