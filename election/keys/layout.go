package keys

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Layout is where one cluster's keys lie.
type Layout struct {
	cluster string
	prefix  string
}

// NewLayout returns the layout of the cluster of that name.
func NewLayout(cluster string) (Layout, error) {
	if err := checkName("cluster", cluster); err != nil {
		return Layout{}, err
	}
	return Layout{cluster: cluster, prefix: "/pgvigil/" + cluster + "/"}, nil
}

// checkName refuses names that would break a key in two or look like another.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s has no name", what)
	case len(name) > 200:
		return fmt.Errorf("%s name of %d bytes is too long: 200 at most", what, len(name))
	case strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r < ' ' || r == 0x7f }):
		return fmt.Errorf("%s name %q has a slash or a control character in it", what, name)
	}
	return nil
}

// Prefix begins every key of the cluster.
func (l Layout) Prefix() string { return l.prefix }

// Record is the key of the record.
func (l Layout) Record() string { return l.prefix + "record" }

// Primary is the key that holds the primary's name as plain text.
func (l Layout) Primary() string { return l.prefix + "primary" }

// PrimaryTerm is the key that each renewal writes.
func (l Layout) PrimaryTerm() string { return l.prefix + "primary.term" }

// Policy is the key of the policy that all members share.
func (l Layout) Policy() string { return l.prefix + "config" }

// Leaders is the prefix of the campaign keys.
func (l Layout) Leaders() string { return l.prefix + "leader/" }

// Leader is the campaign key of the sidecar that holds the lease.
func (l Layout) Leader(lease int64) string {
	return l.Leaders() + strconv.FormatUint(uint64(lease), 16)
}

// Members is the prefix of the members' keys.
func (l Layout) Members() string { return l.prefix + "members/" }

// Member is the key of the member of that name.
func (l Layout) Member(name string) string { return l.Members() + name }

// Ballots is the prefix of all ballots.
func (l Layout) Ballots() string { return l.prefix + "ballots/" }

// BallotsOf is the prefix of one term's ballots.
func (l Layout) BallotsOf(term watchdog.Term) string { return l.Ballots() + padded(uint64(term)) + "/" }

// Ballot is the key of a member's ballot for the term.
func (l Layout) Ballot(term watchdog.Term, member string) string { return l.BallotsOf(term) + member }

// Ledger is the prefix of the ledger's entries.
func (l Layout) Ledger() string { return l.prefix + "terms/" }

// LedgerEntry is the key of the term's entry in the ledger.
func (l Layout) LedgerEntry(term watchdog.Term) string { return l.Ledger() + padded(uint64(term)) }

// Events is the prefix of the events, which sort by term and sequence.
func (l Layout) Events() string { return l.prefix + "events/" }

// Event is the key of the event that tells of a change of the record.
func (l Layout) Event(e watchdog.Event) string {
	return l.Events() + padded(uint64(e.Term)) + "-" + padded(e.Seq)
}

// Aside is the key of an event that comes with no change of the record. It sorts behind that of the record's sequence number,
// which it would otherwise take.
func (l Layout) Aside(e watchdog.Event) string {
	at := int64(0)
	if !e.Time.IsZero() {
		at = max(0, e.Time.UnixNano())
	}
	return l.Event(e) + "-" + padded(uint64(at))
}

// Alerts is the prefix of the cursors of alerts.
func (l Layout) Alerts() string { return l.prefix + "alerts/" }

// AlertCursor is the key of how far the sink of that name has got.
func (l Layout) AlertCursor(sink string) (string, error) {
	return l.Alerts() + sink, checkName("sink", sink)
}

// padded writes a number so that keys sort as numbers do.
func padded(n uint64) string { return fmt.Sprintf("%020d", n) }

// number reads what padded wrote, and nothing else.
func number(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil && text == padded(n)
}

// After is the first key behind all keys that begin with prefix.
func After(prefix string) string {
	end := []byte(prefix)
	end[len(end)-1]++ // every prefix here ends in a slash
	return string(end)
}

// Span is the keys in [From, To).
type Span struct{ From, To string }

// Waking is the spans that together hold every key but primary.term, which changes with each renewal, and the cursors of
// alerts (and what would sort before them), which nothing is decided on: they wake nobody.
func (l Layout) Waking() []Span {
	return []Span{{After(l.Alerts()), l.PrimaryTerm()}, {l.PrimaryTerm() + "\x00", After(l.prefix)}}
}

// Read is the spans that one consistent read fetches: all but the events and the cursors of alerts, which nothing is decided on.
func (l Layout) Read() []Span {
	spans := []Span{only(l.Record()), only(l.Primary()), only(l.PrimaryTerm()), only(l.Policy())}
	for _, prefix := range []string{l.Leaders(), l.Members(), l.Ballots(), l.Ledger()} {
		spans = append(spans, Span{prefix, After(prefix)})
	}
	return spans
}

// only is the span of one key.
func only(key string) Span { return Span{key, key + "\x00"} }

// Holds says whether the key lies in the span.
func (s Span) Holds(key string) bool { return s.From <= key && key < s.To }
