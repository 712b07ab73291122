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
//
// # Paused
//
// While the record says that an operator has paused the cluster, nobody opens a term and nobody changes a server that is
// at rest: no hand-over, no election after silence, no ballot in advance, no fencing of a server that hangs or whose storage is
// sick, no start, repointing, rewind or clone of a standby. What has begun is brought to its end: an election that is open, a
// promotion, and in a term that an operator's switchover began each standby until it has streamed once.
//
// Trust, guard and fence mean what they always mean, so that a paused cluster gets no second primary. A primary whose trust is
// over is fenced, one that accepts writes without a term of ours is fenced, and so is one for which no guard can be kept
// alive. It then stays down until the cluster is resumed: its own sidecar hands over as soon as it reads that; where that one
// is gone too, the leader opens an election after T of silence, which it counts from the resumption on. A postmaster that dies
// while paused is left as it is found, and no trust is renewed once its last process is gone. One that is started by hand comes
// up as a standby (it is latched), and is handed over from on resumption.
//
// An operator's switchover is carried out while paused, from a primary that is down too. Its heir takes the term as ever.
//
// The time limit is the leader's to judge. A member that saw the pause begin counts on its own clock from there; one that did
// not (started, or cut off from etcd, meanwhile) goes by the wall clock that the record holds, and for no longer than the pause
// was asked for. So the end is off by at most the difference between two wall clocks and the time that the leader took to read
// the record. Nothing that is promised depends on it.
package watchdog
