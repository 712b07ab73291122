package pgctl

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
)

// ancestor is one line of a timeline's history: the timeline that was left, and where.
type ancestor struct {
	Timeline watchdog.Timeline
	End      watchdog.LSN
}

// parseHistory reads a timeline history file: oldest ancestor first, comments and blank lines anywhere, any number of lines
// (F26). A line of another form is an error: half a history is none.
func parseHistory(data []byte) ([]ancestor, error) {
	var list []ancestor
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data)+1)
	for number := 1; lines.Scan(); number++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		line, err := parseAncestor(fields)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if n := len(list); n > 0 && (line.Timeline <= list[n-1].Timeline || line.End < list[n-1].End) {
			return nil, fmt.Errorf("line %d: timeline %d at %s after timeline %d at %s", number,
				line.Timeline, line.End, list[n-1].Timeline, list[n-1].End)
		}
		list = append(list, line)
	}
	return list, lines.Err()
}

func parseAncestor(fields []string) (ancestor, error) {
	timeline, err := strconv.ParseUint(fields[0], 10, 32)
	if err != nil {
		return ancestor{}, fmt.Errorf("timeline %q: %w", fields[0], err)
	}
	if timeline == 0 {
		return ancestor{}, errors.New("timeline 0")
	}
	if len(fields) < 2 {
		return ancestor{}, fmt.Errorf("timeline %d has no position", timeline)
	}
	end, err := watchdog.ParseLSN(fields[1])
	return ancestor{Timeline: watchdog.Timeline(timeline), End: end}, err
}

// historyName is the name of a timeline's history file.
func historyName(timeline watchdog.Timeline) string {
	return fmt.Sprintf("%08X.history", uint32(timeline))
}

// parseHistoryName reads such a name.
func parseHistoryName(name string) (watchdog.Timeline, bool) {
	digits, found := strings.CutSuffix(name, ".history")
	if !found || len(digits) != 8 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	return watchdog.Timeline(n), err == nil
}

// errNoHistory says that the timeline has no history file here.
var errNoHistory = errors.New("no timeline history file")

// readHistory returns the timeline's ancestors, oldest first; none for timeline 1, which has none. A placeholder of ours is
// no history.
func readHistory(dir string, timeline watchdog.Timeline) ([]ancestor, error) {
	if timeline <= 1 {
		return nil, nil
	}
	name := historyName(timeline)
	data, err := os.ReadFile(filepath.Join(dir, name))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w %s", errNoHistory, name)
	case err != nil:
		return nil, fmt.Errorf("read timeline history: %w", err)
	case isPlaceholder(data):
		return nil, fmt.Errorf("%w %s but a placeholder", errNoHistory, name)
	}
	list, err := parseHistory(data)
	if err == nil && len(list) == 0 {
		err = errors.New("it names no ancestor")
	}
	if err == nil && list[len(list)-1].Timeline >= timeline {
		err = fmt.Errorf("it names timeline %d as an ancestor", list[len(list)-1].Timeline)
	}
	if err != nil {
		return nil, fmt.Errorf("read timeline history %s: %w", name, err)
	}
	return list, nil
}

// lineage says which timelines the pages of one timeline's WAL may carry.
type lineage struct {
	timeline  watchdog.Timeline
	ancestors []ancestor
	known     bool // the history file was there; else any lower timeline is taken for an ancestor
}

// lineageOf reads the timeline's history. Without a file any lower timeline is allowed as long as none follows a higher one,
// which is PostgreSQL's own rule.
func lineageOf(dir string, timeline watchdog.Timeline) (lineage, error) {
	list, err := readHistory(dir, timeline)
	if errors.Is(err, errNoHistory) {
		return lineage{timeline: timeline}, nil
	}
	return lineage{timeline: timeline, ancestors: list, known: true}, err
}

// allows says whether a page that starts at lsn may carry the timeline: the timeline itself from its fork on, and before, also
// on the page with the fork, the ancestor then in force.
func (l lineage) allows(timeline watchdog.Timeline, lsn watchdog.LSN) bool {
	if timeline == l.timeline {
		return true
	}
	if !l.known {
		return timeline < l.timeline
	}
	for _, a := range l.ancestors {
		if a.Timeline == timeline {
			return lsn < a.End
		}
	}
	return false
}

// includes says whether WAL of that timeline up to lsn is part of this history.
func (l lineage) includes(timeline watchdog.Timeline, lsn watchdog.LSN) bool {
	if timeline == l.timeline {
		return true
	}
	for _, a := range l.ancestors {
		if a.Timeline == timeline {
			return lsn <= a.End
		}
	}
	return false
}

// at is the timeline whose WAL the byte at lsn belongs to.
func (l lineage) at(lsn watchdog.LSN) watchdog.Timeline {
	for _, a := range l.ancestors {
		if lsn < a.End {
			return a.Timeline
		}
	}
	return l.timeline
}

// History returns where the timeline forked off its parent, from the server's own history file.
func (in *Instance) History(_ context.Context, timeline watchdog.Timeline) (watchdog.LSN, error) {
	list, err := readHistory(in.walDir(), timeline)
	if err != nil {
		return 0, err
	}
	if len(list) == 0 {
		return 0, fmt.Errorf("timeline %d has no parent", timeline)
	}
	return list[len(list)-1].End, nil
}

// NextTimeline returns a number above every timeline that this server knows: those with a history file or a segment in its
// WAL directory, and those in its control file. Placeholders of ours do not count, and neither does anybody's memory: the
// ledger's numbers are the caller's to add.
func (in *Instance) NextTimeline(ctx context.Context) (watchdog.Timeline, error) {
	c, err := in.control(ctx)
	if err != nil {
		return 0, err
	}
	highest := max(c.Timeline, c.MinRecoveryTimeline, 1)
	d, err := in.wal(c)
	if err != nil {
		return 0, err
	}
	names, err := readNames(d.path)
	if err != nil {
		return 0, fmt.Errorf("list WAL directory: %w", err)
	}
	for _, name := range names {
		timeline, ok := parseHistoryName(name)
		if ok && placeholderAt(filepath.Join(d.path, name)) {
			continue
		}
		if !ok {
			timeline, _, ok = d.parseFileName(name)
		}
		if ok {
			highest = max(highest, timeline)
		}
	}
	if highest == ^watchdog.Timeline(0) {
		return 0, errors.New("there is no timeline number left")
	}
	return highest + 1, nil
}

// wal is the server's WAL directory with its format.
func (in *Instance) wal(c control) (walFiles, error) {
	f, err := walFormatOf(c)
	f.records = in.version.walRecords
	return walFiles{walFormat: f, path: in.walDir()}, err
}

// readNames lists a directory without looking at the files.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func sortedDown(set map[watchdog.Timeline]bool) []watchdog.Timeline {
	var list []watchdog.Timeline
	for t := range set {
		list = append(list, t)
	}
	slices.Sort(list)
	slices.Reverse(list)
	return list
}
