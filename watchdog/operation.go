package watchdog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Operation is what an operator has asked for. It stands in the record, so that there is one at a time, and ends with the term
// for which it was asked: a command that has outlived its term does nothing.
type Operation struct {
	ID     string        `json:"id"`
	Kind   OperationKind `json:"kind"`
	Term   Term          `json:"term"`
	From   string        `json:"from,omitempty"` // who is to be primary still when it is asked for
	To     string        `json:"to,omitempty"`   // who is to take over; empty: the best
	By     string        `json:"by"`             // who asked, for people
	Since  time.Time     `json:"since"`          // by the asker's wall clock, for people
	Bound  Duration      `json:"bound"`          // for the shutdown; past it the server is put back into service
	Ignore []string      `json:"ignore,omitempty"`
	DryRun bool          `json:"dry_run,omitempty"`
	At     time.Time     `json:"at,omitzero"` // not before this, by the wall clock of the primary's sidecar; zero: at once

	Member   string   `json:"member,omitempty"`   // whose server it is about, where that is not the primary's by its nature
	Deadline Duration `json:"deadline,omitempty"` // for all of it, from when the one that carries it out has read it; 0: none
	Pending  bool     `json:"pending,omitempty"`  // restart: only where a setting waits for it
	InPlace  bool     `json:"in_place,omitempty"` // restart of the primary: without handing over
}

// OperationKind names what is asked for.
type OperationKind string

// The kinds of operations.
const (
	OperationSwitchover OperationKind = "switchover"
	OperationFailover   OperationKind = "failover" // an election that rightly waits is decided by hand
	OperationRestart    OperationKind = "restart"  // of Member's server
	OperationReload     OperationKind = "reload"   // of Member's settings
	OperationKill       OperationKind = "kill"     // of the primary's postmaster, for a drill
	OperationReinit     OperationKind = "reinit"   // Member, a standby, is cloned anew
	OperationRemove     OperationKind = "remove"   // Member leaves the cluster, or is forgotten
)

// Obstacle is something that speaks against an operation, and that the operator may choose to ignore by its name.
type Obstacle struct {
	Name string
	What string // what it is and what it would cost
}

// switchLag is how far behind the heir of a switchover may be when it begins, in bytes: what is shipped during the shutdown.
const switchLag = 16 << 20

// AskChange puts the operation into the record. It refuses, with an error for people, where there is another or the cluster is
// not at rest.
func AskChange(c Cluster, o Operation) (Change, error) {
	r := c.Record
	if r == nil {
		return Change{}, fmt.Errorf("the cluster has no record that can be read: %s", c.GarbageList())
	}
	if err := askSchedule(*r, o); err != nil {
		return Change{}, err
	}
	switch {
	case r.Operation != nil:
		return Change{}, fmt.Errorf("%s %s, asked for by %s at %s, is under way", r.Operation.Kind, r.Operation.ID, r.Operation.By, r.Operation.Since.Format(time.TimeOnly))
	case o.Kind == OperationFailover && r.Phase != PhaseElecting:
		return Change{}, fmt.Errorf("no election is open: term %d is %s, and %s is primary; planned work is a switchover, and a primary that is dead is noticed by itself", r.Term, r.Phase, r.Primary)
	case o.Kind == OperationFailover && o.To == "":
		return Change{}, fmt.Errorf("name who is to win")
	case o.Kind == OperationFailover:
		ballot, given := c.Ballots[o.To]
		switch {
		case !given:
			return Change{}, fmt.Errorf("%s has given no ballot: its server and sidecar must run, and reach etcd", o.To)
		case slices.Contains(ballot.Vetoes, VetoNoFailover) && !o.ignores(VetoNoFailover):
			return Change{}, fmt.Errorf("%s is tagged no_failover: if it is to win all the same, --ignore %s", o.To, VetoNoFailover)
		}
		return asked(c, o), nil
	case r.Phase != PhaseNormal || r.Primary == "":
		return Change{}, fmt.Errorf("nobody is primary just now: term %d is %s (%s)", r.Term, r.Phase, r.Reason)
	case o.Member != "":
		if err := askChore(c, o); err != nil {
			return Change{}, err
		}
		return asked(c, o), nil
	case o.From != "" && o.From != r.Primary:
		return Change{}, fmt.Errorf("%s is not the primary, %s is since term %d", o.From, r.Primary, r.Term)
	case o.To == r.Primary:
		return Change{}, fmt.Errorf("%s is the primary already", o.To)
	case o.To != "" && !r.Confirmed(o.To):
		return Change{}, fmt.Errorf("%s is no member: there are %s", o.To, strings.Join(r.Members, ", "))
	}
	if _, alive := c.Members[r.Primary]; !alive {
		return Change{}, fmt.Errorf("the sidecar of the primary %s is not there to carry it out", r.Primary)
	}
	if o.Kind == OperationKill {
		if err := askKill(c, o); err != nil {
			return Change{}, err
		}
	}
	return asked(c, o), nil
}

