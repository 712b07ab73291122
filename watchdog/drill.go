package watchdog

import (
	"errors"
	"fmt"
	"maps"
	"strings"
)

// A drill kills the postmaster of the primary, as a crash would, while somebody looks. It is an operation like any other, carried
// out by the primary's own sidecar; what follows is no part of it, and is what is rehearsed.

// askKill refuses, with an error for people, to kill a primary that nobody could follow, or while nobody would.
func askKill(c Cluster, o Operation) error {
	r := c.Record
	others := 0
	for name := range c.Members {
		if name != r.Primary && r.Confirmed(name) {
			others++
		}
	}
	switch {
	case o.From == "" || o.To != "" || o.DryRun:
		return errors.New("a drill names the primary that is to be killed, and nobody else, and means it")
	case r.Paused != nil:
		return errors.New("the cluster is paused: resume it first")
	case r.Next != nil:
		return fmt.Errorf("term %d is not settled yet: wait until it is", r.Term)
	case others == 0:
		return fmt.Errorf("%s has no standby whose sidecar is there", r.Primary)
	}
	return nil
}

// kill goes on with a drill, our server being the primary.
func (v View) kill(o Operation, m Memory) Decision {
	f := v.Flight
	heir := ChooseHeir(v).Winner
	switch {
	case f.Failed == ActKill && f.FailedAt >= m.AskedSince:
		return v.end(ReasonOperationFailed, fmt.Sprintf("the postmaster of %s was not killed: %s", v.Me.Name, v.Server.Problem))
	case f.Done == ActKill && f.DoneAt >= m.AskedSince:
		return v.wait(ReasonDrill, "the postmaster was killed; its exit is about to be noticed")
	case v.Cluster.Record.Paused != nil:
		return v.end(ReasonOperationFailed, "the cluster is paused: nothing was killed")
	case heir == "" && v.Now.Since(m.AskedSince) < v.Policy.Detection.D():
		return v.wait(ReasonDrill, "not yet: no standby is known to be able to take over")
	case heir == "":
		return v.end(ReasonOperationFailed, "no standby could take over: nothing was killed")
	}
	return v.do(ActKill, ReasonDrill, fmt.Sprintf("killing our postmaster, as %s asked; %s could take over", o.By, heir))
}

// DrillReport is what a drill came to, for the history.
type DrillReport struct {
	Message   string             `json:"message"` // in one line
	Lost      int                `json:"lost"`    // acknowledged writes
	Facts     map[string]string  `json:"facts,omitempty"`
	TimingsMS map[string]float64 `json:"timings_ms,omitempty"`
}

// most a report may hold: it is written to etcd.
const mostOfReport = 64

func (d DrillReport) change(c Cluster, by string) (Change, error) {
	switch {
	case c.Record == nil:
		return Change{}, fmt.Errorf("the cluster has no record that can be read: %s", c.GarbageList())
	case d.Message == "" || len(d.Message) > 500 || strings.ContainsFunc(d.Message, func(c rune) bool { return c < ' ' }):
		return Change{}, errors.New("say what the drill came to, in one line")
	case len(d.Facts) > mostOfReport || len(d.TimingsMS) > mostOfReport:
		return Change{}, fmt.Errorf("a report of a drill has at most %d facts and as many timings", mostOfReport)
	}
	change := TellChange(c, EventDrill, ReasonDrill, d.Message)
	change.Event.Facts, change.Event.TimingsMS = maps.Clone(d.Facts), maps.Clone(d.TimingsMS)
	if change.Event.Facts == nil {
		change.Event.Facts = map[string]string{}
	}
	change.Event.Facts["lost"], change.Event.Facts["by"] = fmt.Sprint(d.Lost), by
	return change, nil
}
