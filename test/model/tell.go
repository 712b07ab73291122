package model

import (
	"fmt"
	"strings"
)

// kind is what a step does.
type kind uint8

const (
	writes kind = iota
	acknowledges
	streams
	stops
	starts
	follows
	rewinds
	promises
	hangsUp
	ballots
	guesses
	withdraws
	strays
	opens
	names
	overrules
	takes
	fetches
	promotes
	settles
	enforces
	handsOver
	surrenders
	sets
	reloads
	records
	forgets
	reads
)

// sentences has %[1]s for the member; %[2]s for the other one, or %[3]d or %[4]s where b is a number or a write.
var sentences = map[kind]string{
	writes:       "%[1]s writes %[4]s",
	acknowledges: "%[1]s acknowledges %[4]s to the client",
	streams:      "%[1]s receives an entry from %[2]s",
	stops:        "%[1]s's server is gone, and known to be",
	starts:       "%[1]s's server starts as a standby, detached",
	follows:      "%[1]s follows %[2]s",
	rewinds:      "%[1]s is rewound to follow %[2]s",
	promises:     "%[1]s promises term %[3]d and empties its conninfo",
	hangsUp:      "%[1]s's receiver is gone",
	ballots:      "%[1]s hangs up and gives its ballot of term %[3]d",
	guesses:      "%[1]s gives a ballot of term %[3]d with a position too low",
	withdraws:    "%[1]s takes its ballot back",
	strays:       "%[1]s streams from %[2]s again",
	opens:        "the leader opens an election",
	names:        "the leader names %[1]s",
	overrules:    "the leader opens the next term and names %[1]s",
	takes:        "%[1]s takes the term and sets the next names",
	fetches:      "%[1]s fetches what it lacks from %[2]s",
	promotes:     "%[1]s is promoted in term %[3]d",
	settles:      "%[1]s says that it is writable",
	enforces:     "%[1]s puts the next voters in force",
	handsOver:    "%[1]s hands over to %[2]s",
	surrenders:   "%[1]s gives the term up",
	sets:         "%[1]s's server is set to another quorum",
	reloads:      "%[1]s's last backend has read the setting",
	forgets:      "%[1]s's sidecar restarts",
	reads:        "the leader reads the ballot of %[1]s",
	records:      "%[1]s writes another quorum to the record",
}

func (w *world) tellStep(s step) string {
	format := sentences[s.kind]
	if !strings.Contains(format, "%") {
		return format
	}
	return fmt.Sprintf(format, memberName(int(s.a)), memberName(int(s.b)), s.b, string(rune('a'+s.b-1)))
}

func memberName(i int) string { return fmt.Sprintf("node%d", i+1) }

func (w *world) tell(s *state) string {
	var out strings.Builder
	fmt.Fprintf(&out, "term %d %s", s.term, phases[s.phase])
	if s.primary != 0 {
		fmt.Fprintf(&out, " %s", w.core.name(s.primary))
		if s.taken != 0 {
			out.WriteString(" took it")
		}
	}
	fmt.Fprintf(&out, ", %s", w.core.tellQuorum(s.dur))
	if s.next != 0 {
		fmt.Fprintf(&out, " then %s", w.core.tellQuorum(s.next))
	}
	for i := range w.Servers {
		m := &s.m[i]
		fmt.Fprintf(&out, "\n        node%d %s [%s]", i+1, []string{"gone", "standby", "primary"}[m.role], w.forest.tell(m.wal))
		add := func(when bool, format string, args ...any) {
			if when {
				fmt.Fprintf(&out, format, args...)
			}
		}
		add(m.up != 0, " from %s:%d", w.core.name(m.up), m.stamp)
		add(m.hold != 0, " holds %d, waits for %s, knows of %v", m.hold, w.core.tellQuorum(m.sync), m.flushed[:w.Servers])
		add(m.old != 0, " or still for %s", w.core.tellQuorum(m.old))
		add(m.promised != 0, " promised %d", m.promised)
		add(m.bterm != 0, " ballot of %d [%s]", m.bterm, w.forest.tell(m.bwal))
		add(m.bterm != 0 && m.ballot&exact == 0, " unknown")
		add(m.ballot&fenced != 0, " fenced")
	}
	return out.String()
}
