package watchdog

import (
	"fmt"
	"time"
)

// Pause stands in the record while an operator has paused the cluster: see the package's comment for what it stops.
type Pause struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`          // by the asker's wall clock, for people
	For    Duration  `json:"for,omitempty"`  // 0: until it is resumed by hand
	Until  time.Time `json:"until,omitzero"` // Since + For
	Seq    uint64    `json:"seq"`            // the record's, when it was asked for: which pause it is
	Term   Term      `json:"term"`           // the last term that was at rest then
}

// String is the pause as people are told of it at the time given.
func (p Pause) String(now time.Time) string {
	text := "until it is resumed"
	if p.For != 0 {
		text = "for another " + max(0, p.Until.Sub(now)).Round(time.Second).String()
	}
	text = "paused " + text + " by " + p.By
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

// AskPause pauses the cluster. It refuses, with an error for people, where it is paused, unless the new pause is to replace
// that one.
func AskPause(c Cluster, p Pause, replace bool) (Change, error) {
	r := c.Record
	switch {
	case r == nil:
		return Change{}, fmt.Errorf("the cluster has no record that can be read: %s", c.GarbageList())
	case r.Paused != nil && !replace:
		return Change{}, fmt.Errorf("it is %s already", r.Paused.String(p.Since))
	}
	next := r.next(r.Reason)
	p.Seq, p.Term = next.Seq, r.Term
	if r.Phase != PhaseNormal || r.Next != nil {
		p.Term--
	}
	if p.For != 0 {
		p.Until = p.Since.Add(p.For.D())
	}
	next.Paused = &p
	e := event(next, EventPaused, p.String(p.Since))
	e.Reason = ReasonAsked
	return Change{If: If{RecordRev: rev(c.RecordRev)}, Record: &next, Event: e}, nil
}

// AskResume ends the pause by hand; false: there is none.
func AskResume(c Cluster, by string) (Change, bool) {
	if c.Record == nil || c.Record.Paused == nil {
		return Change{}, false
	}
	return resumeChange(c, ReasonAsked, "resumed by "+by), true
}

func resumeChange(c Cluster, why Reason, message string) Change {
	next := c.Record.next(c.Record.Reason)
	next.Paused = nil
	e := event(next, EventResumed, message)
	e.Reason = why
	return Change{If: If{RecordRev: rev(c.RecordRev)}, Record: &next, Event: e}
}

// pauseEnds is when a pause that we have just seen is over. One whose beginning we saw lasts as long as it was asked for, on
// our own clock. One that we found, having started or been cut off from etcd meanwhile, lasts until the asker's wall clock
// says so, by ours, and never longer than it was asked for.
func (v View) pauseEnds(p Pause, seen bool) Instant {
	if p.For == 0 {
		return 0
	}
	left := p.For.D()
	if !seen {
		left = min(left, max(0, p.Until.Sub(v.Wall)))
	}
	return v.Now.Add(left)
}

// pauseOver says that the pause's time is over.
func (m Memory) pauseOver(v View) bool {
	return v.Cluster.Record.Paused != nil && m.PauseEnds != 0 && v.Now >= m.PauseEnds
}

// endPause is the leader's, whose clock alone counts.
func (v View) endPause() Decision {
	p := v.Cluster.Record.Paused
	message := fmt.Sprintf("the pause that %s asked for is over after %s: failover and rejoin happen by themselves again", p.By, p.For.D())
	return Decision{Reason: ReasonPauseOver, Detail: message, Actions: []Action{v.apply(v.asLeader(resumeChange(*v.Cluster, ReasonPauseOver, message)))}}
}

// still says that the cluster is paused and no term is to be opened: the present one is at rest, and nobody has asked for a
// hand-over by hand.
func (v View) still() bool {
	r := v.Cluster.Record
	return r.Paused != nil && r.Phase == PhaseNormal && v.askedToHandOver() == nil
}

// askedToHandOver is the switchover that an operator wants in this term, or what comes to one: the restart of the primary, and a
// drill that kills it.
func (v View) askedToHandOver() *Operation {
	r := v.Cluster.Record
	o := r.Operation
	switch {
	case o == nil || o.Term != r.Term || o.DryRun:
		return nil
	case o.Kind == OperationSwitchover, o.Kind == OperationKill, o.Kind == OperationRestart && o.Member == r.Primary:
		return o
	}
	return nil
}

// standStill: the cluster is paused, and the server of the one that holds the term is down, or came up as a standby. Neither
// is changed; no trust is renewed for a server that is gone.
func (v View) standStill() Decision {
	what := "the server is a standby now"
	switch {
	case v.Server.Restarting:
		what = "PostgreSQL restarts itself after a backend's crash, and comes up as a standby"
	case v.Server.PID == 0:
		what = "the server is down"
	}
	if o := v.Cluster.Record.Operation; o != nil && (o.Member == "" || o.Member == v.Me.Name) {
		message := fmt.Sprintf("%s, and the cluster is paused", what)
		return v.end(ReasonOperationFailed, message)
	}
	return v.wait(ReasonPaused, what+"; the cluster is paused, and the hand-over waits until it is resumed")
}

// leftAlone says that the cluster is paused and our standby is left as it is. A term that began since is followed first: who
// set it in motion by hand wants it to come to its end.
func (v View) leftAlone(m Memory) bool {
	r := v.Cluster.Record
	return r.Paused != nil && r.Phase == PhaseNormal && r.Next == nil && (r.Term <= r.Paused.Term || m.Followed == r.Term)
}

// restPaused is what a follower says that is left alone.
func (v View) restPaused() Decision {
	if v.Server.Streaming {
		return v.wait(ReasonFollowing, "")
	}
	return v.wait(ReasonPaused, "the cluster is paused: the server is left as it is")
}
