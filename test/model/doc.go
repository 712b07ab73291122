// Package model explores, state by state, a small but exhaustive model of an election and of the durability's
// reconfiguration in `quorum` (DESIGN.md §4 and §5, RELIABILITY.md §3.10).
//
// It is built on the code that runs. The leader's step is what watchdog.Decide answers to a view made of the model's state,
// and so are the primary's steps toward another durability, settling included; the record's transitions are those of
// watchdog.TakeChange, SettleChange and HandOverChange, a timeline's number is Cluster.NextTimeline's. What members do by
// themselves, a ballot, a promotion, a rewind, is the model's own and small.
//
// The model has no clock. A member that is slow, paused or cut off takes no step; whoever is silent, suspected or out of
// patience is so at any time; who wins among those whom the ballots allow is anybody, for any may be vetoed. An old primary
// runs on until it is fenced, which may be never. So what holds here holds whatever clocks, leases and networks do. The one
// exception is async: there T of silence is a fence, and so is the wait before a degrade.
//
// After each step it is checked that
//
//   - no acknowledged write is missing on a primary of a later term, however late the acknowledgement;
//   - no row that could be read on a promoted primary is missing on a later one, for as long as none was promoted without k
//     copies; after that, none that could be read on a settled one;
//   - a term has one winner, and a timeline one owner;
//   - what an election needs and what any server enforces, or has enforced with no barrier since, share a member;
//
// and at the end of a run that from each state some path leads to a serving primary, where the run asks for that.
//
// A mutation leaves a rule of the protocol out: the explorer must find what goes wrong without it, or the model is too weak to
// vouch for the rule. Where the model is deliberately coarse: a standby tells its upstream at once what it has on disk, and the
// primary learns of it at any time after, so that acknowledgements are in flight without a state of their own; a promise, the
// receiver's end and the ballot are one step unless a run is stepwise; a standby's crash is a pause, since all that matters is
// on its disk; the leader's transaction is made on what it compares, so that a stale read of it fails.
//
// `go test ./test/model` takes the smaller bounds, `MODEL=full go test -timeout 30m ./test/model` the larger ones too, some 60
// million states, and explores the bounds of each mutation without it.
//
// Not modelled: clocks, trust and failsafe, a store that goes backwards, members that come and go, cascades, WAL that was
// removed, a rewind or clone half done, a reload that overtakes another, a wait for standbys that somebody cancels.
package model
