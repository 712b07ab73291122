// Package hook runs the operator's commands when the member's part in the cluster changes.
//
//	on_start        once for each start of the sidecar, as soon as it knows what its server is
//	before_promote  the record names this member, and its server is about to be promoted
//	on_promote      its server serves as primary under a term, the one with which a cluster is adopted included
//	on_demote       it does not any more, and is verified to be down or a standby
//	on_follow       its server streams from the primary of a term
//
// What it promises:
//
//   - One command at a time, in the order of the configuration, each within its timeout, after which its process group is
//     killed. One that fails is logged and counted, and the next is run.
//   - At least once for each term: what is begun and what is done is noted on the member's own disk before and after, so that
//     a sidecar that is started again goes on where the one before it ended. Only the command that ran when a sidecar was
//     killed is run twice.
//   - Nothing of pgvigil waits for a hook, but a promotion for before_promote, for as long as its timeouts say and never for
//     longer than half of promote_wait; and no fence waits for that.
//   - on_demote is run for every term for which on_promote was begun.
//
// What it does not promise: that on_promote or on_follow is run, or run to its end, for a role that is over before its turn
// has come; that a command that failed is tried again; that on_demote is run while the sidecar is not, which is what the
// virtual address is for (package virtualip).
package hook
