package watchdog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Request is what an operator asks of the cluster: the same whether it is asked through etcd or through a member's API. One of
// its parts is set.
type Request struct {
	By        string         `json:"by"` // who asks, for people
	Operation *Operation     `json:"operation,omitempty"`
	Policy    *PolicyRequest `json:"policy,omitempty"`
	Pause     *PauseRequest  `json:"pause,omitempty"`
	Resume    bool           `json:"resume,omitempty"`
	Withdraw  string         `json:"withdraw,omitempty"` // the scheduled operation of that id
	Drill     *DrillReport   `json:"drill,omitempty"`    // is filed in the history
}

// PauseRequest pauses the cluster.
type PauseRequest struct {
	Pause
	Replace bool `json:"replace,omitempty"` // the pause that there is
}

// PolicyRequest changes keys of the policy. The others stay as they are.
type PolicyRequest struct {
	Set      json.RawMessage `json:"set"`      // an object of keys and values
	Revision int64           `json:"revision"` // of the policy that it was judged on
}

// ErrPolicyChanged: somebody else has changed the policy since it was read.
var ErrPolicyChanged = errors.New("the policy was changed by another since it was read, and nothing was written: look at it again")

// ErrNotPaused: there is no pause to end.
var ErrNotPaused = errors.New("the cluster is not paused")

func plainID(id string) bool {
	return id != "" && len(id) <= 40 && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// Change is the change by which the cluster is asked. It refuses, with an error for people, what may not be asked, or not now.
func (r Request) Change(c Cluster) (Change, error) {
	switch {
	case r.By == "" || len(r.By) > 200 || strings.ContainsFunc(r.By, func(c rune) bool { return c < ' ' }):
		return Change{}, fmt.Errorf("say who asks, in one line")
	case r.parts() != 1:
		return Change{}, errors.New("nothing is asked for that this version of pgvigil knows, or more than one thing")
	case r.Operation != nil:
		if !plainID(r.Operation.ID) || r.Operation.Kind == "" {
			return Change{}, fmt.Errorf("operation %q of kind %q: give an id of letters and digits, and a kind", r.Operation.ID, r.Operation.Kind)
		}
		o := *r.Operation
		o.By = r.By
		return AskChange(c, o)
	case r.Policy != nil:
		return r.Policy.change(c)
	case r.Pause != nil:
		p := r.Pause.Pause
		p.By = r.By
		return AskPause(c, p, r.Pause.Replace)
	case r.Drill != nil:
		return r.Drill.change(c, r.By)
	case r.Withdraw != "":
		return AskWithdraw(c, r.Withdraw, r.By)
	default:
		change, paused := AskResume(c, r.By)
		if !paused {
			return Change{}, ErrNotPaused
		}
		return change, nil
	}
}

func (r Request) parts() (n int) {
	for _, set := range []bool{r.Operation != nil, r.Policy != nil, r.Pause != nil, r.Resume, r.Withdraw != "", r.Drill != nil} {
		if set {
			n++
		}
	}
	return n
}

func (p PolicyRequest) change(c Cluster) (Change, error) {
	if c.Record == nil || c.Policy == nil {
		return Change{}, fmt.Errorf("the policy or the record cannot be read: %s", c.GarbageList())
	}
	if p.Revision != c.PolicyRev {
		return Change{}, ErrPolicyChanged
	}
	next := *c.Policy
	decoder := json.NewDecoder(bytes.NewReader(p.Set))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&next); err != nil {
		return Change{}, fmt.Errorf("decode policy: %w", err)
	}
	return PolicyChange(c, next)
}
