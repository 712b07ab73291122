package sink

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// Config is one sink as the configuration file has it.
type Config struct {
	Name       string            `yaml:"name"`        // also that of its cursor in etcd
	Type       string            `yaml:"type"`        // one of Types
	URL        string            `yaml:"url"`         // where to post to; notify: the service's URL
	Command    []string          `yaml:"command"`     // the program and its arguments
	Severity   string            `yaml:"severity"`    // info, warning or critical: this and above; default: warning
	Kinds      []string          `yaml:"kinds"`       // events of these kinds alone; default: all
	Except     []string          `yaml:"except"`      // and of none of these
	SecretFile string            `yaml:"secret_file"` // what it holds depends on the type
	Timeout    watchdog.Duration `yaml:"timeout"`     // of one delivery; default: 10 s
}

const (
	defaultTimeout = 10 * time.Second
	longestTimeout = 5 * time.Minute
)

// Types lists the types of sinks.
func Types() []string { return slices.Sorted(maps.Keys(types)) }

// sinkName is also a part of a key in etcd.
var sinkName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$`)

// Complaints says what is wrong, each with the key that it is about. It touches no file.
func (c Config) Complaints() (complaints []Complaint) {
	add := func(key, format string, args ...any) {
		complaints = append(complaints, Complaint{key, fmt.Sprintf(format, args...)})
	}
	switch {
	case c.Name == "":
		add("name", "it is missing: give a name, which no other sink has")
	case !sinkName.MatchString(c.Name):
		add("name", "%q: give 1 to 40 letters, digits, dots, dashes or underscores, a letter or digit first", c.Name)
	}
	if s := alert.Severity(c.Severity); c.Severity != "" && !s.Known() {
		add("severity", "%q is no severity: give info, warning or critical", c.Severity)
	}
	wantKinds("kinds", c.Kinds, add)
	wantKinds("except", c.Except, add)
	if t := c.Timeout.D(); t < 0 || t > longestTimeout {
		add("timeout", "%s is not between 0 and %s", t, longestTimeout)
	}
	if c.SecretFile != "" && !filepath.IsAbs(c.SecretFile) {
		add("secret_file", "%q depends on where pgvigil is started: give the whole path, from / on", c.SecretFile)
	}
	if c.Type != "command" && len(c.Command) > 0 {
		add("command", "it goes with type: command alone")
	}
	switch t, known := types[c.Type]; {
	case known:
		t.check(c, add)
	case c.Type == "":
		add("type", "it is missing: give one of %s", listed(Types()))
	default:
		add("type", "%q is no type: give one of %s", c.Type, listed(Types()))
	}
	return complaints
}

// listed puts commas between words.
func listed[T ~string](words []T) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}

// Complaint is one thing that is wrong, with the key that it is about.
type Complaint struct{ Key, What string }

func (c Complaint) Error() string { return c.Key + ": " + c.What }

// Open makes the sink of a configuration without complaints. It fails where the secret cannot be read.
func Open(c Config) (alert.Route, error) {
	t, known := types[c.Type]
	if !known {
		return alert.Route{}, fmt.Errorf("sink %s: there is no type %q", c.Name, c.Type)
	}
	if c.SecretFile != "" {
		if _, err := secret(c.SecretFile); err != nil {
			return alert.Route{}, fmt.Errorf("sink %s: %w", c.Name, err)
		}
	}
	s, err := t.open(c)
	if err != nil {
		return alert.Route{}, fmt.Errorf("sink %s: %w", c.Name, err)
	}
	r := alert.Route{Name: c.Name, Sink: s, Least: alert.Warning, Timeout: defaultTimeout}
	if c.Severity != "" {
		r.Least = alert.Severity(c.Severity)
	}
	for _, kind := range c.Kinds {
		r.Only = append(r.Only, watchdog.EventKind(kind))
	}
	for _, kind := range c.Except {
		r.Except = append(r.Except, watchdog.EventKind(kind))
	}
	if c.Timeout > 0 {
		r.Timeout = c.Timeout.D()
	}
	return r, nil
}

// secret reads a file that holds one; no file: none.
func secret(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("secret_file: %w: let PostgreSQL's user read it", err)
	}
	s := strings.TrimRight(string(text), "\r\n")
	if s == "" {
		return "", fmt.Errorf("secret_file: %s is empty", file)
	}
	return s, nil
}