func asked(c Cluster, o Operation) Change {
	next := c.Record.next(c.Record.Reason)
	o.Term = c.Record.Term
	message := fmt.Sprintf("%s asked for a %s", o.By, o.Kind)
	switch {
	case o.DryRun:
		message = fmt.Sprintf("%s asked what a %s would come to", o.By, o.Kind)
	case o.Kind == OperationKill:
		message = fmt.Sprintf("%s asked for a drill that kills the postmaster of %s", o.By, o.From)
	}
	if o.To != "" {
		message += " to " + o.To
	}
	if o.Member != "" {
		message += " of " + o.Member
	}
	if o.At.IsZero() {
		next.Operation = &o
	} else {
		next.Scheduled = &o
		message += ", at " + o.At.Format(schedulingTime)
	}
	e := event(next, EventOperation, message)
	e.Reason, e.Facts = ReasonAsked, map[string]string{"operation": o.ID}
	return Change{If: If{RecordRev: rev(c.RecordRev)}, Record: &next, Event: e}
}

// byHand is the choice of an operator who accepts what it costs: the ballot that was named, whatever the election waits for.
// Who could not be promoted at all is not chosen, and what a living member has on the same history is fetched first.
func (v View) byHand(o Operation, counted Choice) Choice {
	i := slices.IndexFunc(counted.Ranked, func(c Candidate) bool { return c.Name == o.To })
	if i < 0 {
		counted.Winner, counted.Lacks = "", o.To+" has given no ballot"
		return counted
	}
	if counted.Winner == o.To {
		return counted
	}
	chosen := counted.Ranked[i]
	chosen.Vetoes = slices.DeleteFunc(slices.Clone(chosen.Vetoes), func(veto Veto) bool {
		return slices.Contains(acceptable, veto) || o.ignores(veto)
	})
	counted.Winner, counted.Tail, counted.Why = "", nil, ReasonNoCandidate
	if len(chosen.Vetoes) > 0 {
		counted.Lacks = fmt.Sprintf("%s cannot win: %s", o.To, tellVetoes(chosen.Vetoes))
		return counted
	}
	counted.Winner, counted.Best, counted.Why = chosen.Name, chosen, ReasonByHand
	for _, better := range exactOf(counted.Ranked) {
		if _, alive := v.Cluster.Members[better.Name]; alive && better.Owner == chosen.Owner && byPosition(chosen, better) < 0 {
			counted.Best, counted.Tail = better, v.tailOf(v.Cluster.Ballots[better.Name], chosen, false)
			break
		}
	}
	return counted
}

// acceptable are the vetoes that an operator overrules by deciding: what is lost by it is accepted.
var acceptable = []Veto{VetoPassedOver, VetoTooFarBehind, VetoPositionless}

// ignores: the operator named the member in spite of its tag.
func (o Operation) ignores(veto Veto) bool {
	return veto == VetoNoFailover && o.To != "" && slices.Contains(o.Ignore, string(veto))
}

// endChange takes the operation out of the record again.
func endChange(v View, why Reason, message string) Change {
	o := *v.Cluster.Record.Operation
	next := v.Cluster.Record.next(v.Cluster.Record.Reason)
	next.Operation = nil
	e := event(next, EventOperation, message)
	e.Reason, e.Facts = why, map[string]string{"operation": o.ID}
	return Change{If: If{RecordRev: rev(v.Cluster.RecordRev)}, Record: &next, Event: e}
}

