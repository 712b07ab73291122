package simulation

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// store is etcd as a whole: linearizable, with revisions, leases and watches. It carries changes out as election/keys plans
// them. Maps are never changed once they stand in a read: reads share them.
type store struct {
	w       *world
	c       watchdog.Cluster
	ballots map[watchdog.Term]map[string]watchdog.Cast
	owner   map[string]int64 // leased key → lease
	leases  map[int64]*lease
	granted int64
	read    *watchdog.Cluster // of the present revision; nil when there is none yet
	down    bool              // no quorum
	parked  []func()          // requests that wait for the quorum to come back
}

type lease struct {
	id      int64
	ttl     time.Duration
	expires int64
	gone    bool
}

func newStore(w *world) *store {
	s := &store{w: w, ballots: map[watchdog.Term]map[string]watchdog.Cast{}, owner: map[string]int64{}, leases: map[int64]*lease{}}
	s.c = watchdog.Cluster{StoreID: "etcd", Revision: 1, Members: map[string]watchdog.Registered{}, Campaigns: map[string]string{}}
	return s
}

// snapshot is one consistent read.
func (s *store) snapshot() *watchdog.Cluster {
	if s.read == nil {
		c := s.c
		if r := c.Record; r != nil {
			c.Ballots, c.Advance = s.ballots[r.Term], s.ballots[r.Term+1]
		}
		s.read = &c
	}
	return s.read
}

// holds judges every compare of the change, and the ones that election/keys adds.
func (s *store) holds(c *watchdog.Change, seen int64) bool {
	f := &c.If
	is := func(want *int64, rev int64) bool { return want == nil || *want == rev }
	if !is(f.RecordRev, s.c.RecordRev) || !is(f.PrimaryTermRev, s.c.PrimaryTermRev) || !is(f.PrimaryRev, s.c.PrimaryCreateRev) || !is(f.PolicyRev, s.c.PolicyRev) {
		return false
	}
	if f.LeaderKey != "" && (s.c.LeaderKey != f.LeaderKey || s.c.LeaderCreateRev != f.LeaderRev) {
		return false
	}
	for name, rev := range f.MemberRevs {
		if s.c.Members[name].CreateRev != rev {
			return false
		}
	}
	for name, rev := range f.BallotRevs {
		if s.ballots[f.BallotTerm][name].ModRev != rev {
			return false
		}
	}
	if c.Member != nil && s.c.Members[c.Member.Name].ModRev > seen {
		return false
	}
	if b := c.Ballot; b != nil && !s.w.planted(ballotUncompared) {
		if _, compared := f.BallotRevs[b.Member]; !compared && s.ballots[b.Term][b.Member].ModRev > seen {
			return false
		}
	}
	return true
}

// apply makes the change or none of it, under the writer's lease.
func (s *store) apply(c *watchdog.Change, writer int64, seen int64) (rev int64, made bool) {
	if c.Member != nil || c.Campaign != "" || c.TakePrimary != "" {
		if l := s.leases[writer]; l == nil || l.gone {
			return 0, false
		}
	}
	if !s.holds(c, seen) {
		return 0, false
	}
	before := s.c.Record
	s.c.Revision++
	rev = s.c.Revision
	s.documents(c, rev)
	s.ownKeys(c, writer, rev)
	s.deletes(c, writer)
	s.read = nil
	if c.Record != nil {
		s.w.check.recordChanged(before, c)
	}
	if c.Record != nil || c.PrimaryTerm == nil {
		s.wakeWatches()
	}
	return rev, true
}

func (s *store) documents(c *watchdog.Change, rev int64) {
	if c.Record != nil {
		s.c.Record, s.c.RecordRev = c.Record, rev
	}
	if c.PrimaryTerm != nil {
		s.c.PrimaryTerm, s.c.PrimaryTermRev = c.PrimaryTerm, rev
	}
	if c.Policy != nil {
		s.c.Policy, s.c.PolicyRev = c.Policy, rev
	}
	if c.Ledger != nil {
		ledger := slices.DeleteFunc(slices.Clone(s.c.Ledger), func(e watchdog.LedgerEntry) bool { return e.Term == c.Ledger.Term })
		s.c.Ledger = append(ledger, *c.Ledger)
		slices.SortFunc(s.c.Ledger, func(a, b watchdog.LedgerEntry) int { return int(a.Term) - int(b.Term) })
	}
	if b := c.Ballot; b != nil {
		of := maps.Clone(s.ballots[b.Term])
		if of == nil {
			of = map[string]watchdog.Cast{}
		}
		of[b.Member] = watchdog.Cast{Ballot: *b, ModRev: rev}
		s.ballots[b.Term] = of
	}
}

