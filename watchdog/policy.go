package watchdog

import (
	"encoding/json"
	"fmt"
	"time"
)

// Duration is a time.Duration that is written as text ("3.9s") in YAML, JSON and the environment.
type Duration time.Duration

// MarshalText writes Go's notation.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads Go's notation.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("parse duration %q: give a number with a unit, such as 5s or 250ms", text)
	}
	*d = Duration(parsed)
	return nil
}

// D is the duration as the standard library has it.
func (d Duration) D() time.Duration { return time.Duration(d) }

// Policy is what all members of a cluster share. The names in comments are those of DESIGN.md §4.
type Policy struct {
	TTL             Duration `json:"ttl" yaml:"ttl"`                           // T: a term's trust
	FenceDeadline   Duration `json:"fence_deadline" yaml:"fence_deadline"`     // D: from the send of the last acknowledged renewal
	FenceTime       Duration `json:"fence_time" yaml:"fence_time"`             // F: the worst time until no backend is alive
	Renewal         Duration `json:"renewal" yaml:"renewal"`                   // r
	RenewalDeadline Duration `json:"renewal_deadline" yaml:"renewal_deadline"` // d
	MissedRenewals  int      `json:"missed_renewals" yaml:"missed_renewals"`   // m: failed renewals that cost nothing
	ClockError      float64  `json:"clock_error" yaml:"clock_error"`           // ρ: as a fraction

	Heartbeat Duration `json:"heartbeat" yaml:"heartbeat"`   // between sidecars
	Detection Duration `json:"detection" yaml:"detection"`   // heartbeats may fail for this long before a member is suspected
	HangAfter Duration `json:"hang_after" yaml:"hang_after"` // a server that answers nothing for this long hangs

	Durability   Mode      `json:"durability" yaml:"durability"`       // async or quorum
	K            int       `json:"k" yaml:"k"`                         // quorum: so many standbys have a commit on disk before it is acknowledged
	WhenShort    ShortRule `json:"when_short" yaml:"when_short"`       // quorum: what happens when fewer than k standbys are left
	DegradeAfter Duration  `json:"degrade_after" yaml:"degrade_after"` // when_short degrade: after so long
	Failsafe     bool      `json:"failsafe" yaml:"failsafe"`           // a primary that has lost etcd may go on as long as the others let it

	LagLimit     int64    `json:"lag_limit" yaml:"lag_limit"`           // bytes that an automatic election in async may lose
	LagLimitWait Duration `json:"lag_limit_wait" yaml:"lag_limit_wait"` // 0: no end, wait for the old primary or a person
	BallotWait   Duration `json:"ballot_wait" yaml:"ballot_wait"`       // for reachable members that have not given a ballot
	TailWait     Duration `json:"tail_wait" yaml:"tail_wait"`           // availability does not wait longer for a slow tail
	PromoteWait  Duration `json:"promote_wait" yaml:"promote_wait"`     // a winner without progress for this long gives the term up
	Clone        bool     `json:"clone" yaml:"clone"`                   // a member that cannot rewind may be cloned anew
	PreferSite   string   `json:"prefer_site" yaml:"prefer_site"`       // at equal WAL: the old primary's site, none, or the one of that name
}

// ShortRule says what a primary does that has fewer than k standbys left.
type ShortRule string

// The rules.
const (
	ShortBlock   ShortRule = "block"   // commits wait until there are k again
	ShortDegrade ShortRule = "degrade" // to async, by the record first
)

// Values of prefer_site that are no site's name.
const (
	SiteOfPrimary = "primary" // the site of the primary that is followed upon
	SiteNone      = "none"
)

// wantsSite says whether a member of that site is preferred, the old primary having been at the other.
func (p Policy) wantsSite(site, primarys string) bool {
	switch p.PreferSite {
	case SiteNone:
		return false
	case SiteOfPrimary:
		return site != "" && site == primarys
	default:
		return site != "" && site == p.PreferSite
	}
}

