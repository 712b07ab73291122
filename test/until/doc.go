// Package until waits, in tests, for what has no event to wait for.
//
// It promises to look often and to fail the test with words when the thing does not come to hold. It makes no claim of time: its
// patience is for a machine that is loaded.
package until
