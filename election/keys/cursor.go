package keys

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// MoveCursor is the plan that writes a sink's cursor if its mod revision is still that one; 0: if there is none.
func (l Layout) MoveCursor(sink string, to alert.Cursor, revision int64) (Plan, error) {
	key, err := l.AlertCursor(sink)
	value, invalid := json.Marshal(to)
	if err := errors.Join(err, invalid); err != nil {
		return Plan{}, err
	}
	return Plan{Compares: []Compare{{Key: key, Field: Modified, Rev: revision}}, Puts: []Put{{Key: key, Value: value}}}, nil
}

// DecodeCursor reads a cursor. One that cannot be read is an error, so that it is never moved.
func DecodeCursor(kv KV) (alert.Cursor, int64, error) {
	c, err := decode[alert.Cursor](kv.Value)
	if err != nil {
		return alert.Cursor{}, 0, fmt.Errorf("%w: %s: %w: look at it, and delete it to begin at the present", ErrGarbage, kv.Key, err)
	}
	return c, kv.Mod, nil
}

// OutboxOf puts the events among kvs, which are all those after the revision or, of many, the first, into the order in which
// they were written.
func (l Layout) OutboxOf(kvs []KV) (entries []alert.Entry) {
	for _, kv := range kvs {
		entry := l.entry(kv)
		if event, err := DecodeEvent(kv.Value); err != nil {
			entry.Garbage = err.Error()
		} else if entry.Garbage == "" {
			entry.Event = event
		}
		entries = append(entries, entry)
	}
	slices.SortStableFunc(entries, func(a, b alert.Entry) int { return cmp.Compare(a.Revision, b.Revision) })
	return entries
}

// EventAt is where an event lies, by its key alone; zero if that is no event's.
func (l Layout) EventAt(kv KV) alert.Position {
	e := l.entry(kv)
	if e.Garbage != "" {
		return alert.Position{}
	}
	return alert.Position{Revision: kv.Create, Term: e.Term, Seq: e.Seq}
}

// entry reads an event's key.
func (l Layout) entry(kv KV) alert.Entry {
	name := strings.TrimPrefix(kv.Key, l.Events())
	e := alert.Entry{ID: name, Revision: kv.Create}
	var numbers []string
	for part := range strings.SplitSeq(name, "-") {
		n, ok := number(part)
		if !ok {
			e.Garbage = "its key is no event's"
			return e
		}
		switch len(numbers) {
		case 0:
			e.Term = watchdog.Term(n)
		case 1:
			e.Seq = n
		}
		numbers = append(numbers, strconv.FormatUint(n, 10))
	}
	if len(numbers) != 2 && len(numbers) != 3 {
		e.Garbage = "its key is no event's"
		return e
	}
	e.ID = strings.Join(numbers, "-")
	return e
}
