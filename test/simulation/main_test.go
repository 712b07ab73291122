package simulation

import (
	"os"
	"runtime/debug"
	"testing"
)

// The runs make much garbage and keep little: the collector need not look so often.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1000)
	os.Exit(m.Run())
}
