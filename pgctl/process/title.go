package process

import (
	"bytes"
	"os"
	"strings"
)

// Receiver returns the pid of the directory's WAL receiver.
func Receiver(d Directory) (pid int, ok bool) {
	return auxiliary(d, "walreceiver", "wal receiver process")
}

// Startup returns the pid of the directory's startup process, the one that replays.
func Startup(d Directory) (pid int, ok bool) { return auxiliary(d, "startup") }

// ByTitle returns the processes of the directory whose title begins with one of the names, "postgres: " and the name of the
// cluster aside.
func ByTitle(d Directory, names ...string) []Process {
	var found []Process
	for _, p := range Find(d) {
		if matches(Title(p.PID), names) {
			found = append(found, p)
		}
	}
	return found
}

// Title returns what a process of PostgreSQL says of itself, such as "postgres: walreceiver streaming 0/3000060": empty when
// it is gone.
func Title(pid int) string {
	data, err := os.ReadFile(procPath(pid, "cmdline"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(bytes.ReplaceAll(data, []byte{0}, []byte(" "))))
}

func auxiliary(d Directory, names ...string) (int, bool) {
	for _, p := range Find(d) {
		if title := Title(p.PID); matches(title, names) && !client(title) {
			return p.PID, true
		}
	}
	return 0, false
}

// untitled says whether pid bears the command line that it was started with, as a postmaster does, and not a title, as what it
// forks does. A process that is about to end has neither.
func untitled(pid int) bool {
	title := Title(pid)
	return title != "" && !strings.HasPrefix(title, "postgres: ")
}

// matches says whether a title begins with one of the names, after "postgres: " and, from 9.5 on, perhaps the name of the
// cluster as in "postgres: 15/main: walreceiver".
func matches(title string, names []string) bool {
	rest, ok := strings.CutPrefix(title, "postgres: ")
	for ok {
		for _, name := range names {
			if after, has := strings.CutPrefix(rest, name); has && (after == "" || after[0] == ' ') {
				return true
			}
		}
		_, rest, ok = strings.Cut(rest, ": ")
	}
	return false
}

// client says whether a title is a session's, as in "postgres: walreceiver db 10.0.0.7(5433) idle": a user may be called what
// he likes.
func client(title string) bool {
	for word := range strings.FieldsSeq(title) {
		_, port, ok := strings.Cut(strings.TrimSuffix(word, ")"), "(")
		if word == "[local]" || ok && port != "" && strings.Trim(port, "0123456789") == "" {
			return true
		}
	}
	return false
}