func (s *store) ownKeys(c *watchdog.Change, writer, rev int64) {
	if c.TakePrimary != "" {
		if s.c.PrimaryCreateRev == 0 {
			s.c.PrimaryCreateRev = rev
		}
		s.c.Primary = c.TakePrimary
		s.owner["primary"] = writer
	}
	if m := c.Member; m != nil {
		members := maps.Clone(s.c.Members)
		create := members[m.Name].CreateRev
		if create == 0 {
			create = rev
		}
		members[m.Name] = watchdog.Registered{Member: *m, CreateRev: create, ModRev: rev}
		s.c.Members = members
		s.owner["members/"+m.Name] = writer
	}
	if c.Campaign != "" {
		if _, there := s.owner[campaignKey(writer, c.Campaign)]; !there {
			s.owner[campaignKey(writer, c.Campaign)] = writer
			campaigns := maps.Clone(s.c.Campaigns)
			campaigns[c.Campaign] = campaignKey(writer, c.Campaign)
			s.c.Campaigns = campaigns
			s.w.campaigns = append(s.w.campaigns, campaigner{c.Campaign, campaignKey(writer, c.Campaign), rev})
			s.elect()
		}
	}
}

func (s *store) deletes(c *watchdog.Change, writer int64) {
	if c.DropPrimary {
		s.drop("primary")
	}
	if c.Resign {
		for _, k := range s.w.campaigns {
			if s.owner[k.key] == writer {
				s.drop(k.key)
				break
			}
		}
	}
	if c.WithdrawnBy != "" {
		s.drop("members/" + c.WithdrawnBy)
	}
	if c.ClearBallots {
		s.ballots = map[watchdog.Term]map[string]watchdog.Cast{}
	}
	if c.DropBallotsOf != 0 {
		delete(s.ballots, c.DropBallotsOf)
	}
}

// campaigner is a campaign key, in order of creation: the first is the leader.
type campaigner struct {
	name, key string
	rev       int64
}

func campaignKey(lease int64, name string) string { return fmt.Sprintf("leader/%x/%s", lease, name) }

// drop deletes one leased key.
func (s *store) drop(key string) {
	delete(s.owner, key)
	switch {
	case key == "primary":
		s.c.Primary, s.c.PrimaryCreateRev = "", 0
	case len(key) > 8 && key[:8] == "members/":
		members := maps.Clone(s.c.Members)
		delete(members, key[8:])
		s.c.Members = members
	default:
		s.w.campaigns = slices.DeleteFunc(s.w.campaigns, func(k campaigner) bool { return k.key == key })
		campaigns := map[string]string{}
		for _, k := range s.w.campaigns {
			campaigns[k.name] = k.key
		}
		s.c.Campaigns = campaigns
		s.elect()
	}
	s.read = nil
}

func (s *store) elect() {
	s.c.Leader, s.c.LeaderKey, s.c.LeaderCreateRev = "", "", 0
	if len(s.w.campaigns) > 0 {
		first := s.w.campaigns[0]
		s.c.Leader, s.c.LeaderKey, s.c.LeaderCreateRev = first.name, first.key, first.rev
	}
}

// grant makes a lease; its end is a hint and no more.
func (s *store) grant(ttl time.Duration) int64 {
	s.granted++
	l := &lease{id: s.granted, ttl: ttl, expires: s.w.now + int64(ttl)}
	s.leases[l.id] = l
	s.w.after(ttl, func() { s.expire(l) })
	return l.id
}

// keep renews a lease. False: it is gone.
func (s *store) keep(id int64) bool {
	l := s.leases[id]
	if l == nil || l.gone {
		return false
	}
	l.expires = s.w.now + int64(l.ttl)
	return true
}

func (s *store) expire(l *lease) {
	switch left := l.expires - s.w.now; {
	case l.gone:
	case s.down:
		s.w.after(time.Second, func() { s.expire(l) })
	case left > 0:
		s.w.after(time.Duration(left), func() { s.expire(l) })
	default:
		s.revoke(l)
	}
}

// revoke ends a lease, and every key under it.
func (s *store) revoke(l *lease) {
	l.gone = true
	var under []string
	for key, id := range s.owner {
		if id == l.id {
			under = append(under, key)
		}
	}
	slices.Sort(under)
	if len(under) == 0 {
		return
	}
	s.c.Revision++
	for _, key := range under {
		s.drop(key)
	}
	s.w.trace("etcd", "lease %d ended: %v", l.id, under)
	s.wakeWatches()
}

// back ends an outage: a new leader of etcd gives every lease its whole time again, and what waited is carried out.
func (s *store) back() {
	s.down = false
	for id := int64(1); id <= s.granted; id++ {
		if l := s.leases[id]; !l.gone {
			l.expires = s.w.now + int64(l.ttl)
		}
	}
	parked := s.parked
	s.parked = nil
	for _, request := range parked {
		request()
	}
}
