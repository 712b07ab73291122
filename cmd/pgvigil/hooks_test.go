package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHooksTest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pgvigil.yaml")
	text := "cluster: orders\nname: node1\nhooks:\n  on_promote:\n  - {command: [/bin/sh, -c, 'echo $PGVIGIL_EVENT $PGVIGIL_CLUSTER $PGVIGIL_MEMBER $PGVIGIL_TEST']}\n" +
		"  - {command: [/bin/sh, -c, 'echo no such pool >&2; exit 3'], timeout: 5s}\n  on_demote: [{command: [/bin/true]}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("cluster: orders\nhooks:\n  on_follow:\n  - {command: [page]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name       string
		args       []string
		code       int
		out, error string
	}{
		{"one that fails", []string{"on_promote"}, exitFailure, "on_promote orders node1 true\n", "1 of 2 commands failed"},
		{"and why", []string{"on_promote"}, exitFailure, "exit status 3, after ", ""},
		{"and what it said", []string{"on_promote"}, exitFailure, "  no such pool\n", ""},
		{"one that does not", []string{"on_demote"}, exitOK, "/bin/true: done, after ", ""},
		{"only shown", []string{"--dry-run", "on_promote"}, exitOK, "would run, for at most 5s: /bin/sh -c echo no such pool", ""},
		{"with what it would be told", []string{"--dry-run", "on_promote"}, exitOK, `{"event":"on_promote","cluster":"orders","member":"node1",`, ""},
		{"a flag too late", []string{"on_promote", "--dry-run"}, exitUsage, "", `--dry-run comes too late: give flags before "on_promote"`},
		{"none", nil, exitUsage, "", "give one occasion: on_start, before_promote, "},
		{"a typing error", []string{"on_promot"}, exitUsage, "", "did you mean on_promote?"},
		{"one without a command", []string{"on_start"}, exitConfig, "", "give one under hooks.on_start"},
		{"a wrong configuration", []string{"-c", wrong, "on_follow"}, exitConfig, "", `wrong.yaml:3: hooks.on_follow: command 1: "page" depends on`},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"hooks", "test", "-c", file}, test.args...)
			code, out, errs := command(t, args...)
			if code != test.code || !strings.Contains(out, test.out) || !strings.Contains(errs, test.error) {
				t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", code, test.code, out, errs)
			}
		})
	}
}
