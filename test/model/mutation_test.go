package model

import (
	"os"
	"testing"
	"time"
)

// mutations are the rules of RELIABILITY.md §3.10, each with the bounds within which its absence is found. The explorer goes
// breadth first: the trace is the shortest.
var mutations = []Options{
	{Without: OldVotersUntilSettled, Blocked: true, Servers: 3, K: 1, Terms: 4, Writes: 1, Advance: true, Silence: true, Decline: true},
	{Without: QuorumHoweverOpened, Blocked: true, Servers: 3, K: 1, Terms: 2, Writes: 1, Silence: true},
	{Without: FencedAlone, Blocked: true, Servers: 3, K: 1, Terms: 3, Writes: 1, Crash: true, Surrender: true, Mute: 0b110, Live: true},
	{Without: TakerWins, Blocked: true, Servers: 3, K: 1, Terms: 3, Writes: 1, Crash: true, Surrender: true, Mute: 0b110, Live: true},
	{Without: WinnerEqualsFenced, Blocked: true, Servers: 3, K: 1, Terms: 2, Writes: 1, Crash: true, Surrender: true, AnyWinner: true},
	{Without: FencedAfterFence, Blocked: true, Servers: 3, K: 1, Terms: 2, Writes: 1, Silence: true},
	{Without: OldPrimaryVotes, Blocked: true, Servers: 2, K: 1, Terms: 3, Writes: 1, Advance: true, Crash: true, Surrender: true, Rejoin: true, Live: true},
	{Without: OutsiderInequality, Servers: 4, K: 1, Voters: 2, Terms: 3, Writes: 1, Silence: true, AnyWinner: true, Crash: true, Surrender: true},
	{Without: OvertakenStops, Blocked: true, Servers: 4, K: 2, Terms: 3, Writes: 1, Silence: true, Advance: true},
	{Without: DegradeCompares, Blocked: true, Servers: 3, K: 1, Terms: 2, Writes: 1, Advance: true},
	{Without: DegradeAfterFence, Blocked: true, Servers: 3, K: 1, Ks: []int{1}, Terms: 3, Writes: 1, Advance: true, Degrade: true, Crash: true, Silence: true, Surrender: true},
	{Without: WholeFromLastTaker, Blocked: true, Servers: 3, K: 1, Terms: 3, Writes: 1, Silence: true, AnyWinner: true, Crash: true, HandOver: true, Surrender: true},
	{Without: AddRecordFirst, Blocked: true, Servers: 3, K: 1, Voters: 1, Ks: []int{1}, Terms: 2, Writes: 1, Advance: true},
	{Without: RemoveServerFirst, Blocked: true, Servers: 3, K: 1, Ks: []int{1}, Terms: 2, Writes: 1, Advance: true},
	{Without: BarrierAwaited, Blocked: true, Servers: 3, K: 1, Ks: []int{1}, Terms: 2, Writes: 1, Advance: true},
	{Without: BarrierAfterReload, Blocked: true, Servers: 3, K: 1, Ks: []int{1}, Terms: 2, Writes: 1, Advance: true, Reload: true},
	{Without: CopiesBeforePromotion, Servers: 3, K: 1, Terms: 3, Writes: 1, Advance: true, Crash: true, Surrender: true, Silence: true},
	{Without: QuorumExact, Blocked: true, Servers: 3, K: 1, Terms: 2, Writes: 1, Advance: true},
	{Without: BallotsExact, Blocked: true, Servers: 3, K: 1, Terms: 2, Writes: 1, Advance: true, Unsure: true},
	{Without: PositionAfterReceiver, Blocked: true, Servers: 3, K: 1, Terms: 2, Writes: 1, Advance: true, Fine: true},
	{Without: TermBeforeLSN, Blocked: true, Servers: 3, K: 1, Terms: 3, Writes: 3, Advance: true, Crash: true, Surrender: true},
	{Without: DurableDetachment, Blocked: true, Servers: 3, K: 1, Terms: 2, Writes: 1, Advance: true, Fine: true},
	{Without: NeverBack, Blocked: true, Servers: 3, K: 1, Terms: 2, Writes: 1, Advance: true},
	{Without: TimelineOwner, Servers: 4, K: 2, Terms: 3, Writes: 1, Silence: true, Crash: true},
	{Without: StraysBarred, Blocked: true, Servers: 3, K: 1, Terms: 3, Writes: 3, Advance: true, Crash: true, Surrender: true, AnyWinner: true},
	{Without: BallotsCompared, Blocked: true, Servers: 3, K: 1, Terms: 2, Writes: 1, Advance: true, Withdraw: true},
	{Without: WithdrawalAcknowledged, Blocked: true, Servers: 3, K: 1, Terms: 2, Writes: 1, Advance: true, Withdraw: true},
}

func TestEveryMutationIsKilled(t *testing.T) {
	for _, o := range mutations {
		t.Run(string(o.Without), func(t *testing.T) {
			if o.Most == 0 {
				o.Most = 3_000_000
			}
			began := time.Now()
			r := Explore(o)
			if r.Wrong == "" {
				t.Errorf("lives: %d states, %d steps deep, in %s", r.States, r.Depth, time.Since(began).Round(time.Millisecond))
				return
			}
			t.Logf("killed in %d steps, %d states, %s: %s\n%s", r.Steps, r.States, time.Since(began).Round(time.Millisecond), r.Wrong, r.Trace)
			if os.Getenv("MODEL") != "full" {
				return
			}
			without := o
			without.Without = ""
			if r := Explore(without); r.Wrong != "" {
				t.Errorf("and so is the protocol itself: %s\n%s", r.Wrong, r.Trace)
			}
		})
	}
}
