// Command pgvigil is an automatic failover watchdog for PostgreSQL: the sidecar, its guard process and the operator's
// command line in one static binary.
//
// This package wires and shows; it decides nothing. Each subcommand has a file, what people read is made by pure functions
// from values (with the time as an argument), and only main ends the process. Exit codes are listed in exit.go and in the
// help.
//
// PGVIGIL_CRASH_AT=<step> is a knob for tests: `pgvigil run` kills itself with SIGKILL when it comes to that named step of
// a promotion, hand-over or rejoin, so that a test can begin again from every point at which a host may die.
package main
