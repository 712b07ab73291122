// Package watchdog thinks. It holds the nouns of a PostgreSQL streaming-replication cluster (positions, timelines,
// members, the record, ballots, the policy) and the one pure function that judges them, Decide.
//
// It imports the standard library alone, does no I/O and reads no clock: everything a decision may depend on is handed to
// it in a View, and what is to be done comes back as a value, a Decision. The same view gives the same decision, so that
// every choice can be tested as a story in a text file, replayed from an event, and explored by a model.
//
// What it promises: at most one role-changing action in a decision, and that one last; fencing before everything else;
// unknown is neither healthy nor dead; every leaf of a decision has a named Reason; every change of the cluster's keys
// carries the revisions on which it was judged.
//
// What it does not promise: that anything was done. The sidecar carries a decision out, and compares and swaps on the same
// facts, so that a decision that has gone stale does nothing.
//
// # Failsafe
//
// Etcd is lost (DESIGN.md §7). A primary whose renewals fail may go on as long as nobody can take over meanwhile.
// It asks the other members, and counts its trust from the send of a round of questions that was answered well enough.
//
// Proof. A member that answers yes takes no part in any election, neither opening one, nor voting, nor winning, for T on its own
// clock from its answer on, which is later than the primary's send; it keeps that over a restart of its sidecar. It says no
// if it has promised a higher term, or has seen one.
//
//   - async: every other member of the record's list must say yes, and that it cannot reach etcd either. An election is opened
//     by a leader, who is on the list, or completed by ballots of members on the list: with all of them abstaining until the
//     primary has fenced ((D + F)(1 + ρ) ≤ T(1 − ρ), as for a renewal), nobody else is writable before. A list that was
//     changed since our last read was changed by ourselves; a term that was opened since was opened by a member that had not
//     yet answered, and says no now: it has seen the higher term.
//   - quorum: k voters are enough, whether they reach etcd or not. An election needs |V| − k + 1 exact ballots, and only |V| − k
//     voters are left to give one. A ballot that was given before the question makes its voter say no. So among any k that say
//     yes none has hung up, and none does until its answer lapses.
//
// What it does not promise: that a primary goes on whose members are dead as well as etcd. In async one dead member ends it;
// in quorum k living voters carry it.
package watchdog
