package guardian

import (
	"context"
	"os"
	"time"

	"github.com/pgvigil/pgvigil/pgctl/process"
	"github.com/pgvigil/pgvigil/watchdog/guard"
)

// gentle is how long the server may take over an immediate shutdown before it is killed (DESIGN.md §7).
const gentle = 150 * time.Millisecond

func init() {
	if len(os.Args) > 1 && os.Args[1] == guard.Command {
		os.Exit(guard.Run(os.Args[2:], reach))
	}
}

// reach resolves the data directory and says how its processes are ended.
func reach(dataDir string) (guard.Hands, error) {
	dir, err := process.Resolve(dataDir)
	if err != nil {
		return guard.Hands{}, err
	}
	return guard.Hands{
		Rehearse: func() error { return process.Rehearse(dir) },
		Fence: func(ctx context.Context) error {
			_, err := process.Kill(ctx, dir, process.Options{Gentle: gentle})
			return err
		},
	}, nil
}
