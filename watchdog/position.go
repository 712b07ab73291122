package watchdog

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a byte position in the write-ahead log.
type LSN uint64

// ParseLSN reads PostgreSQL's X/Y notation, both halves hexadecimal, padded (19 and up) or not.
func ParseLSN(text string) (LSN, error) {
	high, low, found := strings.Cut(text, "/")
	if !found {
		return 0, fmt.Errorf("parse LSN %q: no slash", text)
	}
	h, err := strconv.ParseUint(high, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("parse LSN %q: %w", text, err)
	}
	l, err := strconv.ParseUint(low, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("parse LSN %q: %w", text, err)
	}
	return LSN(h<<32 | l), nil
}

// String writes the position as PostgreSQL up to 18 does.
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint64(l)>>32, uint32(l)) }

// MarshalText writes the X/Y notation.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the X/Y notation.
func (l *LSN) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLSN(string(text))
	return err
}

// Behind returns how many bytes l lies behind other, 0 when it does not.
func (l LSN) Behind(other LSN) uint64 {
	if other <= l {
		return 0
	}
	return uint64(other - l)
}

// Timeline is PostgreSQL's timeline number. Numbers collide when two servers promote apart; terms do not, which is why the
// ledger says which term owns a timeline (F24).
type Timeline uint32

// Term grows by one whenever the right to be primary changes hands.
type Term uint64
