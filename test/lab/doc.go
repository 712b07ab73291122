// Package lab builds throwaway clusters on this machine: PostgreSQL servers, etcd and sidecars as processes of their own,
// in one private directory, with faults to inject and a writer that never pauses. `pgvigil demo` and the end-to-end tests
// are told on it.
//
// What it promises: free ports, no traffic off the machine, nothing found or ended by its name alone, everything it started
// ended by Close. As root, servers and sidecars run as the user postgres.
//
// It judges from outside: it asks servers by SQL and reads etcd, and shares no decision with the product.
package lab
