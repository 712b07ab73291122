package watchdog

// Cluster is one consistent, linearizable read of everything that etcd holds of a cluster. A revision of 0 means that the
// key is absent.
type Cluster struct {
	StoreID  string // etcd's own cluster id
	Revision int64  // of the read

	Record    *Record
	RecordRev int64 // mod revision

	Primary          string // the `primary` key's value
	PrimaryCreateRev int64

	PrimaryTerm    *PrimaryTerm
	PrimaryTermRev int64 // mod revision

	Leader          string // name of the one that holds the leader key
	LeaderKey       string // that key, whole
	LeaderCreateRev int64
	Campaigns       map[string]string // campaigner's name → its key

	Members map[string]Registered
	Ballots map[string]Cast // of the record's term
	Advance map[string]Cast // of the next term, which nobody has opened yet
	Ledger  []LedgerEntry   // by term

	Policy    *Policy
	PolicyRev int64

	// Garbage names the keys whose value could not be read, with why. Nothing is decided on them and they are never
	// overwritten (F18). RecordRev and its like are set for them all the same.
	Garbage map[string]string
}

// Registered is a member's key.
type Registered struct {
	Member
	CreateRev int64
	ModRev    int64
}

// Cast is a ballot's key.
type Cast struct {
	Ballot
	ModRev int64
}

// Change is one transaction on the cluster's keys: what must still be so, and what is then written. It is judged and
// built on one Cluster and carries its revisions.
type Change struct {
	If If

	Record        *Record
	PrimaryTerm   *PrimaryTerm
	Ledger        *LedgerEntry
	Policy        *Policy
	TakePrimary   string  // put the `primary` key with this name, under the writer's lease
	DropPrimary   bool    // delete the `primary` key
	Ballot        *Ballot // put a ballot under its own term and name
	ClearBallots  bool    // delete all ballots
	Member        *Member // put the member's own key, under the writer's lease
	Campaign      string  // put a campaign key under the writer's lease with this name
	Resign        bool    // delete the writer's campaign key
	Event         *Event  // written at <Term>-<Seq>
	PruneEvents   int     // keep this many events (0: do not prune)
	WithdrawnBy   string  // delete this member's key, which is the writer's own
	DropBallotsOf Term    // delete the ballots of that term
}

// If says what must hold for a change to be made. A nil pointer is not compared; a pointer to 0 says that the key must be
// absent.
type If struct {
	RecordRev      *int64
	PrimaryTermRev *int64
	PrimaryRev     *int64           // create revision of the `primary` key
	LeaderKey      string           // the writer's campaign key, which must still be the leader's
	LeaderRev      int64            // its create revision
	MemberRevs     map[string]int64 // create revisions of members' keys; 0: must be absent
	BallotRevs     map[string]int64 // mod revisions of ballots of BallotTerm
	BallotTerm     Term             //
	PolicyRev      *int64           //
}
