package pgctl

import (
	"context"
	"fmt"
)

// Checkpoint asks for one and waits, on a session of its own: it may take minutes, and observations go on meanwhile.
func (in *Instance) Checkpoint(ctx context.Context) error {
	conn, err := in.newConn(ctx, "")
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}
