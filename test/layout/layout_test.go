package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pgvigil/pgvigil/"

// mayImport says which of our own packages each may import. Every arrow points at watchdog.
var mayImport = map[string][]string{
	"watchdog":              {},
	"watchdog/sidecar":      {"watchdog"},
	"watchdog/guard":        {"watchdog"},
	"watchdog/request":      {"watchdog", "watchdog/sidecar"},
	"watchdog/api":          {"watchdog", "watchdog/sidecar", "watchdog/request", "watchdog/alert", "watchdog/check"},
	"watchdog/alert":        {"watchdog", "watchdog/sidecar"},
	"watchdog/alert/sink":   {"watchdog", "watchdog/alert", "watchdog/command"},
	"watchdog/check":        {"watchdog"},
	"watchdog/check/patrol": {"watchdog", "watchdog/check", "watchdog/sidecar"},
	"watchdog/command":      {},
	"watchdog/virtualip":    {"watchdog", "watchdog/sidecar", "watchdog/guard"},
	"watchdog/pooler":       {"watchdog", "watchdog/sidecar"},
	"watchdog/hook":         {"watchdog", "watchdog/sidecar", "watchdog/command"},
	"election":              {"watchdog", "watchdog/sidecar", "watchdog/alert", "watchdog/check", "election/keys"},
	"election/keys":         {"watchdog", "watchdog/sidecar", "watchdog/alert"},
	"election/embedded":     {},
	"election/electiontest": {"watchdog", "watchdog/sidecar", "watchdog/alert", "election/keys"},
	"pgctl":                 {"watchdog", "watchdog/sidecar", "watchdog/check", "pgctl/process"},
	"pgctl/process":         {},
	"pgctl/writer":          {"watchdog"},
}

// commands wire everything together, and tests judge from outside: they may import what they like, and nobody them.
func free(dir string) bool { return strings.HasPrefix(dir, "cmd/") || strings.HasPrefix(dir, "test/") }

var top = []string{"cmd", "watchdog", "election", "pgctl", "deploy", "test", "go.mod", "go.sum", "Makefile", "README.md", "LICENSE", "CHANGELOG.md", "bin"}

var forbiddenNames = []string{"internal", "pkg", "util", "utils", "common", "types", "mock", "mocks", "helpers"}

type file struct {
	dir, path string
	test      bool
	ast       *ast.File
	lines     int
}

func files(t *testing.T) []file {
	t.Helper()
	if err := os.Chdir("../.."); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chdir("test/layout") })
	var found []file
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "." || path == "bin" {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		found = append(found, file{
			dir: filepath.ToSlash(filepath.Dir(path)), path: path, test: strings.HasSuffix(path, "_test.go"), ast: parsed,
			lines: set.Position(parsed.FileEnd).Line,
		})
		return nil
	})
	if err != nil || len(found) < 10 {
		t.Fatalf("walked the tree: %d files, %v", len(found), err)
	}
	return found
}

func TestImportsPointAtWatchdog(t *testing.T) {
	for _, f := range files(t) {
		if f.test || free(f.dir) {
			continue
		}
		allowed, known := mayImport[f.dir]
		if !known {
			t.Errorf("%s: the package %s has no place in DESIGN.md §2; find the room for it, then enter it here", f.path, f.dir)
		}
		for _, spec := range f.ast.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			own, ours := strings.CutPrefix(path, module)
			if ours && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s", f.path, own)
			}
			standard := !strings.Contains(strings.SplitN(path, "/", 2)[0], ".")
			if f.dir == "watchdog" && !ours && !standard {
				t.Errorf("%s imports %s: watchdog imports the standard library alone", f.path, path)
			}
			if f.dir == "watchdog" && slices.Contains([]string{"os", "net", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "syscall"}, path) {
				t.Errorf("%s imports %s: watchdog does no I/O and is not random", f.path, path)
			}
		}
	}
}

// calls that belong to one room only.
var rooms = []struct {
	call string
	ok   func(f file) bool
	why  string
}{
	{"os.Exit", func(f file) bool { return strings.HasPrefix(f.dir, "cmd/") || f.dir == "test/bench" || f.test }, "only a command ends the process"},
	{"fmt.Print", func(f file) bool { return strings.HasPrefix(f.dir, "cmd/") || f.dir == "test/bench" || f.test }, "only cmd writes to stdout"},
	{"time.Sleep", func(f file) bool { return !f.test }, "a test waits for a signal or polls with a deadline"},
	{"time.Now", func(f file) bool { return f.dir != "watchdog" }, "the clock is an argument"},
	{"time.Since", func(f file) bool { return f.dir != "watchdog" }, "the clock is an argument"},
}

func TestCallsKeepToTheirRooms(t *testing.T) {
	for _, f := range files(t) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			selector, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if on, ok := selector.X.(*ast.Ident); ok {
				name := on.Name + "." + selector.Sel.Name
				for _, room := range rooms {
					matches := name == room.call || room.call == "fmt.Print" && strings.HasPrefix(name, room.call)
					if matches && !room.ok(f) {
						t.Errorf("%s calls %s: %s", f.path, name, room.why)
					}
				}
			}
			return true
		})
	}
}

func TestEveryPackageSaysWhatItPromises(t *testing.T) {
	all := files(t)
	documented := map[string]bool{}
	for _, f := range all {
		if filepath.Base(f.path) == "doc.go" && f.ast.Doc.Text() != "" {
			documented[f.dir] = true
		}
	}
	for _, f := range all {
		if !f.test && !documented[f.dir] && f.ast.Name.Name != "main" {
			t.Errorf("%s has no doc.go", f.dir)
			documented[f.dir] = true
		}
	}
}

func TestFilesHoldOneIdea(t *testing.T) {
	for _, f := range files(t) {
		if !f.test && f.lines > 400 {
			t.Errorf("%s has %d lines: is there a second idea in the room?", f.path, f.lines)
		}
	}
}

func TestNamesSayWhatIsInside(t *testing.T) {
	for _, f := range files(t) {
		for _, part := range strings.Split(f.dir, "/") {
			if slices.Contains(forbiddenNames, part) {
				t.Errorf("%s: a folder called %q says nothing", f.path, part)
			}
		}
	}
}

func TestNothingElseStandsAtTheTop(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(top, e.Name()) {
			t.Errorf("%s does not belong at the top", e.Name())
		}
	}
}
