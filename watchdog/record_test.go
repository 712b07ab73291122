package watchdog

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

func TestEventKindsAreAllListed(t *testing.T) {
	source, err := os.ReadFile("record.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^\tEvent\w+ +EventKind = "([a-z-]+)"`).FindAllSubmatch(source, -1)
	if len(declared) == 0 || len(declared) != len(EventKinds()) {
		t.Errorf("%d kinds are declared and %d listed", len(declared), len(EventKinds()))
	}
	for _, d := range declared {
		if !slices.Contains(EventKinds(), EventKind(d[1])) {
			t.Errorf("%s is not listed", d[1])
		}
	}
}
