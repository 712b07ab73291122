package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Field is what of a key is compared.
type Field int

// The fields that a compare can be about.
const (
	Created  Field = iota // the create revision is Rev; 0: absent
	Modified              // the mod revision is Rev; 0: absent
	NotAfter              // the mod revision is Rev or lower; an absent key's is 0
)

// Compare is one thing that must hold.
type Compare struct {
	Key   string
	Field Field
	Rev   int64
}

// Holds says whether kv, nil when the key is absent, is as the compare has it.
func (c Compare) Holds(kv *KV) bool {
	var create, mod int64
	if kv != nil {
		create, mod = kv.Create, kv.Mod
	}
	switch c.Field {
	case Created:
		return create == c.Rev
	case Modified:
		return mod == c.Rev
	default:
		return mod <= c.Rev
	}
}

// Put is one key to write.
type Put struct {
	Key      string
	Value    []byte
	Leased   bool // under the writer's lease
	IfAbsent bool // leave it as it is when it is there
}

// Plan is a change as a store carries it out: all of Puts and Deletes if every compare holds, else nothing.
type Plan struct {
	Compares []Compare
	Puts     []Put
	Deletes  []Span
}

// Leased says whether the plan needs the writer's lease.
func (p Plan) Leased() bool {
	return slices.ContainsFunc(p.Puts, func(put Put) bool { return put.Leased })
}

// Writer is the client that makes a change.
type Writer struct {
	Lease int64 // 0: none
	Seen  int64 // the highest revision that the store has told it of
}

// Plan turns a change into compares, puts and deletes. It refuses a change that contradicts itself or compares too little.
func (l Layout) Plan(change watchdog.Change, w Writer) (Plan, error) {
	if err := contradiction(change); err != nil {
		return Plan{}, err
	}
	b := builder{layout: l, writer: w}
	b.compares(change.If)
	b.documents(change)
	b.ownKeys(change)
	b.deletes(change)
	return b.plan, b.err
}

// contradiction says in one sentence why no store could make the change.
func contradiction(c watchdog.Change) error {
	switch {
	case c.Record != nil && c.If.RecordRev == nil:
		return errors.New("change of the record compares no revision of it")
	case c.PrimaryTerm != nil && c.If.PrimaryTermRev == nil:
		return errors.New("change of primary.term compares no revision of it")
	case c.TakePrimary != "" && c.DropPrimary:
		return errors.New("change both takes and drops the primary key")
	case c.Campaign != "" && c.Resign:
		return errors.New("change both campaigns and resigns")
	case c.Member != nil && c.WithdrawnBy != "" && c.WithdrawnBy == c.Member.Name:
		return fmt.Errorf("change both registers and withdraws member %q", c.WithdrawnBy)
	case c.Ballot != nil && (c.ClearBallots || c.DropBallotsOf == c.Ballot.Term):
		return fmt.Errorf("change both gives and deletes the ballot of %q", c.Ballot.Member)
	case c.If.LeaderKey != "" && c.If.LeaderRev == 0:
		return fmt.Errorf("change compares leader key %q with no revision", c.If.LeaderKey)
	}
	return nil
}

// builder gathers a plan; the first error stays.
type builder struct {
	layout Layout
	writer Writer
	plan   Plan
	err    error
}

func (b *builder) compare(key string, field Field, rev int64) {
	b.plan.Compares = append(b.plan.Compares, Compare{key, field, rev})
}

