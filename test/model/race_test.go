//go:build race

package model

// The race detector finds nothing in one goroutine and makes it ten times slower: it sees the beginning of each run.
const shallow = true
