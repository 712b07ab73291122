package sink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// libraryBound is for the library's calls by http.DefaultClient, which some of its services make without any bound: one that
// hangs would else keep the sink busy for ever. Nothing else in pgvigil uses that client.
const libraryBound = 30 * time.Second

func init() { http.DefaultClient.Timeout = libraryBound }

// notify sends by the notification library, to the service that a URL names.
type notify struct {
	url, secretFile string
	busy            atomic.Bool
}

func newNotify(c Config) (alert.Sink, error) {
	n := &notify{url: c.URL, secretFile: c.SecretFile}
	service, err := n.service()
	if err == nil {
		err = checkService(service)
	}
	return n, err
}

// service is the URL of the service.
func (n *notify) service() (string, error) {
	if n.url != "" {
		return n.url, nil
	}
	return secret(n.secretFile)
}

// checkService says what is wrong with a service's URL. Matrix logs in as it reads one, and is left to the first delivery.
func checkService(service string) error {
	var r router.ServiceRouter
	scheme := schemeOf(service)
	if _, err := r.NewService(scheme); scheme == "" || err != nil {
		known := r.ListServices()
		slices.Sort(known)
		return fmt.Errorf("there is no service %q: give the URL of one of %s", scheme, strings.Join(known, ", "))
	}
	if scheme == "matrix" {
		return nil
	}
	if _, err := r.Locate(service); err != nil {
		return fmt.Errorf("this is no URL for %s: %s: see the library's own description of it", scheme, without(err, service))
	}
	return nil
}

// schemeOf is the service's name: generic+https://… is generic.
func schemeOf(service string) string {
	scheme, _, found := strings.Cut(service, "://")
	if !found {
		return ""
	}
	scheme, _, _ = strings.Cut(scheme, "+")
	return strings.ToLower(scheme)
}

// errBusy: the library knows no context, so that a call which hangs is left to its own timeout, one at a time.
var errBusy = errors.New("an earlier call has not ended yet")

// Deliver sends it. A call that outlasts ctx is left behind, and no other is begun before it has ended, which is
// within libraryBound.
func (n *notify) Deliver(ctx context.Context, a alert.Alert) error {
	service, err := n.service()
	if err != nil {
		return err
	}
	if !n.busy.CompareAndSwap(false, true) {
		return fmt.Errorf("notify by %s: %w", schemeOf(service), errBusy)
	}
	sent := make(chan error, 1)
	go func() {
		defer n.busy.Store(false)
		sent <- sendAll(service, messages(schemeOf(service), a))
	}()
	select {
	case err = <-sent:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("notify by %s: %s", schemeOf(service), without(err, service))
	}
	return nil
}

// sendAll makes the calls. A panic of the library is an error: the sidecar has better to do than to die of it.
func sendAll(service string, all []message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the library panicked: %v", p)
		}
	}()
	var r router.ServiceRouter
	to, err := r.Locate(service)
	if err != nil {
		return err
	}
	for _, m := range all {
		params := types.Params(m.params)
		if err := to.Send(m.text, &params); err != nil {
			return err
		}
	}
	return nil
}

// message is one call of the library: the text, and settings of the service beside it.
type message struct {
	text   string
	params map[string]string
}

// untitled are the services that know no title.
var untitled = []string{"googlechat", "hangouts", "logger", "notifiarr", "rocketchat", "signal", "wecom", "zulip"}

// messages are what the service is told. Those that keep incidents are given our key, and PagerDuty the resolves.
func messages(scheme string, a alert.Alert) []message {
	switch {
	case scheme == "pagerduty":
		trigger := func(action, key string) message {
			return message{a.Title, map[string]string{"severity": string(a.Severity), "source": a.Cluster, "action": action, "dedup_key": key}}
		}
		if a.Status != alert.Resolved {
			return []message{trigger("trigger", a.Key)}
		}
		var all []message
		for _, over := range a.Resolves {
			all = append(all, trigger("resolve", over.Key))
		}
		return all
	case scheme == "opsgenie":
		priority := map[alert.Severity]string{alert.Critical: "P1", alert.Warning: "P3", alert.Info: "P5"}[a.Severity]
		return []message{{a.Text, map[string]string{"title": a.Title, "alias": a.Key, "priority": priority, "source": a.Cluster}}}
	case slices.Contains(untitled, scheme):
		return []message{{a.Title + "\n" + a.Text, nil}}
	default:
		return []message{{a.Text, map[string]string{"title": a.Title}}}
	}
}

// without takes the service's URL out of what an error says: it holds the password or token.
func without(err error, service string) string {
	var u *url.Error
	if errors.As(err, &u) && u.Err != nil {
		return u.Err.Error()
	}
	return strings.ReplaceAll(err.Error(), service, "the URL")
}
