package watchdog

import "time"

// Phase says how far the right to be primary has changed hands.
type Phase string

// The phases of a record.
const (
	PhaseNormal    Phase = "normal"    // the primary holds the term and its server is writable
	PhaseElecting  Phase = "electing"  // nobody may be primary; ballots are awaited
	PhasePromoting Phase = "promoting" // a winner or heir is named and on its way
)

// Mode says when a commit is acknowledged.
type Mode string

// The durability modes of DESIGN.md §5.
const (
	ModeAsync  Mode = "async"
	ModeQuorum Mode = "quorum"
)

// Durability is when a commit is acknowledged and, from it, what an election needs.
type Durability struct {
	Mode   Mode     `json:"mode"`
	K      int      `json:"k,omitempty"`
	Voters []string `json:"voters,omitempty"`
}

// Record is the one document that says which term it is and who may be primary. Every change of it compares its mod
// revision. It is handled as a value; With methods return the next one.
type Record struct {
	Cluster    string      `json:"cluster"`
	SystemID   string      `json:"system_id"`
	Term       Term        `json:"term"`
	Seq        uint64      `json:"seq"` // grows with every change
	Phase      Phase       `json:"phase"`
	Primary    string      `json:"primary,omitempty"` // normal: who holds the term; promoting: who is named; electing: nobody
	Taken      bool        `json:"taken"`             // the one named has taken the term
	LastTaker  Holder      `json:"last_taker"`        // the last server that took a term; its fenced ballot stands for a quorum
	Timeline   Timeline    `json:"timeline"`          // of the last settled primary
	Fork       LSN         `json:"fork,omitempty"`    // where that timeline begins
	Members    []string    `json:"members"`           // those that the primary has confirmed
	Durability Durability  `json:"durability"`
	Next       *Durability `json:"next_durability,omitempty"` // from the naming until the term is settled
	Tail       *Tail       `json:"tail,omitempty"`            // what the one named lacks, and where it lies
	Operation  *Operation  `json:"operation,omitempty"`       // what an operator has asked for, under way
	Scheduled  *Operation  `json:"scheduled,omitempty"`       // what an operator has asked for, for later; a change of terms leaves it to the new primary to drop
	Pools      *Pools      `json:"pools,omitempty"`           // connection pools are paused for an operation, or not known to be resumed
	Paused     *Pause      `json:"paused,omitempty"`          // an operator has paused the cluster
	PassedOver string      `json:"passed_over,omitempty"`     // the winner of the term before, which made no progress
	Reason     Reason      `json:"reason"`
	Since      time.Time   `json:"since"` // by the writer's wall clock: for people, never for a decision

	Extra Extra `json:"-"` // fields of a later version, kept when rewriting
}

// Holder is a server that took a term.
type Holder struct {
	Name        string `json:"name,omitempty"`
	Incarnation string `json:"incarnation,omitempty"`
	Term        Term   `json:"term,omitempty"`
	Site        string `json:"site,omitempty"`
	NoSync      bool   `json:"no_sync,omitempty"` // it is to be no voter when it is a standby again
	// What its log had to reach when it took the term: the end of the tail that it was named with, zero if its own was the best.
	// Until it is there it has not seen all that was acknowledged before.
	ReachTimeline Timeline `json:"reach_timeline,omitempty"`
	Reach         LSN      `json:"reach,omitempty"`
	ReachFrom     string   `json:"reach_from,omitempty"` // on whose disk that WAL lies
}

// Tail is WAL that the one named may lack: that of Timeline, on the member From, up to End.
type Tail struct {
	From     string   `json:"from"`
	API      string   `json:"api"`   // base URL of that member's sidecar
	Token    string   `json:"token"` // what the sidecar asks for before it serves WAL
	Timeline Timeline `json:"timeline"`
	Start    LSN      `json:"start,omitempty"` // no byte before it is missing from what the named one had said it has
	End      LSN      `json:"end"`             // Exact: of the last record; else of the last page with a valid header
	Exact    bool     `json:"exact"`
	Whole    bool     `json:"whole"` // From is the last taker of a term, fenced, and End is its own: nothing acknowledged lies beyond
}

// Confirmed says whether the primary has confirmed the member.
func (r Record) Confirmed(name string) bool {
	for _, m := range r.Members {
		if m == name {
			return true
		}
	}
	return false
}

// PrimaryTerm is the primary's renewal: written by each, and compared by the next.
type PrimaryTerm struct {
	Term        Term   `json:"term"`
	Holder      string `json:"holder"`
	Incarnation string `json:"incarnation"`
	Counter     uint64 `json:"counter"`
	Flushed     LSN    `json:"flushed"`
	NextXID     uint64 `json:"next_xid,omitempty"` // the server's, at or after Flushed
	Surrendered bool   `json:"surrendered,omitempty"`
}

