// Package patrol looks, every few minutes while all is well, for what would make a failover or a rejoin fail. It holds what a
// member last found, for its status, and tells of what has changed by an event.
//
// It is off the way of every failover: nothing waits for it, it looks only while its server is a primary or a standby to which
// nothing is being done, and each look is bounded. It asks the server on a session of its own.
//
// An error is told when two looks in a row have found it.
//
// What it does not promise: that a finding is told at once, or that one which comes and goes between two looks is told at all.
// An event that etcd does not take is tried again at the next look.
package patrol
