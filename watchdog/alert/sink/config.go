package sink

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// Config is one sink as the configuration file has it.
type Config struct {
	Name       string            `yaml:"name"`        // also that of its cursor in etcd
	Type       string            `yaml:"type"`        // webhook, command, alertmanager or notify
	URL        string            `yaml:"url"`         // webhook, alertmanager; notify: its service's URL
	Command    []string          `yaml:"command"`     // the program and its arguments
	Severity   string            `yaml:"severity"`    // info, warning or critical: this and above; default: warning
	SecretFile string            `yaml:"secret_file"` // webhook: the key of the HMAC; alertmanager: a bearer token; notify: the URL
	Timeout    watchdog.Duration `yaml:"timeout"`     // of one delivery; default: 10 s
}

const (
	defaultTimeout = 10 * time.Second
	longestTimeout = 5 * time.Minute
)

// kinds are the types of sinks, with what makes one.
var kinds = map[string]func(Config) (alert.Sink, error){
	"webhook": newWebhook, "command": newCommand, "alertmanager": newAlertmanager, "notify": newNotify,
}

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
	if t := c.Timeout.D(); t < 0 || t > longestTimeout {
		add("timeout", "%s is not between 0 and %s", t, longestTimeout)
	}
	if c.SecretFile != "" && !filepath.IsAbs(c.SecretFile) {
		add("secret_file", "%q depends on where pgvigil is started: give the whole path, from / on", c.SecretFile)
	}
	if c.Type != "command" && len(c.Command) > 0 {
		add("command", "it goes with type: command alone")
	}
	switch c.Type {
	case "":
		add("type", "it is missing: give webhook, command, alertmanager or notify")
	case "webhook", "alertmanager":
		u, err := url.Parse(c.URL)
		if c.URL == "" {
			add("url", "it is missing: give the address to post to")
		} else if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			add("url", "it is no address to post to: give http://host/path, or https://")
		}
	case "command":
		if len(c.Command) == 0 || c.Command[0] == "" {
			add("command", `it is missing: give the program and its arguments, such as ["/usr/local/bin/page", "dba"]`)
		} else if !filepath.IsAbs(c.Command[0]) {
			add("command", "%q depends on where pgvigil is started: give the program's whole path, from / on", c.Command[0])
		}
		if c.URL != "" || c.SecretFile != "" {
			add("type", "a command takes neither url nor secret_file: give it what it needs as arguments")
		}
	case "notify":
		if (c.URL == "") == (c.SecretFile == "") {
			add("url", "give the service's URL, such as slack://… or smtp://…, here or in the file that secret_file names")
		} else if c.URL != "" {
			if err := checkService(c.URL); err != nil {
				add("url", "%v", err)
			}
		}
	default:
		add("type", "%q is no type: give webhook, command, alertmanager or notify", c.Type)
	}
	return complaints
}

// Complaint is one thing that is wrong, with the key that it is about.
type Complaint struct{ Key, What string }

func (c Complaint) Error() string { return c.Key + ": " + c.What }

// Open makes the sink of a configuration without complaints. It fails where the secret cannot be read.
func Open(c Config) (alert.Route, error) {
	open, known := kinds[c.Type]
	if !known {
		return alert.Route{}, fmt.Errorf("sink %s: there is no type %q", c.Name, c.Type)
	}
	if c.SecretFile != "" {
		if _, err := secret(c.SecretFile); err != nil {
			return alert.Route{}, fmt.Errorf("sink %s: %w", c.Name, err)
		}
	}
	s, err := open(c)
	if err != nil {
		return alert.Route{}, fmt.Errorf("sink %s: %w", c.Name, err)
	}
	r := alert.Route{Name: c.Name, Sink: s, Least: alert.Warning, Timeout: defaultTimeout}
	if c.Severity != "" {
		r.Least = alert.Severity(c.Severity)
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
