package api

import (
	"bytes"
	"sync"

	"github.com/pgvigil/pgvigil/watchdog"
)

// repeats decodes heartbeats. At rest a member says the same again and again, and to compare is cheaper than to decode.
type repeats struct {
	mu   sync.Mutex
	last map[string]said // by the connection's other end
}

type said struct {
	data   []byte
	member watchdog.Member
}

// repeatsKept bounds the connections remembered; each member has one.
const repeatsKept = 64

// decode returns what is said, which is not to be changed.
func (r *repeats) decode(from string, data []byte) (watchdog.Member, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if before, known := r.last[from]; known && bytes.Equal(before.data, data) {
		return before.member, nil
	}
	member, err := decodeMember(data)
	if err != nil {
		return member, err
	}
	if r.last == nil || len(r.last) >= repeatsKept {
		r.last = map[string]said{}
	}
	r.last[from] = said{bytes.Clone(data), member}
	return member, nil
}
