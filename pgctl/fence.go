package pgctl

import (
	"context"
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/pgctl/process"
)

// gentleWait is how long an immediate shutdown may take before SIGKILL.
const gentleWait = 150 * time.Millisecond

// Fence stops the server at once and returns nil when no process of the data directory is left. It waits for nobody: no lock
// of this package's, no session, no file.
func (in *Instance) Fence(ctx context.Context, gentle bool) error {
	options := process.Options{}
	if gentle {
		options.Gentle = gentleWait
	}
	report, err := process.Kill(ctx, in.Directory(), options)
	reap(report.Found...)
	in.log.Info("fenced", "processes", len(report.Found), "killed", report.Killed, "gentle", report.Gentle,
		"took", report.Took, "left", report.Left)
	if err != nil {
		return fmt.Errorf("fence: %w", err)
	}
	return nil
}
