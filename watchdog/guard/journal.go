package guard

import (
	"fmt"
	"os"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// flushBound is how long a guard that ends waits for its last line to be written.
const flushBound = 200 * time.Millisecond

// journal writes the guard's few lines, on a goroutine of its own: the disk may be what ails.
type journal struct {
	lines chan string
	done  chan struct{}
}

func openJournal(f *os.File) *journal {
	j := &journal{lines: make(chan string, 8), done: make(chan struct{})}
	go func() {
		defer close(j.done)
		for line := range j.lines {
			_, _ = f.WriteString(line)
		}
	}()
	return j
}

// say writes a line or, when eight wait already, drops it.
func (j *journal) say(format string, args ...any) {
	line := fmt.Sprintf("%s pgvigil guard[%d]: %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), os.Getpid(), fmt.Sprintf(format, args...))
	select {
	case j.lines <- line:
	default:
	}
}

func (j *journal) close() {
	close(j.lines)
	select {
	case <-j.done:
	case <-time.After(flushBound):
	}
}

func (w *watcher) line(what string, began, done watchdog.Instant) string {
	return fmt.Sprintf("the sidecar did not feed the guard: %s %s, postmaster %d, in %s", what, w.dataDir, w.postmaster, done.Since(began).Round(time.Microsecond))
}
