package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// command runs a command line within the test's process.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir()) // not the contexts of whoever runs the tests
	var out, errs strings.Builder
	code = execute(t.Context(), append([]string{"pgvigil"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestCommandLines(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("clster: a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	silent := []string{"--cluster", "orders", "--etcd", "http://127.0.0.1:1"}
	for _, test := range []struct {
		name       string
		args       []string
		code       int
		out, error string
	}{
		{"help lists the commands and exit codes", []string{"--help"}, exitOK, "EXIT CODES:", ""},
		{"nothing is help", nil, exitOK, "status", ""},
		{"version", []string{"version"}, exitOK, "pgvigil ", ""},
		{"version for programs", []string{"version", "-o", "json"}, exitOK, `"version":`, ""},
		{"an unknown command", []string{"promte"}, exitUsage, "", `there is no command "promte"`},
		{"an unknown flag", []string{"status", "--wtch"}, exitUsage, "", "--help"},
		{"an argument that would have no effect", []string{"status", "orders"}, exitUsage, "", `no argument such as "orders"`},
		{"an unknown format", append([]string{"status", "-o", "xml"}, silent...), exitUsage, "", "give table, json or yaml"},
		{"no events asked for", append([]string{"history", "-n", "0"}, silent...), exitUsage, "", "give 1 or more"},
		{"a typing error in the file", []string{"status", "-c", wrong}, exitConfig, "", "did you mean cluster?"},
		{"no file", []string{"run", "-c", "/nonexistent"}, exitConfig, "", "-c"},
		{"no configuration", []string{"status"}, exitConfig, "", "PGVIGIL_ETCD_ENDPOINTS"},
		{"a flag behind an argument", append(append([]string{"config", "set"}, silent...), "k=2", "--context", "a"), exitUsage, "", "flags go first"},
		{"no contexts", []string{"context", "list"}, exitOK, "holds no contexts", ""},
		{"a context that is not there", []string{"status", "--context", "orders"}, exitConfig, "", `there is no context "orders"`},
		{"no context named", []string{"context", "use"}, exitUsage, "", "pgvigil context list"},
		{"two ways to a cluster", []string{"status", "--context", "orders", "-c", wrong}, exitConfig, "", "give one"},
		{"a wrong flag names itself", []string{"status", "--cluster", "a/b", "--etcd", "http://x:1"}, exitConfig, "", "--cluster: cluster:"},
		{"an etcd that is not there", append([]string{"status"}, silent...), exitEtcd, "", "etcd at http://127.0.0.1:1"},
		{"no data directory", append([]string{"run", "--name", "node1", "--data-dir", "/nonexistent/data", "--address", "127.0.0.1:5432"}, silent...),
			exitPostgres, "", "/nonexistent/data"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, out, errs := command(t, test.args...)
			if code != test.code || !strings.Contains(out, test.out) || !strings.Contains(errs, test.error) {
				t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", code, test.code, out, errs)
			}
			if test.code != exitOK && out != "" {
				t.Errorf("an error wrote to stdout: %s", out)
			}
		})
	}
}

func TestExitCodesOfErrors(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want int
	}{
		{"none", nil, 0},
		{"any", errors.New("x"), exitFailure},
		{"one with a code, wrapped", fmt.Errorf("run: %w", fail(exitEtcd, errors.New("x"))), exitEtcd},
		{"a refusal", &sidecar.Refusal{Reason: watchdog.ReasonNameInUse}, exitRefused},
		{"a refusal in something else", fail(exitPostgres, &sidecar.Refusal{Reason: watchdog.ReasonTwoPrimaries}), exitRefused},
		{"a server that is down before it joins", &sidecar.Refusal{Reason: watchdog.ReasonServerDownHere}, exitPostgres},
		{"no failure", fail(exitEtcd, nil), 0},
	} {
		if got := codeOf(test.err); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
	seen := map[int]bool{}
	for i, e := range exitCodes {
		if e.code != i || seen[e.code] || e.meaning == "" {
			t.Errorf("exit code %d in row %d: %q", e.code, i, e.meaning)
		}
		seen[e.code] = true
	}
}

func TestTheReadmeListsTheExitCodes(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for _, e := range exitCodes {
		fmt.Fprintf(&rows, "| %d | %s |\n", e.code, e.meaning)
	}
	if listed := strings.ReplaceAll(string(readme), "`", ""); !strings.Contains(listed, rows.String()) {
		t.Errorf("README.md does not have this table:\n%s", rows.String())
	}
}

func TestTheClockGoesOn(t *testing.T) {
	first := clock{}.Now()
	if second := (clock{}).Now(); first <= 0 || second < first {
		t.Errorf("%d, then %d", first, second)
	}
}
