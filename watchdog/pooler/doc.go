// Package pooler pauses PgBouncer around a switchover, so that clients wait and see no error, and resumes it.
//
// What it promises: nothing is paused before the record says so, and what the record says is resumed by somebody, again and
// again, until every console has said that it is not paused any more, whoever died in between: the new primary's sidecar as soon
// as its server accepts writes, the old one's when the operation failed, any other after watchdog.PoolsPatience. A console
// that does not answer is waited for no longer than its bound, and never holds up a switchover or a failover: nothing here
// runs on the path of either but the one PAUSE before the shutdown.
//
// What it does not promise: that clients see no error when a PAUSE did not come to its end in time (PgBouncer waits for open
// transactions, and in session pooling for the sessions). Nor that a pause by hand is kept: where a switchover finds a
// pool paused already, it is resumed afterwards.
package pooler
