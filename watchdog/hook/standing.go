package hook

import (
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// standing is the member's part in the cluster at one moment.
type standing struct {
	known   bool          // that it serves, or that it does not; what is on its way there is not
	serving watchdog.Term // the term under which it is primary; 0: it is not
	follows upstream      // whom its server streams from; zero: nobody
}

// upstream is the primary of a term.
type upstream struct {
	Term    watchdog.Term `json:"term"`
	Primary string        `json:"primary"`
}

func standingOf(s sidecar.Snapshot) standing {
	server := s.View.Server
	switch {
	case s.Writable:
		return standing{known: true, serving: s.View.Trust.Term}
	case server.Role == watchdog.RoleDown && server.Gone:
		return standing{known: true}
	case server.Role == watchdog.RoleStandby:
		return standing{known: true, follows: followed(s)}
	default:
		return standing{}
	}
}

func followed(s sidecar.Snapshot) upstream {
	c := s.View.Cluster
	if c == nil || c.Record == nil || c.Record.Phase != watchdog.PhaseNormal || !s.View.Server.Streaming {
		return upstream{}
	}
	if p, known := c.Members[c.Record.Primary]; !known || p.Address != s.View.Server.Upstream {
		return upstream{}
	}
	return upstream{c.Record.Term, c.Record.Primary}
}

// eventOf fills in what a snapshot tells of an occasion.
func eventOf(kind Kind, term watchdog.Term, s sidecar.Snapshot) Event {
	server, me := s.View.Server, s.View.Me.Name
	e := Event{Event: kind, Member: me, Role: server.Role, Term: term, Timeline: server.Timeline, LSN: server.Received}
	if server.Role == watchdog.RoleStandby {
		e.LSN = max(e.LSN, server.Replayed)
	}
	c := s.View.Cluster
	if c == nil || c.Record == nil {
		return e
	}
	e.Reason = c.Record.Reason
	if kind == OnDemote {
		e.OldPrimary = me
		if c.Record.Term > term {
			if kind == OnStart {
				e.Term = c.Record.Term
			}
			e.NewPrimary = c.Record.Primary
		}
		return e
	}
	e.NewPrimary = c.Record.Primary
	e.OldPrimary = primaryBefore(c, e.Term)
	return e
}

// primaryBefore is who held the last term that was taken before this one, by the ledger.
func primaryBefore(c *watchdog.Cluster, term watchdog.Term) (owner string) {
	var last watchdog.Term
	for _, entry := range c.Ledger {
		if entry.Term < term && entry.Term >= last {
			last, owner = entry.Term, entry.Owner
		}
	}
	return owner
}
