package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCompletions(t *testing.T) {
	app := newApp(io.Discard, io.Discard)
	values := func(kind string, _ []string) []string { return []string{"<" + kind + ">"} }
	for _, test := range []struct{ line, want string }{
		{"sw", "switchover"},
		{"config s", "set show"},
		{"switchover --shut", "--shutdown-timeout"},
		{"switchover --to ", "<MEMBER>"},
		{"switchover --to node2 --dry", "--dry-run"},
		{"switchover --dry-run --fr", "--from"},
		{"switchover --ignore ", "<OBSTACLE>"},
		{"status -o ", "<FORMAT>"},
		{"status --context ", "<CONTEXT>"},
		{"status -c ", "<FILE>"},
		{"events --severity ", "<SEVERITY>"},
		{"context use ", "<CONTEXT>"},
		{"config set ", "<KEY=VALUE>"},
		{"completion ", "<SHELL>"},
		{"status ", ""},
		{"__com", ""},
	} {
		got := completions(app, strings.Split(test.line, " "), values)
		if strings.Join(got, " ") != test.want {
			t.Errorf("%q: %q, want %q", test.line, got, test.want)
		}
	}
	if got := completions(app, nil, values); !slices.Contains(got, "status") {
		t.Errorf("an empty line: %q", got)
	}
}

func TestWordsOfAKind(t *testing.T) {
	file := filepath.Join(t.TempDir(), "contexts.yaml")
	if err := os.WriteFile(file, []byte("contexts: {orders: {cluster: orders}, billing: {cluster: b}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, _ := command(t, "__complete", "status", "--contexts", file, "--context", "")
	if out != "billing\norders\n" {
		t.Errorf("contexts: %q", out)
	}
	_, out, _ = command(t, "__complete", "config", "set", "dura")
	if out != "durability=\n" {
		t.Errorf("policy keys: %q", out)
	}
	if _, out, _ = command(t, "__complete", "hooks", "test", "on_pro"); out != "on_promote\n" {
		t.Errorf("words of the usage: %q", out)
	}
	if _, out, _ = command(t, "__complete", "switchover", "--etcd", "http://127.0.0.1:1", "--cluster", "orders", "--to", ""); out != "" {
		t.Errorf("members of a cluster that does not answer: %q", out)
	}
}

func TestTheScriptsAreWhatTheShellsRead(t *testing.T) {
	for shell := range shells {
		if code, out, _ := command(t, "completion", shell); code != exitOK || !strings.Contains(out, "pgvigil __complete") {
			t.Errorf("%s: %d %s", shell, code, out)
		}
	}
	if code, _, errs := command(t, "completion", "tcsh"); code != exitUsage || !strings.Contains(errs, "bash, zsh or fish") {
		t.Errorf("%d %s", code, errs)
	}
}
