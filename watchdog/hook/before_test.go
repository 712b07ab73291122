package hook

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

func named(term watchdog.Term) watchdog.View {
	return view(term, watchdog.Server{Role: watchdog.RoleStandby, PID: 7})
}

func TestBeforePromoteGoesOnAfterAFailure(t *testing.T) {
	s := newStage(t)
	c := Config{BeforePromote: []Command{s.note("one-$PGVIGIL_OLD_PRIMARY-$PGVIGIL_NEW_PRIMARY", "exit 1"), s.note("hangs", "sleep 300"), s.note("three", "")}}
	c.BeforePromote[1].Timeout = watchdog.Duration(100 * time.Millisecond)
	r := s.open(c)
	for range 2 { // a promotion that is tried again does not run what was run
		if err := r.BeforePromote(t.Context(), named(5)); err != nil {
			t.Errorf("vetoed by what is not required: %v", err)
		}
	}
	if got := s.ran(); got != "one-node2-node1 hangs three" {
		t.Errorf("ran %q", got)
	}
	if err := s.open(c).BeforePromote(t.Context(), named(5)); err != nil || s.ran() != "one-node2-node1 hangs three" {
		t.Errorf("run again by the next sidecar: %q %v", s.ran(), err)
	}
}

func TestBeforePromoteVetoes(t *testing.T) {
	s := newStage(t)
	c := Config{BeforePromote: []Command{s.note("no", "echo not here >&2; exit 4"), s.note("never", "")}}
	c.BeforePromote[0].Required = true
	for range 2 {
		err := s.open(c).BeforePromote(t.Context(), named(5))
		var veto vetoed
		if !errors.As(err, &veto) || !strings.Contains(err.Error(), "exit status 4: not here") || s.ran() != "no" {
			t.Errorf("ran %q: %v", s.ran(), err)
		}
	}
	if err := s.open(c).BeforePromote(t.Context(), named(7)); err == nil || s.ran() != "no no" {
		t.Errorf("in another term it ran %q: %v", s.ran(), err)
	}
}

// A fence ends the promotion: what was not answered is asked again, and is no veto.
func TestBeforePromoteInterrupted(t *testing.T) {
	s := newStage(t)
	c := Config{BeforePromote: []Command{s.note("asked", "test -e $0/go || sleep 300")}}
	c.BeforePromote[0].Command = append(c.BeforePromote[0].Command, s.dir)
	c.BeforePromote[0].Required, c.BeforePromote[0].Timeout = true, watchdog.Duration(time.Minute)
	r := s.open(c)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() { answer <- r.BeforePromote(ctx, named(5)) }()
	s.until("asked")
	cancel()
	var veto vetoed
	if err := <-answer; err == nil || errors.As(err, &veto) {
		t.Errorf("interrupted: %v", err)
	}
	if b := r.journal.read().Before; b != (before{}) {
		t.Errorf("noted as answered: %+v", b)
	}
}

func TestComplaints(t *testing.T) {
	for says, c := range map[string]Config{
		`on_promote command 1: it is missing`:                   {OnPromote: []Command{{}}},
		`on_demote command 1: "page" depends on`:                {OnDemote: []Command{{Command: []string{"page"}}}},
		"on_follow command 1: timeout: 2h0m0s is not between":   {OnFollow: []Command{{Command: []string{"/bin/true"}, Timeout: watchdog.Duration(2 * time.Hour)}}},
		"on_start command 1: required: only before_promote":     {OnStart: []Command{{Command: []string{"/bin/true"}, Required: true}}},
		"before_promote its commands may take 6s together, and": {BeforePromote: []Command{{Command: []string{"/bin/true"}, Timeout: watchdog.Duration(5 * time.Second)}, {Command: []string{"/bin/true"}}}},
	} {
		complaints := c.Complaints(10 * time.Second)
		if len(complaints) != 1 || !strings.HasPrefix(string(complaints[0].Kind)+" "+complaints[0].What, says) {
			t.Errorf("%q: %+v", says, complaints)
		}
	}
	fine := Config{BeforePromote: []Command{{Command: []string{"/bin/true"}, Required: true, Timeout: watchdog.Duration(5 * time.Second)}}}
	if complaints := fine.Complaints(10 * time.Second); complaints != nil {
		t.Errorf("%+v", complaints)
	}
}
