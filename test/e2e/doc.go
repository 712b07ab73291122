// Package e2e judges whole clusters from outside: real PostgreSQL, real etcd, sidecars as processes of their own, one fault
// each, and what clients saw. Each test is named for its fault and cites the rows of the failure catalogue that it covers.
package e2e
