package watchdog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Extra holds a JSON object's fields that this version does not know, so that an older pgvigil that rewrites a newer one's
// document loses nothing.
type Extra map[string]json.RawMessage

// DecodeRecord reads a record strictly: unknown fields are kept, and anything that is not one whole JSON object with the
// fields that a decision needs is refused (F18).
func DecodeRecord(data []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("decode record: %w", err)
	}
	if err := json.Unmarshal(data, &r.Extra); err != nil {
		return Record{}, fmt.Errorf("decode record: %w", err)
	}
	for _, known := range fieldNames(reflect.TypeOf(r)) {
		delete(r.Extra, known)
	}
	if len(r.Extra) == 0 {
		r.Extra = nil
	}
	return r, r.Validate()
}

// EncodeRecord writes the record with the unknown fields that it came with.
func EncodeRecord(r Record) ([]byte, error) {
	known, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	if len(r.Extra) == 0 {
		return known, nil
	}
	extra, err := json.Marshal(r.Extra)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return bytes.Join([][]byte{known[:len(known)-1], []byte(","), extra[1:]}, nil), nil
}

// Validate says in one sentence what in the record no pgvigil can have written.
func (r Record) Validate() error {
	switch {
	case r.Term == 0:
		return fmt.Errorf("record has no term")
	case r.SystemID == "":
		return fmt.Errorf("record of term %d has no system identifier", r.Term)
	case r.Phase != PhaseNormal && r.Phase != PhaseElecting && r.Phase != PhasePromoting:
		return fmt.Errorf("record of term %d has unknown phase %q", r.Term, r.Phase)
	case r.Phase == PhaseElecting && r.Primary != "":
		return fmt.Errorf("record of term %d names primary %q while electing", r.Term, r.Primary)
	case r.Phase != PhaseElecting && r.Primary == "":
		return fmt.Errorf("record of term %d names no primary in phase %q", r.Term, r.Phase)
	case r.Durability.Mode != ModeAsync && r.Durability.Mode != ModeQuorum:
		return fmt.Errorf("record of term %d has unknown durability mode %q", r.Term, r.Durability.Mode)
	}
	return nil
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}
