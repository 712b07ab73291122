package keys

import (
	"encoding/json"
	"errors"
	"fmt"

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