// Ballot is a standby's durable promise for a term and, after it has hung up, its exact position.
type Ballot struct {
	Term        Term     `json:"term"`
	Member      string   `json:"member"`
	Incarnation string   `json:"incarnation"`
	Timeline    Timeline `json:"timeline"` // of the WAL at its end, from the segment's page header
	End         LSN      `json:"end"`
	Exact       bool     `json:"exact"`              // false: the position is unknown and counts towards no quorum
	Fenced      bool     `json:"fenced,omitempty"`   // given by the last taker after its verified fence
	NextXID     uint64   `json:"next_xid,omitempty"` // the server's, at or before End
	Vetoes      []Veto   `json:"vetoes,omitempty"`
	Archive     bool     `json:"archive,omitempty"`   // 13 and below: an archive is still read after hanging up
	Withdrawn   bool     `json:"withdrawn,omitempty"` // given in advance and taken back: it stands for nothing
	Token       string   `json:"token"`               // what its sidecar asks for before it serves WAL to the winner
	Priority    int      `json:"priority,omitempty"`
	Site        string   `json:"site,omitempty"`
	Cascade     bool     `json:"cascade,omitempty"` // it streamed from another standby
	API         string   `json:"api"`
}

// LedgerEntry says which timeline a term's winner creates. It is written before that timeline exists, so that each number
// has one owner (F24). Timelines older than the first entry belong to term 1.
type LedgerEntry struct {
	Term        Term     `json:"term"`
	Timeline    Timeline `json:"timeline"`
	Owner       string   `json:"owner"`
	Incarnation string   `json:"incarnation"`
	Parent      Timeline `json:"parent,omitempty"` // of the winner's WAL when it took the term
	Least       LSN      `json:"least,omitempty"`  // the winner's log and the last settled timeline's are the same up to here
	Fork        LSN      `json:"fork,omitempty"`   // filled in when the term is settled
}

// Event is what happened, for history, alerts and explain. It is written in the same transaction as what it tells of.
type Event struct {
	Term    Term              `json:"term"`
	Seq     uint64            `json:"seq"`
	Time    time.Time         `json:"time"` // by the writer's wall clock
	Member  string            `json:"member"`
	Kind    EventKind         `json:"kind"`
	Reason  Reason            `json:"reason"`
	Message string            `json:"message"`
	Facts   map[string]string `json:"facts,omitempty"`
	// Candidates are the inputs of a choice: every member weighed, with its position and vetoes, best first.
	Candidates []Candidate `json:"candidates,omitempty"`
	// Loss is what a promotion may have left behind. The facts tell it to people.
	Loss *Loss `json:"loss,omitempty"`
	// TimingsMS says how long each step took, in milliseconds.
	TimingsMS map[string]float64 `json:"timings_ms,omitempty"`
}

// EventKind is what sort of thing an event tells of.
type EventKind string

// The kinds of events.
const (
	EventAdopted     EventKind = "adopted"     // the record was created beside a running primary
	EventRestored    EventKind = "restored"    // the primary wrote a lost record again
	EventMembers     EventKind = "members"     // the primary confirmed another list of members
	EventHandOver    EventKind = "hand-over"   // the old primary's sidecar named the heir
	EventSurrender   EventKind = "surrender"   // a holder gave its term up and named nobody
	EventElection    EventKind = "election"    // an election was opened
	EventNamed       EventKind = "named"       // an election named its winner
	EventTaken       EventKind = "taken"       // the one named took the term
	EventPromoted    EventKind = "promoted"    // the term is settled: the new primary accepts writes
	EventDurability  EventKind = "durability"  // what a commit waits for has changed
	EventOperation   EventKind = "operation"   // an operator asked for something, or it ended
	EventPaused      EventKind = "paused"      // an operator paused the cluster
	EventResumed     EventKind = "resumed"     // the pause ended, by hand or because its time was over
	EventPolicy      EventKind = "policy"      // the policy that all members share was changed
	EventRejoined    EventKind = "rejoined"    // a former primary or stray standby streams again
	EventPossible    EventKind = "lost-range"  // WAL that was or may be lost, as a range
	EventProblem     EventKind = "problem"     // something needs a person
	EventUndelivered EventKind = "undelivered" // an alert never reached a receiver
	EventFinding     EventKind = "finding"     // what would make a failover or a rejoin fail was found, or mended
	EventDrill       EventKind = "drill"       // what a rehearsal came to
	EventPools       EventKind = "pools"       // connection pools are paused or resumed around an operation
)

// EventKinds lists them.
func EventKinds() []EventKind {
	return []EventKind{
		EventAdopted, EventRestored, EventMembers, EventHandOver, EventSurrender, EventElection, EventNamed, EventTaken, EventPromoted,
		EventDurability, EventOperation, EventPools, EventDrill, EventPaused, EventResumed, EventPolicy, EventRejoined, EventPossible, EventProblem, EventUndelivered, EventFinding,
	}
}
