package watchdog

// Decision is what is to be done now, in order, and why.
type Decision struct {
	Actions []Action
	Reason  Reason
	Detail  string // the facts behind the reason, for people
	Renew   Term   // the term whose trust is to be renewed; 0: none, and any trust is void
	Memory  Memory
}

// ActionKind names an action.
type ActionKind string

// The actions. Those that change a role are at most one in a decision, and last.
const (
	// ActApply makes Change in etcd.
	ActApply ActionKind = "apply"
	// ActRefuse ends the sidecar with an error, PostgreSQL left as it is.
	ActRefuse ActionKind = "refuse"
	// ActAdmit writes Admission to the member's own disk.
	ActAdmit ActionKind = "admit"
	// ActLatch lays standby.signal beside the running primary, so that whoever starts it gets a standby.
	ActLatch ActionKind = "latch"
	// ActFence kills the server and verifies that no process of it is left.
	ActFence ActionKind = "fence"
	// ActHandOver surrenders our term, the server fenced, and names Heir if there is one.
	ActHandOver ActionKind = "hand-over"
	// ActSwitchOver looks whether a planned hand-over would go well, shuts the server down and hands over to Heir.
	ActSwitchOver ActionKind = "switch-over"
	// ActBallot promises the term, hangs up, and publishes the exact position.
	ActBallot ActionKind = "ballot"
	// ActWithdraw takes a ballot given in advance back, and lets the standby follow again.
	ActWithdraw ActionKind = "withdraw"
	// ActSynchronise makes the server enforce Sync, and finds a position after which every commit has waited for it.
	ActSynchronise ActionKind = "synchronise"
	// ActPromote takes the term, fetches the tail, promotes and settles; again from the start after a crash.
	ActPromote ActionKind = "promote"
	// ActRepoint rewrites primary_conninfo to Upstream, by reload or restart.
	ActRepoint ActionKind = "repoint"
	// ActProd wakes a receiver that does not come up: a reload, then a restart.
	ActProd ActionKind = "prod"
	// ActStart starts the server as a standby of Upstream, or detached.
	ActStart ActionKind = "start"
	// ActRewind keeps a divergence receipt and rewinds the stopped server to Upstream's history.
	ActRewind ActionKind = "rewind"
	// ActKill kills our own postmaster, as a crash would.
	ActKill ActionKind = "kill"
	// ActRestart stops a standby and starts it again, as the operation asks.
	ActRestart ActionKind = "restart"
	// ActReload has the server read its settings anew.
	ActReload ActionKind = "reload"
	// ActLeave notes on our own disk that we belong to no cluster any more, takes our keys away and ends the sidecar.
	ActLeave ActionKind = "leave"
	// ActClone copies Upstream beside and swaps.
	ActClone ActionKind = "clone"
)

// Changing says whether the action changes the server's role or right.
func (k ActionKind) Changing() bool {
	switch k {
	case ActApply, ActRefuse, ActAdmit, ActLatch:
		return false
	default:
		return true
	}
}

// Action is one thing to do, with the facts on which it was judged.
type Action struct {
	Kind       ActionKind
	Term       Term // the record's term when it was judged
	RecordRev  int64
	Change     *Change   // ActApply
	Admission  Admission // ActAdmit
	Upstream   Upstream  // ActRepoint, ActStart, ActProd, ActRewind, ActClone
	Heir       string    // ActHandOver; empty: nobody
	Candidates []Candidate
	Error      string // ActRefuse
	Crashed    bool   // ActFence: its postmaster is dead already, or it hangs: no gentle request first
	Restart    bool   // ActProd: by restart
	Ballot     Term   // ActBallot, ActWithdraw: the ballot's term
	Sync       Sync   // ActSynchronise
}

// Upstream is the server that a standby is to follow. The zero value: none, detached.
type Upstream struct {
	Name     string
	Address  string // host:port
	API      string
	Term     Term     // with which a standby's name is to be stamped; 0: not at all
	Timeline Timeline // its own, once settled
	Fork     LSN      // where that timeline begins
	Cascade  bool     // it is a standby itself
}
