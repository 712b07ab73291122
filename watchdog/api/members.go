package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

const (
	askBound  = time.Second // for a member's sidecar
	maxStatus = 1 << 20
)

// Answer is what came of asking a member for its status.
type Answer struct {
	Status *Status `json:"status,omitempty"`
	Error  string  `json:"error,omitempty"` // why it has not answered
	Clock  Clock   `json:"clock,omitzero"`
}

// Clock is by how much the member's wall clock is before that of whoever asked, and by how much that may be wrong.
type Clock struct {
	Off   time.Duration `json:"off_ns"`
	Error time.Duration `json:"error_ns"`
}

// clockOf compares a time that was said between began and ended.
func clockOf(said, began, ended time.Time) Clock {
	if said.IsZero() { // by an older pgvigil
		return Clock{}
	}
	half := ended.Sub(began) / 2
	return Clock{Off: said.Sub(began.Add(half)), Error: half + time.Millisecond}
}

// NewAsker returns the client for AskMembers. It keeps a connection to each member for a while.
func NewAsker() *http.Client {
	return &http.Client{Timeout: askBound, Transport: &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}}
}

// AskMembers asks every member that is registered for its status, all at once, and waits a second at the longest.
func AskMembers(ctx context.Context, client *http.Client, cluster string, members map[string]watchdog.Registered) map[string]Answer {
	var mu sync.Mutex
	var all sync.WaitGroup
	answers := map[string]Answer{}
	for name, key := range members {
		if key.API == "" {
			continue
		}
		all.Go(func() {
			answer := askMember(ctx, client, cluster, name, key.API)
			mu.Lock()
			defer mu.Unlock()
			answers[name] = answer
		})
	}
	all.Wait()
	return answers
}

func askMember(ctx context.Context, client *http.Client, cluster, name, base string) Answer {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/status", nil)
	if err != nil {
		return Answer{Error: err.Error()}
	}
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return Answer{Error: brief(err)}
	}
	defer response.Body.Close()
	ended := time.Now()
	var status Status
	switch err := json.NewDecoder(io.LimitReader(response.Body, maxStatus)).Decode(&status); {
	case response.StatusCode != http.StatusOK:
		return Answer{Error: response.Status}
	case err != nil:
		return Answer{Error: "its answer is not understood: " + err.Error()}
	case status.Cluster != cluster || status.Member.Name != name:
		return Answer{Error: fmt.Sprintf("member %s of cluster %s answers there", status.Member.Name, status.Cluster)}
	}
	return Answer{Status: &status, Clock: clockOf(status.Time, began, ended)}
}

// brief takes the method and URL off an HTTP client's error: they are said beside it.
func brief(err error) string {
	if isTimeout(err) {
		return "no answer within " + askBound.String()
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}
