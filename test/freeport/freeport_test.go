package freeport

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestNoPortIsGivenTwice(t *testing.T) {
	given := map[int]bool{}
	for range 200 {
		port, err := Take()
		if err != nil {
			t.Fatal(err)
		}
		if given[port] || port < lowest || port >= highest {
			t.Errorf("port %d, given before: %v", port, given[port])
		}
		given[port] = true
	}
}

func TestWhatAnotherHasIsNotGiven(t *testing.T) {
	port, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	// Another process would open the file anew, as this does.
	if lock(filepath.Join(os.TempDir(), "pgvigil-ports", strconv.Itoa(port))) {
		t.Errorf("port %d could be locked again", port)
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if bindable(port) {
		t.Errorf("port %d has a listener and is said to be free", port)
	}
}
