package sink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	shoutrrr "github.com/nicholas-fedor/shoutrrr/pkg/types"

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
	if slices.Contains(own, scheme) {
		return fmt.Errorf("%[1]s has a type of its own: give type: %[1]s, and what it asks for", scheme)
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
		sent <- send(service, messageFor(schemeOf(service), a))
	}()
	select {
	case err = <-sent:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	switch {
	case err == nil:
		return nil
	case refusedMail(err):
		return fmt.Errorf("notify by %s: %w: %s", schemeOf(service), alert.ErrRefused, without(err, service))
	}
	return fmt.Errorf("notify by %s: %s", schemeOf(service), without(err, service))
}

// refusedMail says whether a mail server has looked at the message and will never take it. Its other answers may be about the
// mailbox or the account.
func refusedMail(err error) bool {
	var reply *textproto.Error
	return errors.As(err, &reply) && (reply.Code == 552 || reply.Code == 554)
}

// send makes the call. A panic of the library is an error: the sidecar has better to do than to die of it.
func send(service string, m message) (err error) {
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
	params := shoutrrr.Params(m.params)
	return to.Send(m.text, &params)
}

// message is one call of the library: the text, and settings of the service beside it.
type message struct {
	text   string
	params map[string]string
}

// untitled are the services that know no title.
var untitled = []string{"googlechat", "hangouts", "logger", "notifiarr", "rocketchat", "signal", "wecom", "zulip"}

// messageFor is what the service is told.
func messageFor(scheme string, a alert.Alert) message {
	if slices.Contains(untitled, scheme) {
		return message{a.Title + "\n" + a.Text, nil}
	}
	return message{a.Text, map[string]string{"title": a.Title}}
}

// own are the services for which there is a type of sinks: it resolves what the library only opens, or speaks what the service
// takes today.
var own = []string{"opsgenie", "pagerduty", "teams"}

// without takes the service's URL out of what an error says: it holds the password or token.
func without(err error, service string) string {
	var u *url.Error
	if errors.As(err, &u) && u.Err != nil {
		return u.Err.Error()
	}
	return strings.ReplaceAll(err.Error(), service, "the URL")
}
