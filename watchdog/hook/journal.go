package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// kept is what the member's own disk says of its hooks.
type kept struct {
	Running  *progress     `json:"running,omitempty"` // begun and not done
	Serving  watchdog.Term `json:"serving"`           // on_promote was begun for it, and on_demote was not
	Followed upstream      `json:"followed"`          // on_follow was begun for it
	Before   before        `json:"before_promote"`
}

// progress is an event whose first commands are done.
type progress struct {
	Event Event `json:"event"`
	Done  int   `json:"done"`
}

// before is how far before_promote has come for a term.
type before struct {
	Term watchdog.Term `json:"term"`
	Done int           `json:"done"`
	Veto string        `json:"veto,omitempty"` // why this member will not be promoted in that term
}

// journal is the file that holds it.
type journal struct {
	mu   sync.Mutex
	path string
	kept kept
}

func openJournal(path string) (*journal, error) {
	j := &journal{path: path}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &j.kept)
	}
	if err != nil {
		return nil, fmt.Errorf("read which hooks have been run, %s: %w: move it away to begin anew", path, err)
	}
	return j, nil
}

func (j *journal) read() kept {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.kept
}

// change makes a change durable before it returns.
func (j *journal) change(edit func(*kept)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	next := j.kept
	edit(&next)
	if err := sidecar.Save(j.path, next); err != nil {
		return err
	}
	j.kept = next
	return nil
}

// next is what is owed, given where the member stands: nothing where that is not known.
func (k kept) next(now standing, started bool) (kind Kind, term watchdog.Term) {
	switch {
	case !now.known:
		return "", 0
	case k.Serving != 0 && now.serving != k.Serving:
		return OnDemote, k.Serving
	case !started:
		return OnStart, 0
	case now.serving != 0 && k.Serving == 0:
		return OnPromote, now.serving
	case now.follows != upstream{} && now.follows != k.Followed:
		return OnFollow, now.follows.Term
	default:
		return "", 0
	}
}

// begin notes that the event is begun.
func (k *kept) begin(e Event) {
	k.Running = &progress{Event: e}
	switch e.Event {
	case OnPromote:
		k.Serving, k.Followed = e.Term, upstream{}
	case OnDemote:
		k.Serving = 0
	case OnFollow:
		k.Followed = upstream{e.Term, e.NewPrimary}
	}
}

// over says that the event is about a role that the member has no more. What ended a role is never over.
func (e Event) over(now standing) bool {
	switch e.Event {
	case OnPromote:
		return now.known && now.serving != e.Term
	case OnFollow:
		return now.serving != 0 || now.follows != upstream{} && now.follows != upstream{e.Term, e.NewPrimary}
	default:
		return false
	}
}
