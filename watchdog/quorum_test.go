package watchdog

import (
	"fmt"
	"testing"
)

// every durability over the first n standbys: async, and each k of each set of voters.
func everyDurability(n int) []Durability {
	all := []Durability{{Mode: ModeAsync}}
	for set := 1; set < 1<<n; set++ {
		var voters []string
		for i := range n {
			if set&(1<<i) != 0 {
				voters = append(voters, fmt.Sprintf("node%d", i+1))
			}
		}
		for k := 1; k <= len(voters); k++ {
			all = append(all, Durability{Mode: ModeQuorum, K: k, Voters: voters})
		}
	}
	return all
}

// TestEveryPathOfThePlan walks from every durability to every other of up to six standbys, the sidecar dying after each step
// (so that it never knows of a barrier passed before), and every commit that was ever acknowledged must be found by an
// election at each instant.
func TestEveryPathOfThePlan(t *testing.T) {
	standbys := 6
	if testing.Short() {
		standbys = 4
	}
	all := everyDurability(standbys)
	walks := 0
	for _, from := range all {
		for _, to := range all {
			walk(t, from, from.Sync(1), to)
			walks++
		}
	}
	t.Logf("%d walks", walks)
}

// TestThePlanGoesOnFromAnyPairThatIsSafe: the goal changes in the middle of a walk, so that record and server differ.
func TestThePlanGoesOnFromAnyPairThatIsSafe(t *testing.T) {
	all := everyDurability(3)
	walks := 0
	for _, record := range all {
		for _, server := range all {
			if !record.Covers(server.Sync(1)) {
				continue
			}
			for _, to := range all {
				walk(t, record, server.Sync(1), to)
				walks++
			}
		}
	}
	t.Logf("%d walks", walks)
}

func walk(t *testing.T, record Durability, server Sync, want Durability) {
	t.Helper()
	begin, began := record, server
	open := []Sync{server} // whose commits may not be covered yet
	covered := false
	for steps := 0; ; steps++ {
		if steps > 12 {
			t.Fatalf("from %v %v to %v: no end", begin, began, want)
		}
		for _, s := range open {
			if !record.Covers(s) {
				t.Fatalf("from %v %v to %v: after %d steps an election by %v can miss what %v acknowledged", begin, began, want, steps, record, s)
			}
		}
		step := PlanStep(record, server, covered, want)
		switch {
		case step.Record != nil:
			record = *step.Record
		case step.Server != nil:
			server, covered = *step.Server, false
			open = append(open, server)
		case step.Barrier:
			open, covered = []Sync{server}, true
		default:
			if !record.Equal(want) || !server.Equal(want.Sync(server.Term)) {
				t.Fatalf("from %v %v to %v: it rests at %v %v", begin, began, want, record, server)
			}
			return
		}
	}
}

// TestQuorumsMeet is the rule itself: any k and any q of the same voters share one.
func TestQuorumsMeet(t *testing.T) {
	for n := 1; n <= 6; n++ {
		for k := 1; k <= n; k++ {
			d := Durability{Mode: ModeQuorum, K: k, Voters: everyDurability(n)[len(everyDurability(n))-1].Voters}
			for acks := range 1 << n {
				for ballots := range 1 << n {
					if bits(acks) == k && bits(ballots) == d.Quorum() && acks&ballots == 0 {
						t.Fatalf("n=%d k=%d: %b and %b do not meet", n, k, acks, ballots)
					}
				}
			}
		}
	}
}

func bits(set int) (n int) {
	for ; set != 0; set &= set - 1 {
		n++
	}
	return n
}
