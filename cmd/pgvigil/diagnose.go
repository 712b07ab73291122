package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/check"
)

// health is how a cluster is, in one word.
type health string

const (
	healthy  health = "ok"
	degraded health = "degraded" // writes go on, and something is amiss
	broken   health = "down"     // writes do not go on, or cannot be known to
)

// problem is one thing that is wrong, and what to do.
type problem struct {
	Health health `json:"health"`
	Member string `json:"member,omitempty"`
	What   string `json:"what"`
	Do     string `json:"do"`
}

func (p problem) String() string {
	if p.Do == "" { // the sidecar's own words say it
		return p.What
	}
	return p.What + ". To do: " + p.Do
}

// judge fills in what is wrong, the worst first, and the one line.
func (r *report) judge(c watchdog.Cluster) {
	r.Problems = append(r.Problems, clusterProblems(*r, c)...)
	for _, row := range r.Members {
		r.Problems = append(r.Problems, memberProblems(*r, row)...)
	}
	r.Problems = append(r.Problems, coverProblems(*r, c)...)
	r.Problems = append(r.Problems, alertProblems(*r)...)
	slices.SortStableFunc(r.Problems, func(a, b problem) int { return weight(b.Health) - weight(a.Health) })
	if len(r.Problems) == 0 {
		r.Health, r.Summary = healthy, "all is well, nothing to do"
		return
	}
	r.Health, r.Summary = r.Problems[0].Health, r.Problems[0].String()
}

func weight(h health) int {
	return map[health]int{healthy: 0, degraded: 1, broken: 2}[h]
}

// clusterProblems are those of the record and the roles.
func clusterProblems(r report, c watchdog.Cluster) (found []problem) {
	for _, key := range slices.Sorted(maps.Keys(c.Garbage)) {
		found = append(found, problem{broken, "", fmt.Sprintf("etcd's key %s cannot be read (%s), so nothing is decided on it", key, c.Garbage[key]),
			"find out who wrote it, and restore it with etcdctl"})
	}
	switch {
	case c.Record == nil && len(c.Garbage) > 0:
		return found
	case c.Record == nil:
		return append(found, problem{broken, "", "the cluster has no record yet", "run pgvigil beside the server that is the primary; standbys never create it"})
	case r.Phase == watchdog.PhaseElecting:
		found = append(found, openElection(r, c))
	case r.Phase == watchdog.PhasePromoting:
		found = append(found, problem{broken, r.Primary, fmt.Sprintf("%s is taking over in term %d%s", r.Primary, r.Term, says(r, r.Primary)),
			"wait a few seconds; if it lasts, see the log of its sidecar"})
	default:
		found = append(found, primaryProblems(r)...)
	}
	if r.Paused != nil {
		found = append(found, problem{degraded, "", "the cluster is paused: no failover and no rejoin happens by itself", "pgvigil resume when you are done"})
	}
	if r.Leader == "" {
		found = append(found, problem{degraded, "", "no sidecar leads, so a failover could not be decided",
			"wait a few seconds; if it lasts, see that the sidecars run and reach etcd"})
	}
	return found
}

func openElection(r report, c watchdog.Cluster) problem {
	var missing []string
	for _, member := range c.Record.Members {
		if _, given := c.Ballots[member]; !given {
			missing = append(missing, member)
		}
	}
	what := fmt.Sprintf("nobody is primary: the election of term %d is open (%s)", r.Term, r.Reason)
	if said := says(r, r.Leader); said != "" {
		what += said
	}
	if len(missing) > 0 {
		return problem{broken, "", what, "wait; if it lasts, start the servers and sidecars that have given no ballot: " + strings.Join(missing, ", ")}
	}
	return problem{broken, "", what, "wait; all ballots are in, and pgvigil history says why none of them could win"}
}

// says is what a live member's sidecar thinks, to add to a sentence.
func says(r report, name string) string {
	for _, row := range r.Members {
		if row.Name == name && row.decision.Detail != "" {
			return fmt.Sprintf(" (%s says: %s)", name, row.decision.Detail)
		}
	}
	return ""
}

