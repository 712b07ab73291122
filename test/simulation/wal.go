package simulation

import "github.com/pgvigil/pgvigil/watchdog"

// entry is one record of write-ahead log. Whose it is in truth is the promotion under which it was written, uid; a server
// knows only the timeline's number.
type entry struct {
	id       uint32 // 0: the record that a promotion writes
	uid      uint32
	timeline watchdog.Timeline
	term     watchdog.Term
}

// wal is a server's log. A prefix is shared between servers, and never written over: it is cut with cut.
type wal []entry

// entryBytes is the size of every entry: few enough lie within the lag limit that an election can exceed it.
const entryBytes = 1 << 16

func lsn(entries int) watchdog.LSN { return watchdog.LSN(entries) * entryBytes }

func entries(l watchdog.LSN) int { return int(l / entryBytes) }

func (w wal) cut(n int) wal { return w[:n:n] }

// timeline is that of the log's end.
func (w wal) timeline() watchdog.Timeline {
	if len(w) == 0 {
		return 1
	}
	return w[len(w)-1].timeline
}

func (w wal) term() watchdog.Term {
	if len(w) == 0 {
		return 1
	}
	return w[len(w)-1].term
}

// has says whether that very entry stands at that place.
func (w wal) has(at int, e entry) bool { return at < len(w) && w[at] == e }

// shared is how many entries both begin with. Both being right up to some place and different from there, it is searched.
func (w wal) shared(other wal) int {
	low, high := 0, min(len(w), len(other))
	for low < high {
		middle := (low + high + 1) / 2
		if w[middle-1] == other[middle-1] {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low
}
