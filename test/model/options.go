package model

// Options bound an exploration, and choose what may happen in it.
type Options struct {
	Servers int
	K       int
	Voters  int // so many of the standbys vote at first; 0: all
	Terms   int
	Writes  int

	Crash      bool  // the server of a primary that holds its term may crash
	CrashEarly bool  // and that of a winner that is not promoted yet
	HandOver   bool  // a primary whose server is gone names an heir, itself perhaps
	Surrender  bool  // or gives the term up without one
	Silence    bool  // the leader opens an election of its own accord
	Advance    bool  // voters hang up in advance, and the leader overrules
	Withdraw   bool  // and take their ballots back
	AnyWinner  bool  // vetoes: any ballot's member may win, having fetched what it lacks
	Decline    bool  // a winner is passed over
	Blocked    bool  // a winner promotes past its bound, without k of the next voters: what is read before the term is settled is not promised
	Numbers    bool  // timelines have numbers, by the ledger
	Rejoin     bool  // a diverged server is rewound
	Fine       bool  // hanging up is several steps
	Unsure     bool  // a ballot may be given whose position is unknown
	Ks         []int // reconfiguration: to any voters with one of these k
	ByDecide   bool  // … and settling, by the whole of the primary's decision, for each set of standbys that may be there
	Reload     bool  // a changed setting reaches the backends one by one
	Forget     bool  // the primary's sidecar restarts, and knows of no position any more
	Degrade    bool  // fewer than k standbys: to async, and back

	Mute uint8 // members that are dead for good, as bits

	Live    bool // check that from every state some path leads to a serving primary
	Without Rule // the rule that a mutation leaves out
	Most    int  // states; more are a failure
}

// Rule is one of those that RELIABILITY.md §3.10 lists.
type Rule string

// The rules, by what a mutation does without.
const (
	OldVotersUntilSettled  Rule = "the old voters and k stay in force until the term is settled"
	QuorumHoweverOpened    Rule = "q ballots are needed however the election was opened"
	FencedAlone            Rule = "the fenced last taker's exact ballot is enough alone"
	TakerWins              Rule = "the last taker may itself win"
	WinnerEqualsFenced     Rule = "the winner reaches the best ballot's end"
	FencedAfterFence       Rule = "the last taker gives its ballot after its fence"
	OldPrimaryVotes        Rule = "the old primary takes the winner's place among the next voters"
	OutsiderInequality     Rule = "an outsider wins only under q + k' + w > |S ∪ V|"
	OvertakenStops         Rule = "an overtaken winner stops its server before it promises"
	DegradeCompares        Rule = "degrade compares what it was judged on"
	DegradeAfterFence      Rule = "no degrade while an earlier primary may run"
	WholeFromLastTaker     Rule = "a tail is whole only if the last taker wrote its end"
	AddRecordFirst         Rule = "add: record, then server"
	RemoveServerFirst      Rule = "remove or raise k: server, barrier, record"
	BarrierAwaited         Rule = "the record follows the barrier"
	BarrierAfterReload     Rule = "the barrier's position is taken after the reload"
	CopiesBeforePromotion  Rule = "k next voters have the winner's WAL before it promotes"
	QuorumExact            Rule = "an election needs all of q"
	BallotsExact           Rule = "an unknown position counts towards no quorum"
	PositionAfterReceiver  Rule = "the position is read after the receiver is gone"
	TermBeforeLSN          Rule = "the term counts before the LSN"
	DurableDetachment      Rule = "hanging up outlasts a restart"
	NeverBack              Rule = "after a promise never back to a lower term's primary"
	TimelineOwner          Rule = "the timeline's owner counts, not its number"
	StraysBarred           Rule = "a log that leaves the best one's does not win by its length"
	BallotsCompared        Rule = "the opening compares the ballots that it was judged on"
	WithdrawalAcknowledged Rule = "a ballot's withdrawal is acknowledged before its member reconnects"
)
