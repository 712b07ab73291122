package pgctl

import (
	"context"
	"fmt"
	"syscall"
)

// Kill kills the postmaster, and it alone, by SIGKILL: through the pidfd that we hold of it, so that no other process can be
// hit. What is left of its server is not looked after.
func (in *Instance) Kill(context.Context) error {
	if err := in.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the postmaster: %w", err)
	}
	return nil
}
