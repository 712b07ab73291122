package sink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PGVIGIL_ETCD_PASSWORD", "secret")
	t.Setenv("SOME_SETTING", "kept")
	a := fired(0)
	err := deliver(t, Config{Type: "command", Command: []string{"/bin/sh", "-c", `cat > "$0/stdin"; env > "$0/env"; echo "$1" > "$0/args"`, dir, "dba team"}}, a)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var got alert.Alert
	if err := json.Unmarshal([]byte(read("stdin")), &got); err != nil || got.ID != a.ID || strings.Count(read("stdin"), "\n") != 1 {
		t.Errorf("stdin %q, %v", read("stdin"), err)
	}
	if read("args") != "dba team\n" {
		t.Errorf("arguments %q", read("args"))
	}
	env := read("env")
	for _, line := range []string{
		"SOME_SETTING=kept", "PGVIGIL_ALERT_ID=main/2-7", "PGVIGIL_ALERT_KEY=main/2/hand-over", "PGVIGIL_ALERT_STATUS=firing",
		"PGVIGIL_ALERT_SEVERITY=critical", "PGVIGIL_ALERT_CLUSTER=main", "PGVIGIL_ALERT_TERM=2", "PGVIGIL_ALERT_KIND=hand-over",
		"PGVIGIL_ALERT_REASON=server-exited", "PGVIGIL_ALERT_MEMBER=node1", "PGVIGIL_ALERT_TITLE=[CRITICAL] main: node1 handed over to node2",
	} {
		if !strings.Contains(env, line+"\n") {
			t.Errorf("%q is not in\n%s", line, env)
		}
	}
	if strings.Contains(env, "secret") {
		t.Error("our own settings are handed on")
	}
}

func TestACommandThatFailsSaysWhy(t *testing.T) {
	for script, says := range map[string]string{
		"echo no such team >&2; exit 3":                 "exit status 3: no such team",
		"head -c 100000 /dev/zero | tr '\\0' x; exit 1": "exit status 1: xxx",
		"kill -9 $$": "signal: killed",
	} {
		err := deliver(t, Config{Type: "command", Command: []string{"/bin/sh", "-c", script}}, fired(0))
		if err == nil || !strings.Contains(err.Error(), says) || len(err.Error()) > 1000 {
			t.Errorf("%s: %v", script, err)
		}
	}
	for code, refused := range map[int]bool{1: false, 65: true, 75: false} {
		err := deliver(t, Config{Type: "command", Command: []string{"/bin/sh", "-c", fmt.Sprintf("exit %d", code)}}, fired(0))
		if err == nil || errors.Is(err, alert.ErrRefused) != refused {
			t.Errorf("exit code %d: %v, refused %v", code, err, refused)
		}
	}
	if err := deliver(t, Config{Type: "command", Command: []string{"/nonexistent"}}, fired(0)); err == nil {
		t.Error("a program that is not there runs")
	}
}

// The whole group is killed, with the children that the command has left behind.
func TestACommandsChildrenEndWithIt(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	script := fmt.Sprintf("sleep 300 & echo $! > %[1]s.part; mv %[1]s.part %[1]s; sleep 300", pids)
	err := deliver(t, Config{Type: "command", Command: []string{"/bin/sh", "-c", script}, Timeout: watchdog.Duration(time.Second)}, fired(0))
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("%v", err)
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives", pid)
		}
	}
}

// alive says whether there is such a process, and it is no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && syscall.Kill(pid, 0) == nil && !strings.Contains(string(stat), ") Z ")
}
