package sidecar

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestStopWhereNobodyRuns(t *testing.T) {
	dir := t.TempDir()
	if err := Stop(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("an empty directory: %v", err)
	}
	j, err := openJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	var refusal *Refusal
	if _, err := openJournal(dir); !errors.As(err, &refusal) {
		t.Errorf("a second sidecar: %v", err)
	}
	j.close()
	if err := Stop(t.Context(), dir); !errors.Is(err, ErrNotRunning) { // its number is still in the file, and that is us
		t.Errorf("after its end: %v", err)
	}
}

// One that holds the lock is sent SIGTERM, and awaited.
func TestStopEndsTheHolder(t *testing.T) {
	if os.Getenv("HOLD") != "" {
		if _, err := openJournal(os.Getenv("HOLD")); err != nil {
			t.Fatal(err)
		}
		_ = os.WriteFile(filepath.Join(os.Getenv("HOLD"), "held"), nil, 0o600)
		<-make(chan int) // SIGTERM ends it
	}
	dir := t.TempDir()
	holder := exec.Command(os.Args[0], "-test.run=^TestStopEndsTheHolder$")
	holder.Env = append(os.Environ(), "HOLD="+dir)
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(filepath.Join(dir, "held")); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatal("the lock is not taken")
		case <-tick.C:
		}
	}
	if err := Stop(ctx, dir); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := holder.Wait(); !errors.As(err, &exit) || exit.String() != "signal: terminated" {
		t.Errorf("it ended by %v", err)
	}
}