// operate goes on with the operation that the record holds, our server being the primary.
func (v View) operate(o Operation, m Memory) (Decision, bool) {
	f := v.Flight
	end := func(why Reason, message string) (Decision, bool) { return v.end(why, message), true }
	switch {
	case o.Term != v.Cluster.Record.Term:
		return end(ReasonOverruled, "it was asked for in another term")
	case !v.Trust.Live(v.Policy, v.Now) || v.Trust.Failsafe:
		return Decision{}, false // etcd is not there to hand over by
	case o.Member == v.Me.Name && (o.Kind == OperationRestart || o.Kind == OperationReload):
		return v.chorePrimary(o, m), true
	case o.Kind == OperationRemove:
		return v.removal(o, m)
	case o.Member != "" && o.Member != v.Me.Name:
		return Decision{}, false // its own sidecar carries it out
	case o.Kind == OperationKill:
		return v.kill(o, m), true
	case o.Kind != OperationSwitchover:
		return end(ReasonUnknownOperation, fmt.Sprintf("this version of pgvigil knows no operation %q", o.Kind))
	case f.Failed == ActSwitchOver && f.FailedAt >= m.AskedSince:
		return end(ReasonOperationFailed, fmt.Sprintf("%s stays the primary: %s", v.Me.Name, v.Server.Problem))
	}
	heir, choice, why := v.switchHeir(o)
	switch {
	case why != "" && v.Now.Since(m.AskedSince) < v.Policy.Detection.D():
		return v.wait(ReasonSwitchover, "not yet: "+why), true // it may only not have been heard of
	case why != "":
		return end(ReasonOperationFailed, fmt.Sprintf("%s stays the primary: %s", v.Me.Name, why))
	case o.DryRun && f.Done == ActSwitchOver && f.DoneAt >= m.AskedSince:
		return end(ReasonDryRun, fmt.Sprintf("%s would hand over to %s, %d bytes behind", v.Me.Name, heir.Name, heir.End.Behind(v.Server.Received)))
	}
	d := v.do(ActSwitchOver, ReasonSwitchover, fmt.Sprintf("handing over to %s, as %s asked", heir.Name, o.By))
	d.Actions[0].Heir, d.Actions[0].Candidates = heir.Name, choice.Ranked
	return d, true
}

// switchHeir is the one to hand over to, or why there is none.
func (v View) switchHeir(o Operation) (heir Candidate, choice Choice, why string) {
	choice = ChooseHeir(v)
	name := o.To
	if name == "" {
		name = cmp.Or(v.shippedTo(choice.Ranked), choice.Winner)
	}
	i := slices.IndexFunc(choice.Ranked, func(c Candidate) bool { return c.Name == name })
	if i < 0 {
		if o.To != "" {
			return heir, choice, fmt.Sprintf("the sidecar of %s is not there", o.To)
		}
		return heir, choice, "no standby could take over: " + tellCandidates(choice.Ranked)
	}
	heir = choice.Ranked[i]
	heir.Vetoes = slices.DeleteFunc(slices.Clone(heir.Vetoes), o.ignores)
	switch lag := heir.End.Behind(v.Server.Received); {
	case slices.Equal(heir.Vetoes, []Veto{VetoNoFailover}):
		why = fmt.Sprintf("%s is tagged no_failover (name it with --to and --ignore %s)", name, VetoNoFailover)
	case len(heir.Vetoes) > 0:
		why = fmt.Sprintf("%s could not take over: %s", name, tellVetoes(heir.Vetoes))
	case !v.followsUs(name):
		why = fmt.Sprintf("%s does not stream from us", name)
	case lag > switchLag:
		why = fmt.Sprintf("%s is %d bytes behind, more than %d: wait until it has caught up", name, lag, switchLag)
	}
	return heir, choice, why
}

// shippedTo is the best of those that our shutdown ships the last WAL to: they will all hold the same.
func (v View) shippedTo(ranked []Candidate) string {
	level := slices.DeleteFunc(slices.Clone(ranked), func(c Candidate) bool {
		return len(c.Vetoes) > 0 || !v.followsUs(c.Name) || c.End.Behind(v.Server.Received) > switchLag
	})
	for i := range level {
		level[i].End = v.Server.Received
	}
	rank(level)
	if len(level) == 0 {
		return ""
	}
	return level[0].Name
}

// followsUs goes by the member's own word: an adopted standby may stream under any name.
func (v View) followsUs(name string) bool {
	peer := v.Peers[name]
	return peer.Streaming && peer.Upstream == v.Me.Address
}

func tellCandidates(ranked []Candidate) string {
	var parts []string
	for _, c := range ranked {
		parts = append(parts, fmt.Sprintf("%s (%s)", c.Name, tellVetoes(c.Vetoes)))
	}
	if len(parts) == 0 {
		return "there is none"
	}
	return strings.Join(parts, "; ")
}

func tellVetoes(vetoes []Veto) string {
	words := make([]string, len(vetoes))
	for i, v := range vetoes {
		words[i] = string(v)
	}
	return strings.Join(words, ", ")
}
