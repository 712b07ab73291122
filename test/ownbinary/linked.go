package ownbinary

import (
	"os"
	"path/filepath"
	"testing"
)

// Linked is the path of the running test binary under that name, in a directory that ends with the test.
func Linked(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if os.Link(self, path) == nil {
		return path
	}
	data, err := os.ReadFile(self) // another file system
	if err == nil {
		err = os.WriteFile(path, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
