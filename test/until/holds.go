package until

import (
	"testing"
	"time"
)

const (
	tick     = 2 * time.Millisecond
	patience = 20 * time.Second
)

// Holds returns once so does, and fails the test when it does not within 20 s. It runs so in the test's goroutine.
func Holds(t *testing.T, what string, so func() bool) {
	t.Helper()
	again := time.NewTicker(tick)
	defer again.Stop()
	end := time.After(patience)
	for !so() {
		select {
		case <-again.C:
		case <-end:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
