// Package check says what would make a failover or a rejoin fail, while all is well.
//
// It judges and words; it looks at nothing. Package pgctl looks at a host (Host), election at etcd (Store), and OfHost and
// OfStore turn what they saw into findings: what is wrong, why that matters on the day, and the command that mends it. The
// same facts give the same findings. What could not be found out is no finding, unless not knowing it is one.
//
// A finding's name is stable, and names the kind of thing that is wrong: programs may rely on it.
//
// Severities: an error makes a failover or a rejoin fail, or costs data; a warning makes it fail in some cases, slower, or
// worse than it need be; an info is worth knowing.
package check
