package simulation

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestStories replays the stories in testdata: what once failed holds for good.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.story")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Decode(string(text))
			if err != nil {
				t.Fatal(err)
			}
			r := Run(s, false)
			switch {
			case s.Planted != noBug && r.Failure == nil:
				t.Errorf("%s is planted, and is not found any more", s.Planted)
			case s.Planted == noBug && r.Failure != nil:
				t.Error(r.Failure)
			}
		})
	}
}

// TestRunsAreTheSame: one story, run twice, is one run.
func TestRunsAreTheSame(t *testing.T) {
	for seed := range uint64(20) {
		s := NewStory(seed + 1)
		again, err := Decode(s.Encode())
		if err != nil {
			t.Fatal(err)
		}
		one, other := Run(s, true), Run(again, true)
		if !slices.Equal(one.Trace, other.Trace) || one.Steps != other.Steps {
			for i := range min(len(one.Trace), len(other.Trace)) {
				if one.Trace[i] != other.Trace[i] {
					t.Fatalf("seed %d: line %d differs:\n%s\n%s", s.Seed, i, one.Trace[i], other.Trace[i])
				}
			}
			t.Fatalf("seed %d: %d events and %d events", s.Seed, one.Steps, other.Steps)
		}
	}
}
