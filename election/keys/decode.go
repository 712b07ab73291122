package keys

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
)

// MaxValue is the size in bytes from which on a value is garbage: no pgvigil writes one.
const MaxValue = 256 << 10

// KV is a key as a store holds it.
type KV struct {
	Key    string
	Value  []byte
	Create int64 // revision in which it was created
	Mod    int64 // revision in which it was last written
	Lease  int64 // 0: none
}

// Decode reads the keys of one consistent read, in any order. StoreID and Revision are left to the caller.
func (l Layout) Decode(kvs []KV) watchdog.Cluster {
	d := decoder{layout: l, ballots: map[watchdog.Term]map[string]watchdog.Cast{}}
	d.cluster.Campaigns = map[string]string{}
	d.cluster.Members = map[string]watchdog.Registered{}
	d.cluster.Garbage = map[string]string{}
	sorted := slices.Clone(kvs)
	slices.SortFunc(sorted, func(a, b KV) int { return cmp.Or(cmp.Compare(a.Create, b.Create), cmp.Compare(a.Key, b.Key)) })
	for _, kv := range sorted {
		if err := d.take(kv); err != nil {
			d.cluster.Garbage[kv.Key] = err.Error()
		}
	}
	d.cluster.Ballots, d.cluster.Advance = map[string]watchdog.Cast{}, map[string]watchdog.Cast{}
	if r := d.cluster.Record; r != nil && d.ballots[r.Term] != nil {
		d.cluster.Ballots = d.ballots[r.Term]
	}
	if r := d.cluster.Record; r != nil && d.ballots[r.Term+1] != nil {
		d.cluster.Advance = d.ballots[r.Term+1]
	}
	slices.SortFunc(d.cluster.Ledger, func(a, b watchdog.LedgerEntry) int { return cmp.Compare(a.Term, b.Term) })
	return d.cluster
}

// decoder gathers what has been read.
type decoder struct {
	layout  Layout
	cluster watchdog.Cluster
	ballots map[watchdog.Term]map[string]watchdog.Cast
}

// take reads one key. The error says why it is garbage. Keys of later versions are passed over.
func (d *decoder) take(kv KV) error {
	l := d.layout
	switch kv.Key {
	case l.Record():
		d.cluster.RecordRev = kv.Mod
		return d.record(kv)
	case l.Primary():
		d.cluster.PrimaryCreateRev = kv.Create
		return d.primary(kv)
	case l.PrimaryTerm():
		d.cluster.PrimaryTermRev = kv.Mod
		return d.primaryTerm(kv)
	case l.Policy():
		d.cluster.PolicyRev = kv.Mod
		return d.policy(kv)
	}
	for prefix, read := range map[string]func(rest string, kv KV) error{
		l.Leaders(): d.campaign, l.Members(): d.member, l.Ballots(): d.ballot, l.Ledger(): d.ledger,
	} {
		if rest, ok := strings.CutPrefix(kv.Key, prefix); ok {
			return read(rest, kv)
		}
	}
	return nil
}

func (d *decoder) record(kv KV) error {
	if err := checkObject(kv.Value); err != nil {
		return err
	}
	r, err := watchdog.DecodeRecord(kv.Value)
	if err != nil {
		return err
	}
	if r.Cluster != "" && r.Cluster != d.layout.cluster {
		return fmt.Errorf("record is that of cluster %q", r.Cluster)
	}
	d.cluster.Record = &r
	return nil
}

func (d *decoder) primary(kv KV) error {
	name, err := plainName(kv.Value)
	if err == nil {
		d.cluster.Primary = name
	}
	return err
}

func (d *decoder) primaryTerm(kv KV) error {
	t, err := decode[watchdog.PrimaryTerm](kv.Value)
	switch {
	case err != nil:
		return err
	case t.Term == 0 || t.Holder == "" || t.Incarnation == "":
		return errors.New("renewal lacks term, holder or incarnation")
	}
	d.cluster.PrimaryTerm = &t
	return nil
}

func (d *decoder) policy(kv KV) error {
	if err := checkObject(kv.Value); err != nil {
		return err
	}
	p, err := watchdog.DecodePolicy(kv.Value)
	if err == nil {
		d.cluster.Policy = &p
	}
	return err
}

