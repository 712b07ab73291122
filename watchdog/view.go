package watchdog

import "time"

// View is everything that a decision may depend on.
type View struct {
	Now     Instant
	Wall    time.Time // this machine's wall clock, by which nothing is judged but the end of a pause whose beginning we did not see, and when a scheduled operation begins
	Me      Identity
	Policy  Policy
	Server  Server   // the PostgreSQL beside us
	Trust   Trust    // ours, if we hold a term
	Cluster *Cluster // the last linearizable read; nil before the first
	ReadAt  Instant  // when that read was sent
	ReadGap bool     // a read has failed since the last decision: silence cannot be counted across it
	Abstain Instant  // until then we take no part in any election: we told the primary so while etcd was lost
	Peers   map[string]Peer
	Flight  Flight // the operation under way, if any
	Memory  Memory // our own, from the decision before
}

// Identity is who we are, and what we have promised on our own disk.
type Identity struct {
	Name        string
	Incarnation string
	Address     string // of our PostgreSQL, host:port
	API         string
	Priority    int
	Site        string
	NoFailover  bool
	NoSync      bool
	Follow      string // the member whose server ours is to follow; empty: as found when it joined, else the primary
	Replication string // conninfo words that a standby connects with
	GuardReady  bool   // a guard watches this server
	Registered  bool   // our member key is ours, under a live lease
	CampaignKey string // our own leader key, if we campaign

	Admitted Admission
}

// Admission is what the member's own disk says of the cluster that it belongs to. The zero value: admitted to none, and
// nothing of PostgreSQL's may be touched.
type Admission struct {
	SystemID string `json:"system_id"`
	StoreID  string `json:"store_id"` // etcd's cluster id
	Term     Term   `json:"term"`     // the highest seen, with its Seq: a store that is behind is refused (F19)
	Seq      uint64 `json:"seq"`
	Promised Term   `json:"promised"` // we never follow a primary of a lower term
	Advance  Term   `json:"advance"`  // as Promised, in advance of that term's opening: until the ballot is withdrawn
	Held     Term   `json:"held"`     // the last term that we took

	Follow string `json:"follow,omitempty"` // the standby that ours was found to follow when it joined
}

// Trust is the time for which our server may accept writes under a term of ours.
type Trust struct {
	Term     Term    // 0: we hold none
	From     Instant // the earlier send of the last renewal acknowledged
	Until    Instant // taken back from a guard that was armed with this; 0: renewed by this process
	Rev      int64   // mod revision of primary.term as that renewal left it
	Failsafe bool    // won from the other members and not from etcd, which is lost
	Lost     bool    // a renewal found that another has written primary.term: our term is over
}

// Peer is what heartbeats have shown of another member.
type Peer struct {
	Member
	HeardAt    Instant // last answer
	AnsweredAt Instant // last answer or refusal: the host lives
	ServerAt   Instant // last time that its PostgreSQL answered us; asked only while its sidecar is silent
	KnockedAt  Instant // when we last knocked at its PostgreSQL in vain
	StreamedAt Instant // last time that our server saw it stream, under this term's name
}

// Flight is an operation that the sidecar carries out beside its loop.
type Flight struct {
	Kind   ActionKind // empty: none
	Term   Term       // on which it was judged
	Since  Instant
	Done   ActionKind // the last operation's kind, when it succeeded, and when
	DoneAt Instant
	Said   string // what the last operation that succeeded has to tell, for people
	// Failed is the last operation's kind, when it failed, with the time and how often in a row: so that a retry waits, and
	// the next rung of the ladder is tried. The rest says why, where that matters.
	Failed      ActionKind
	FailedAt    Instant
	Failures    int
	Diverged    bool // the server's history leaves the upstream's before its own end
	NotPossible bool // this server or configuration cannot do it
	WALGone     bool // the upstream no longer has the WAL that the server needs next
}

// Memory is since when we have seen things. Decide returns it anew; nobody else writes it.
type Memory struct {
	Term  Term    // to which the rest belongs, with Phase
	Phase Phase   //
	Since Instant // we have seen this term and phase

	RenewalRev  int64   // mod revision of primary.term
	SilentSince Instant // no other revision was read since, and every read succeeded
	LastRead    Instant // the last read that counted

	NotStreamingSince Instant // our standby has had an upstream and has not streamed
	ClosedSince       Instant // our server has been starting and has accepted no sessions
	ProddedAt         Instant // the receiver was last prodded
	GuardlessSince    Instant // we hold a term and no guard watches our server
	TermSince         Instant // we have seen this term
	ShortSince        Instant // fewer standbys than k could be voters
	Asked             string  // the operator's operation that stands in the record
	AskedSince        Instant // … since
	Chored            bool    // … and what it asks of our own server has been done; it may not stream yet

	PauseSeq  uint64  // which pause PauseEnds belongs to
	PauseEnds Instant // 0: it has no end
	Followed  Term    // our standby has streamed from the primary of this term

	UpstreamIll  Instant // the standby that ours is to follow has not streamed, the term being settled
	UpstreamWell Instant // … has streamed on the record's timeline
	Shunned      Instant // … was well, and could not be streamed from
	Cascades     bool    // ours streamed from a standby when it last did

	StartTried Instant // our server was last started: one that dies at once is not started again at once

	Diverged bool // our server's history leaves the primary's: the ladder's next rung is a rewind
	WALGone  bool // the primary no longer has the WAL that our server needs next: the next rung is a clone (F60)
	NoRewind bool // … which is not possible here: the rung after it is a clone
}