// Presets are the policies that have a name.
var presets = map[string]Policy{
	"default": {
		TTL: s(5), FenceDeadline: s(3.9), FenceTime: s(0.9), Renewal: s(1), RenewalDeadline: s(0.9), MissedRenewals: 2,
		ClockError: 0.01, Heartbeat: s(0.25), Detection: s(1.5), HangAfter: s(2.5),
		LagLimit: 1 << 20, BallotWait: s(2), TailWait: s(3), PromoteWait: s(10), Clone: true,
		Durability: ModeAsync, K: 1, WhenShort: ShortBlock, DegradeAfter: s(10), Failsafe: true, PreferSite: SiteOfPrimary,
	},
	"tight": {
		TTL: s(2), FenceDeadline: s(1.4), FenceTime: s(0.5), Renewal: s(0.4), RenewalDeadline: s(0.4), MissedRenewals: 1,
		ClockError: 0.01, Heartbeat: s(0.15), Detection: s(0.6), HangAfter: s(1.2),
		LagLimit: 1 << 20, BallotWait: s(1), TailWait: s(2), PromoteWait: s(5), Clone: true,
		Durability: ModeAsync, K: 1, WhenShort: ShortBlock, DegradeAfter: s(10), Failsafe: true, PreferSite: SiteOfPrimary,
	},
}

func s(seconds float64) Duration { return Duration(seconds * float64(time.Second)) }

// DefaultPolicy is the policy of a cluster whose users chose nothing.
func DefaultPolicy() Policy { return presets["default"] }

// Preset returns the policy of that name, "default" or "tight".
func Preset(name string) (Policy, bool) {
	p, ok := presets[name]
	return p, ok
}

// DecodePolicy reads a policy; fields that are absent have their defaults.
func DecodePolicy(data []byte) (Policy, error) {
	p := DefaultPolicy()
	if err := json.Unmarshal(data, &p); err != nil {
		return Policy{}, fmt.Errorf("decode policy: %w", err)
	}
	return p, p.Validate()
}

// Validate returns one sentence for the first rule that the policy breaks: the inequalities of DESIGN.md §4, without
// which either two servers could accept writes at once or a lost renewal would cost a failover.
func (p Policy) Validate() error {
	for _, positive := range []struct {
		name  string
		value Duration
	}{
		{"ttl", p.TTL}, {"fence_deadline", p.FenceDeadline}, {"fence_time", p.FenceTime}, {"renewal", p.Renewal},
		{"renewal_deadline", p.RenewalDeadline}, {"heartbeat", p.Heartbeat}, {"detection", p.Detection},
		{"hang_after", p.HangAfter}, {"ballot_wait", p.BallotWait}, {"tail_wait", p.TailWait}, {"promote_wait", p.PromoteWait},
		{"degrade_after", p.DegradeAfter},
	} {
		if positive.value <= 0 {
			return fmt.Errorf("policy %s is %s: it must be more than 0", positive.name, positive.value.D())
		}
	}
	switch {
	case p.TTL.D() < 2*time.Second || p.TTL.D()%time.Second != 0:
		return fmt.Errorf("policy ttl is %s: etcd's leases last whole seconds, 2s at the least", p.TTL.D())
	case p.ClockError < 0 || p.ClockError > 0.2:
		return fmt.Errorf("policy clock_error is %g: give the fraction by which clocks may run apart, 0 to 0.2", p.ClockError)
	case p.MissedRenewals < 0:
		return fmt.Errorf("policy missed_renewals is %d: it must be 0 or more", p.MissedRenewals)
	case p.Durability != ModeAsync && p.Durability != ModeQuorum:
		return fmt.Errorf("policy durability is %q: give async or quorum", p.Durability)
	case p.K < 1:
		return fmt.Errorf("policy k is %d: at least one standby must have a commit; for none give durability async", p.K)
	case p.WhenShort != ShortBlock && p.WhenShort != ShortDegrade:
		return fmt.Errorf("policy when_short is %q: give block or degrade", p.WhenShort)
	case p.PreferSite == "":
		return fmt.Errorf("policy prefer_site is empty: give primary, none, or a site's name")
	case p.LagLimit < 0:
		return fmt.Errorf("policy lag_limit is %d: give bytes, 0 or more", p.LagLimit)
	case float64(p.FenceDeadline+p.FenceTime)*(1+p.ClockError) > float64(p.TTL)*(1-p.ClockError):
		return fmt.Errorf("policy would let two primaries live at once: fence_deadline %s + fence_time %s, stretched by "+
			"clock_error %g, end after the ttl %s: raise ttl or lower the others",
			p.FenceDeadline.D(), p.FenceTime.D(), p.ClockError, p.TTL.D())
	case p.Renewal*Duration(p.MissedRenewals+1)+p.RenewalDeadline > p.FenceDeadline:
		return fmt.Errorf("policy would fence after fewer than missed_renewals %d: renewal %s × %d + renewal_deadline %s end "+
			"after fence_deadline %s: renew more often or lower missed_renewals",
			p.MissedRenewals, p.Renewal.D(), p.MissedRenewals+1, p.RenewalDeadline.D(), p.FenceDeadline.D())
	}
	return nil
}
