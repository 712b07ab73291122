// Bench measures what pgvigil costs and how fast it is: the CPU time and memory of an idle sidecar with its guard, and the
// longest gap between two acknowledged writes, after the postmaster was killed and while every sidecar is restarted. It prints tables and judges nothing: an
// absolute time from one noisy machine is no verdict.
package main
