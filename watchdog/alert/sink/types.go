package sink

import (
	"net/url"
	"path/filepath"
	"slices"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// kind is what is to know of a type of sinks.
type kind struct {
	open  func(Config) (alert.Sink, error)
	check func(c Config, add complain) // what is wrong with the keys that are its own
}

// complain notes what is wrong with a key.
type complain func(key, format string, args ...any)

var types = map[string]kind{
	"webhook":      {newWebhook, func(c Config, add complain) { c.wantAddress(add, true) }},
	"alertmanager": {newAlertmanager, func(c Config, add complain) { c.wantAddress(add, true) }},
	"command":      {newCommand, wantCommand},
	"notify":       {newNotify, wantService},
	"opsgenie":     {newOpsgenie, func(c Config, add complain) { wantKey(c, add, "the API key of an integration") }},
	"pagerduty":    {newPagerDuty, func(c Config, add complain) { wantKey(c, add, "the integration key of an Events API v2 integration") }},
	"teams":        {newTeams, wantWorkflow},
}

// wantKinds checks names of events' kinds.
func wantKinds(key string, kinds []string, add complain) {
	for _, k := range kinds {
		if !slices.Contains(watchdog.EventKinds(), watchdog.EventKind(k)) {
			add(key, "%q is no kind of event: there are %s", k, listed(watchdog.EventKinds()))
		}
	}
}

// wantAddress checks a URL to post to.
func (c Config) wantAddress(add complain, must bool) {
	if c.URL == "" {
		if must {
			add("url", "it is missing: give the address to post to")
		}
		return
	}
	if !postable(c.URL) {
		add("url", "it is no address to post to: give http://host/path, or https://")
	}
}

func postable(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

func wantCommand(c Config, add complain) {
	if len(c.Command) == 0 || c.Command[0] == "" {
		add("command", `it is missing: give the program and its arguments, such as ["/usr/local/bin/page", "dba"]`)
	} else if !filepath.IsAbs(c.Command[0]) {
		add("command", "%q depends on where pgvigil is started: give the program's whole path, from / on", c.Command[0])
	}
	if c.URL != "" || c.SecretFile != "" {
		add("type", "a command takes neither url nor secret_file: give it what it needs as arguments")
	}
}

// wantKey checks a service that has an address of its own and asks for a key.
func wantKey(c Config, add complain, what string) {
	c.wantAddress(add, false)
	if c.SecretFile == "" {
		add("secret_file", "it is missing: give a file that holds %s", what)
	}
}

func wantWorkflow(c Config, add complain) {
	if (c.URL == "") == (c.SecretFile == "") {
		add("url", "give the workflow's URL here or in the file that secret_file names")
	}
	c.wantAddress(add, false)
}

func wantService(c Config, add complain) {
	if (c.URL == "") == (c.SecretFile == "") {
		add("url", "give the service's URL, such as slack://… or smtp://…, here or in the file that secret_file names")
	} else if c.URL != "" {
		if err := checkService(c.URL); err != nil {
			add("url", "%v", err)
		}
	}
}