func (b *builder) compares(c watchdog.If) {
	l := b.layout
	if c.RecordRev != nil {
		b.compare(l.Record(), Modified, *c.RecordRev)
	}
	if c.PrimaryTermRev != nil {
		b.compare(l.PrimaryTerm(), Modified, *c.PrimaryTermRev)
	}
	if c.PrimaryRev != nil {
		b.compare(l.Primary(), Created, *c.PrimaryRev)
	}
	if c.PolicyRev != nil {
		b.compare(l.Policy(), Modified, *c.PolicyRev)
	}
	if c.LeaderKey != "" {
		b.compare(c.LeaderKey, Created, c.LeaderRev)
	}
	for _, name := range slices.Sorted(maps.Keys(c.MemberRevs)) {
		b.compare(l.Member(name), Created, c.MemberRevs[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.BallotRevs)) {
		b.compare(l.Ballot(c.BallotTerm, name), Modified, c.BallotRevs[name])
	}
}

// put adds a key to write, and pins it to what the writer has seen unless the change pins it itself.
func (b *builder) put(put Put, err error) {
	if err == nil {
		err = checkSize(put.Value)
	}
	if err != nil {
		b.err = errors.Join(b.err, fmt.Errorf("write %s: %w", put.Key, err))
		return
	}
	b.plan.Puts = append(b.plan.Puts, put)
}

func (b *builder) pin(key string) {
	for _, c := range b.plan.Compares {
		if c.Key == key && c.Field == Modified {
			return
		}
	}
	b.compare(key, NotAfter, b.writer.Seen)
}

// documents writes what belongs to the cluster.
func (b *builder) documents(c watchdog.Change) {
	l := b.layout
	if c.Record != nil {
		value, err := watchdog.EncodeRecord(*c.Record)
		b.put(Put{Key: l.Record(), Value: value}, err)
	}
	if c.PrimaryTerm != nil {
		b.json(l.PrimaryTerm(), c.PrimaryTerm, false, nil)
	}
	if c.Ledger != nil {
		b.json(l.LedgerEntry(c.Ledger.Term), c.Ledger, false, nil)
	}
	if c.Policy != nil {
		b.pin(l.Policy())
		b.json(l.Policy(), c.Policy, false, nil)
	}
	if c.Event != nil {
		key := l.Event(*c.Event)
		if c.Record == nil {
			key = l.Aside(*c.Event)
		}
		b.json(key, c.Event, false, nil)
	}
}

// ownKeys writes what belongs to the writer.
func (b *builder) ownKeys(c watchdog.Change) {
	l := b.layout
	if c.TakePrimary != "" {
		b.put(Put{Key: l.Primary(), Value: []byte(c.TakePrimary), Leased: true}, checkName("member", c.TakePrimary))
	}
	if c.Campaign != "" {
		b.put(Put{Key: l.Leader(b.writer.Lease), Value: []byte(c.Campaign), Leased: true, IfAbsent: true}, checkName("member", c.Campaign))
	}
	if c.Member != nil {
		b.pin(l.Member(c.Member.Name))
		b.json(l.Member(c.Member.Name), c.Member, true, checkName("member", c.Member.Name))
	}
	if c.Ballot != nil {
		b.pin(l.Ballot(c.Ballot.Term, c.Ballot.Member))
		b.json(l.Ballot(c.Ballot.Term, c.Ballot.Member), c.Ballot, false, checkName("member", c.Ballot.Member))
	}
}

func (b *builder) json(key string, v any, leased bool, invalid error) {
	value, err := json.Marshal(v)
	b.put(Put{Key: key, Value: value, Leased: leased}, errors.Join(invalid, err))
}

func (b *builder) deletes(c watchdog.Change) {
	l := b.layout
	drop := func(when bool, span Span) {
		if when {
			b.plan.Deletes = append(b.plan.Deletes, span)
		}
	}
	drop(c.DropPrimary, only(l.Primary()))
	drop(c.Resign && b.writer.Lease != 0, only(l.Leader(b.writer.Lease)))
	drop(c.WithdrawnBy != "", only(l.Member(c.WithdrawnBy)))
	drop(c.ClearBallots, Span{l.Ballots(), After(l.Ballots())})
	drop(c.DropBallotsOf != 0 && !c.ClearBallots, Span{l.BallotsOf(c.DropBallotsOf), After(l.BallotsOf(c.DropBallotsOf))})
}

// ErrGarbage: the change would write over a key that holds something unreadable. Nothing was sent (F18).
var ErrGarbage = errors.New("key holds garbage")

// Overwrites returns a key that the plan would write over and that holds garbage, with why it is garbage (F18).
func (p Plan) Overwrites(garbage map[string]string) (key, why string, overwrites bool) {
	for _, put := range p.Puts {
		if why, ok := garbage[put.Key]; ok && !put.IfAbsent {
			return put.Key, why, true
		}
	}
	return "", "", false
}
