package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/api"
	"github.com/pgvigil/pgvigil/watchdog/request"
)

// maxAnswer bounds what is read of an answer: a thousand events with all that was weighed.
const maxAnswer = 32 << 20

// remoteStore is a cluster reached through the API of any of its members.
type remoteStore struct {
	urls    []string // the one that answered last comes first
	token   string
	cluster string // empty: whichever the members belong to
	client  *http.Client
}

func openRemote(ctx context.Context, c config.Client) (*remoteStore, error) {
	security := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		text, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fail(exitConfig, fmt.Errorf("ca: %w", err))
		}
		security.RootCAs = x509.NewCertPool()
		if !security.RootCAs.AppendCertsFromPEM(text) {
			return nil, fail(exitConfig, fmt.Errorf("ca: %s holds no certificate in PEM form", c.CA))
		}
	}
	r := &remoteStore{
		urls: c.API, token: c.Token, cluster: c.Cluster,
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: security, IdleConnTimeout: time.Minute}},
	}
	if r.cluster == "" {
		var seen api.ClusterAnswer
		if err := r.get(ctx, api.PathCluster, &seen); err != nil {
			return nil, unreachableAPI(c, err)
		}
		r.cluster = seen.Name
	}
	return r, nil
}

// unreachableAPI says what to do when no member did what it was asked, unless one has said it.
func unreachableAPI(c config.Client, err error) error {
	advice := ": see that a sidecar runs there, and that it can be reached from here"
	if u := (unserved{}); errors.As(err, &u) && u.answered {
		advice = ""
	}
	return fail(exitEtcd, fmt.Errorf("the API at %s: %w%s", strings.Join(c.API, ", "), err, advice))
}

// Read is one consistent look at the cluster.
func (r *remoteStore) Read(ctx context.Context) (watchdog.Cluster, error) {
	var seen api.ClusterAnswer
	err := r.get(ctx, api.PathCluster, &seen)
	return seen.Cluster, err
}

// Events are the newest events, oldest first.
func (r *remoteStore) Events(ctx context.Context, newest int) (events []watchdog.Event, err error) {
	err = r.get(ctx, fmt.Sprintf("%s?newest=%d", api.PathEvents, newest), &events)
	return events, err
}

// Members are what the members' sidecars say when the one that we reach asks them.
func (r *remoteStore) Members(ctx context.Context, _ watchdog.Cluster) map[string]api.Answer {
	answers := map[string]api.Answer{}
	if err := r.get(ctx, api.PathMembers, &answers); err != nil {
		return nil
	}
	return answers
}

// Ask puts a request into the record, by way of a member.
func (r *remoteStore) Ask(ctx context.Context, asked watchdog.Request) (uint64, error) {
	body, err := json.Marshal(asked)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", request.ErrUnread, err)
	}
	var done api.RequestAnswer
	err = r.do(ctx, http.MethodPost, api.PathRequests, body, &done)
	return done.Seq, err
}

// Close lets the connections go.
func (r *remoteStore) Close() error {
	r.client.CloseIdleConnections()
	return nil
}

func (r *remoteStore) get(ctx context.Context, path string, into any) error {
	return r.do(ctx, http.MethodGet, path, nil, into)
}

// do asks one member after the other until one has answered, each for its share of the time. What may have been carried out is
// not asked of another.
func (r *remoteStore) do(ctx context.Context, method, path string, body []byte, into any) error {
	var failures []string
	answered := false
	for i, base := range r.urls {
		bounded, cancel := context.WithTimeout(ctx, share(ctx, len(r.urls)-i))
		again, heard, err := r.ask(bounded, method, base+path, body, into)
		cancel()
		answered = answered || heard
		switch {
		case err == nil:
			r.urls = append(append([]string{base}, r.urls[:i]...), r.urls[i+1:]...)
			return nil
		case !again:
			return err
		}
		failures = append(failures, err.Error())
		if len(r.urls) > 1 {
			failures[i] = base + ": " + failures[i]
		}
	}
	return unserved{strings.Join(failures, "; "), answered}
}

// unserved is request.ErrUnread: no member has done what it was asked.
type unserved struct {
	why      string
	answered bool // one at least has said why not
}

func (u unserved) Error() string        { return u.why }
func (u unserved) Is(target error) bool { return target == request.ErrUnread }

func share(ctx context.Context, among int) time.Duration {
	left := readBound
	if deadline, is := ctx.Deadline(); is {
		left = time.Until(deadline)
	}
	return left / time.Duration(among)
}

// ask asks one member. again: nothing was done by it, and another may be asked. heard: it has answered.
func (r *remoteStore) ask(ctx context.Context, method, url string, body []byte, into any) (again, heard bool, err error) {
	asked, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return true, false, err
	}
	asked.Header.Set("Authorization", "Bearer "+r.token)
	asked.Header.Set(api.HeaderCluster, r.cluster)
	answered, err := r.client.Do(asked)
	if err != nil {
		var dial *net.OpError
		return method == http.MethodGet || errors.As(err, &dial) && dial.Op == "dial", false, errors.Unwrap(err)
	}
	defer answered.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answered.Body, maxAnswer))
	switch code := answered.StatusCode; {
	case err == nil && code == http.StatusOK:
		if err := json.Unmarshal(data, into); err != nil {
			return false, true, fmt.Errorf("its answer is not understood: %w", err)
		}
		return false, true, nil
	case code == http.StatusConflict || code == http.StatusBadRequest:
		return false, true, request.Refusal{Why: errors.New(said(data, answered.Status))}
	case code == http.StatusBadGateway || err != nil && code == http.StatusOK:
		return method == http.MethodGet, true, errors.Join(err, errors.New(said(data, answered.Status)))
	case code == http.StatusNotFound:
		return true, true, errors.New("it has no endpoints for operators: it is too old, or no sidecar")
	default:
		return true, true, errors.New(said(data, answered.Status))
	}
}

// said is what a member says of why it has not done what was asked.
func said(data []byte, status string) string {
	var why struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(data, &why) == nil && why.Error != "" {
		return why.Error
	}
	return status
}
