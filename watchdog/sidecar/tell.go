package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Tell writes an event that changes nothing else, with the record's next sequence number. It tries three times; an error may
// mean that it was written all the same. It may be called from any goroutine.
func (s *Sidecar) Tell(ctx context.Context, kind watchdog.EventKind, reason watchdog.Reason, message string, facts map[string]string) error {
	var err error
	for range 3 {
		if err = s.tellOnce(ctx, kind, reason, message, facts); err == nil || !errors.Is(err, ErrCompareLost) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("write an event of kind %s: %w", kind, err)
	}
	return nil
}

func (s *Sidecar) tellOnce(ctx context.Context, kind watchdog.EventKind, reason watchdog.Reason, message string, facts map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	cluster, err := s.options.Store.Read(ctx)
	if err != nil {
		return err
	}
	if cluster.Record == nil {
		return errors.New("there is no record")
	}
	change := watchdog.TellChange(cluster, kind, reason, message)
	change.Event.Facts = facts
	s.complete(&change)
	_, err = s.options.Store.Apply(ctx, change)
	return err
}
