package hook

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Kind names an occasion.
type Kind string

// The occasions: see the package's documentation.
const (
	OnStart       Kind = "on_start"
	BeforePromote Kind = "before_promote"
	OnPromote     Kind = "on_promote"
	OnDemote      Kind = "on_demote"
	OnFollow      Kind = "on_follow"
)

// Kinds are all of them.
var Kinds = []Kind{OnStart, BeforePromote, OnPromote, OnDemote, OnFollow}

// Config is the commands of each occasion, in order.
type Config struct {
	OnStart       []Command `yaml:"on_start"`
	BeforePromote []Command `yaml:"before_promote"`
	OnPromote     []Command `yaml:"on_promote"`
	OnDemote      []Command `yaml:"on_demote"`
	OnFollow      []Command `yaml:"on_follow"`
}

// Command is one command.
type Command struct {
	Command  []string          `yaml:"command"`  // the program's path and its arguments; there is no shell
	Timeout  watchdog.Duration `yaml:"timeout"`  // default: 30 s, for before_promote 1 s
	Required bool              `yaml:"required"` // before_promote: its failure is this member's veto
}

const (
	defaultTimeout = 30 * time.Second
	beforeTimeout  = time.Second
	longestTimeout = time.Hour
)

// Of returns the commands of an occasion.
func (c Config) Of(kind Kind) []Command {
	switch kind {
	case OnStart:
		return c.OnStart
	case BeforePromote:
		return c.BeforePromote
	case OnPromote:
		return c.OnPromote
	case OnDemote:
		return c.OnDemote
	default:
		return c.OnFollow
	}
}

// Any says whether there is any command.
func (c Config) Any() bool {
	for _, kind := range Kinds {
		if len(c.Of(kind)) > 0 {
			return true
		}
	}
	return false
}

// Limit is how long the command may take.
func (c Command) Limit(kind Kind) time.Duration {
	switch {
	case c.Timeout > 0:
		return c.Timeout.D()
	case kind == BeforePromote:
		return beforeTimeout
	default:
		return defaultTimeout
	}
}

func (c Command) String() string { return strings.Join(c.Command, " ") }

// Complaint is one thing that is wrong, with the occasion.
type Complaint struct {
	Kind Kind
	What string
}

// Complaints says what is wrong. promoteWait is the policy's bound of a whole promotion. No file is touched.
func (c Config) Complaints(promoteWait time.Duration) (complaints []Complaint) {
	for _, kind := range Kinds {
		add := func(format string, args ...any) {
			complaints = append(complaints, Complaint{kind, fmt.Sprintf(format, args...)})
		}
		var all time.Duration
		for i, command := range c.Of(kind) {
			all += command.Limit(kind)
			switch {
			case len(command.Command) == 0 || command.Command[0] == "":
				add(`command %d: it is missing: give the program and its arguments, such as ["/usr/local/bin/announce", "primary"]`, i+1)
			case !filepath.IsAbs(command.Command[0]):
				add("command %d: %q depends on where pgvigil is started: give the program's whole path, from / on", i+1, command.Command[0])
			}
			if t := command.Timeout.D(); t < 0 || t > longestTimeout {
				add("command %d: timeout: %s is not between 0 and %s", i+1, t, longestTimeout)
			}
			if command.Required && kind != BeforePromote {
				add("command %d: required: only before_promote can stop what it is about: leave it out", i+1)
			}
		}
		if kind == BeforePromote && promoteWait > 0 && all > promoteWait/2 {
			add("its commands may take %s together, and a promotion gives them half of policy.promote_wait, %s: give shorter timeouts", all, promoteWait/2)
		}
	}
	return complaints
}