func primaryProblems(r report) []problem {
	i := slices.IndexFunc(r.Members, func(row memberRow) bool { return row.Name == r.Primary })
	if i < 0 {
		return []problem{{broken, r.Primary, "the primary " + r.Primary + " is not among the members", "start its sidecar"}}
	}
	switch row := r.Members[i]; {
	case !row.Live && !row.Registered:
		return []problem{{broken, row.Name, "the sidecar of the primary " + row.Name + " is gone", "wait; if no other takes over, start it again"}}
	case row.Live && !row.Writable:
		what := fmt.Sprintf("the primary %s accepts no writes: its PostgreSQL is %s", row.Name, row.Role)
		if row.Role == watchdog.RolePrimary {
			what = "the primary " + row.Name + " accepts no writes under unexpired trust"
		}
		return []problem{{broken, row.Name, what + says(r, row.Name), "wait; if it lasts, see its sidecar's and PostgreSQL's logs"}}
	case row.Live && (row.decision.Reason == watchdog.ReasonBlocked || row.decision.Reason == watchdog.ReasonSettling):
		how := degraded
		if r.Durability.Mode == watchdog.ModeQuorum {
			how = broken // nothing is committed
		}
		return append(lowCommits(row), problem{how, row.Name, row.decision.Detail, ""})
	case row.Live && row.failsafe:
		return []problem{{degraded, row.Name, "etcd is lost, and the primary " + row.Name + " goes on because the other members let it", "bring etcd back: no failover is possible without it"}}
	case row.Live && row.guardless:
		return []problem{{degraded, row.Name, "no guard watches the primary " + row.Name, "see why in its sidecar's log; the primary hands over without one"}}
	default:
		return lowCommits(row)
	}
}

// lowCommits are settings by which commits wait for no standby.
func lowCommits(row memberRow) (found []problem) {
	for _, what := range row.lowCommits {
		found = append(found, problem{degraded, row.Name, "commits that quorum does not cover: " + what, "reset it, or accept that a failover may lose them"})
	}
	return found
}

// memberProblems are those of one member beside its being primary.
func memberProblems(r report, row memberRow) (found []problem) {
	add := func(what, do string) { found = append(found, problem{degraded, row.Name, what, do}) }
	if row.Problem != "" {
		add(row.Name+": "+row.Problem, "")
	}
	if f := worstFinding(row.Check); f != nil && f.Severity == check.Error {
		add(fmt.Sprintf("check on %s: %s", row.Name, f.What), f.Mend+"; pgvigil check tells all")
	}
	switch {
	case !row.Live && !row.Registered:
		if row.Name != r.Primary { // which has its own, graver sentence
			add("the sidecar of "+row.Name+" is gone", "start it; the member comes back by itself")
		}
		return found
	case !row.Live:
		add(fmt.Sprintf("the sidecar of %s has not answered at %s (%s); what is shown is what it last wrote to etcd", row.Name, row.API, row.Unanswered),
			"see that the address can be reached from here, and that the host is up")
		return found
	case row.Name == r.Primary || row.State == "witness":
		return found
	}
	switch {
	case row.Activity != "":
		add(row.Name+" is "+row.Activity, "wait; it comes back by itself")
	case row.Role == watchdog.RolePrimary && r.Term == 0: // no record says who may
	case row.Role == watchdog.RolePrimary:
		add(row.Name+" runs as a primary without the right to", "wait; its sidecar fences it")
	case row.Role != watchdog.RoleStandby:
		add(fmt.Sprintf("PostgreSQL on %s is %s%s", row.Name, row.Role, says(r, row.Name)), "wait; if it lasts, see its log")
	case row.State == "replay paused":
		add("replay is paused on "+row.Name, "SELECT pg_wal_replay_resume() there when you are done; a failover resumes it")
	case row.State != "streaming" && r.Phase == watchdog.PhaseNormal:
		add(fmt.Sprintf("%s does not stream from the primary%s", row.Name, says(r, row.Name)), "wait; if it lasts, see its PostgreSQL's log")
	}
	if !row.Confirmed && r.Phase == watchdog.PhaseNormal && len(found) == 0 {
		add(row.Name+" is not yet confirmed by the primary", "wait; if it lasts, see the primary's sidecar's log")
	}
	return found
}

// coverProblems say when nobody could take over.
func coverProblems(r report, c watchdog.Cluster) []problem {
	if c.Record == nil || r.Phase != watchdog.PhaseNormal {
		return nil
	}
	var barred, standbys []string
	for _, row := range r.Members {
		if row.Name == r.Primary || row.State == "witness" {
			continue
		}
		standbys = append(standbys, row.Name)
		switch {
		case len(row.Vetoes) > 0:
			barred = append(barred, fmt.Sprintf("%s (%s)", row.Name, strings.Join(vetoWords(row.Vetoes), ", ")))
		case !row.Registered:
			barred = append(barred, row.Name+" (sidecar gone)")
		}
	}
	switch {
	case len(standbys) == 0:
		return []problem{{degraded, "", "there is no standby, so nobody could take over", "add a standby with its sidecar"}}
	case len(barred) == len(standbys):
		return []problem{{degraded, "", "nobody could take over: " + strings.Join(barred, "; "), "mend at least one of them"}}
	}
	return nil
}
