package pgctl

import (
	"context"
	"fmt"

	"github.com/pgvigil/pgvigil/watchdog"
)

// PageStart returns where the WAL page begins that holds the position, by the page's size in the control file: it is an option
// of PostgreSQL's build (--with-wal-blocksize).
func (in *Instance) PageStart(ctx context.Context, at watchdog.LSN) (watchdog.LSN, error) {
	c, err := in.control(ctx)
	if err != nil {
		return 0, fmt.Errorf("find the WAL page of %s: %w", at, err)
	}
	f, err := walFormatOf(c)
	if err != nil {
		return 0, fmt.Errorf("find the WAL page of %s: %w", at, err)
	}
	return f.pageStart(at), nil
}