// campaign reads a campaign key. Keys come in the order of their creation, so the first good one is the leader's.
func (d *decoder) campaign(rest string, kv KV) error {
	name, err := plainName(kv.Value)
	if err != nil {
		return err
	}
	if kv.Lease == 0 || rest != strconv.FormatUint(uint64(kv.Lease), 16) {
		return fmt.Errorf("campaign key of %q does not hang on the lease that it is named for", name)
	}
	if d.cluster.LeaderKey == "" {
		d.cluster.Leader, d.cluster.LeaderKey, d.cluster.LeaderCreateRev = name, kv.Key, kv.Create
	}
	if _, known := d.cluster.Campaigns[name]; !known {
		d.cluster.Campaigns[name] = kv.Key
	}
	return nil
}

func (d *decoder) member(rest string, kv KV) error {
	m, err := decode[watchdog.Member](kv.Value)
	switch {
	case err != nil:
		return err
	case m.Name == "" || m.Name != rest:
		return fmt.Errorf("member %q under another's key", m.Name)
	case m.Incarnation == "":
		return fmt.Errorf("member %q has no incarnation", m.Name)
	case kv.Lease == 0:
		return fmt.Errorf("member %q hangs on no lease and would never go away", m.Name)
	}
	d.cluster.Members[m.Name] = watchdog.Registered{Member: m, CreateRev: kv.Create, ModRev: kv.Mod}
	return nil
}

func (d *decoder) ballot(rest string, kv KV) error {
	digits, name, _ := strings.Cut(rest, "/")
	term, ok := number(digits)
	if !ok {
		return errors.New("ballot's key has no term in it")
	}
	b, err := decode[watchdog.Ballot](kv.Value)
	switch {
	case err != nil:
		return err
	case b.Member == "" || b.Member != name:
		return fmt.Errorf("ballot of %q under another's key", b.Member)
	case b.Term != watchdog.Term(term) || term == 0:
		return fmt.Errorf("ballot for term %d under the key of term %d", b.Term, term)
	case b.Incarnation == "":
		return fmt.Errorf("ballot of %q has no incarnation", b.Member)
	}
	if d.ballots[b.Term] == nil {
		d.ballots[b.Term] = map[string]watchdog.Cast{}
	}
	d.ballots[b.Term][name] = watchdog.Cast{Ballot: b, ModRev: kv.Mod}
	return nil
}

func (d *decoder) ledger(rest string, kv KV) error {
	term, ok := number(rest)
	if !ok {
		return errors.New("ledger's key has no term in it")
	}
	e, err := decode[watchdog.LedgerEntry](kv.Value)
	switch {
	case err != nil:
		return err
	case e.Term != watchdog.Term(term) || term == 0:
		return fmt.Errorf("ledger entry of term %d under the key of term %d", e.Term, term)
	case e.Timeline == 0 || e.Owner == "":
		return fmt.Errorf("ledger entry of term %d lacks timeline or owner", e.Term)
	}
	d.cluster.Ledger = append(d.cluster.Ledger, e)
	return nil
}

// DecodeEvent reads an event.
func DecodeEvent(value []byte) (watchdog.Event, error) { return decode[watchdog.Event](value) }

func decode[T any](value []byte) (T, error) {
	var v, zero T
	if err := checkObject(value); err != nil {
		return zero, err
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return zero, fmt.Errorf("decode: %w", err)
	}
	return v, nil
}

// checkObject refuses what is too large or no JSON object, before anything parses it.
func checkObject(value []byte) error {
	if err := checkSize(value); err != nil {
		return err
	}
	if !bytes.HasPrefix(bytes.TrimLeft(value, " \t\r\n"), []byte("{")) {
		return errors.New("no JSON object")
	}
	return nil
}

func checkSize(value []byte) error {
	if len(value) > MaxValue {
		return fmt.Errorf("value of %d bytes is too large: %d at most", len(value), MaxValue)
	}
	return nil
}

func plainName(value []byte) (string, error) {
	if err := checkSize(value); err != nil {
		return "", err
	}
	return string(value), checkName("member", string(value))
}
