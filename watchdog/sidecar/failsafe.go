package sidecar

import (
	"context"
	"sync"

	"github.com/pgvigil/pgvigil/watchdog"
)

// askFailsafe asks the other members to let us go on, etcd being lost, and prolongs our trust from the send of the question
// if they do.
func (s *Sidecar) askFailsafe(ctx context.Context, trust watchdog.Trust) {
	var record watchdog.Record
	apis := map[string]string{}
	s.with(func(st *state) {
		c := st.cluster
		if c == nil || c.Record == nil || c.Record.Term != trust.Term || !s.policy().Failsafe {
			return
		}
		record = *c.Record
		for _, name := range record.Members {
			if m, known := c.Members[name]; known && name != s.options.Identity.Name {
				apis[name] = m.API
			}
		}
	})
	if record.Term == 0 {
		return
	}
	question := watchdog.FailsafeQuestion{
		Cluster: s.options.Cluster, Primary: s.options.Identity.Name, Incarnation: s.options.Identity.Incarnation,
		Term: record.Term, Mode: record.Durability.Mode,
	}
	sent := s.now()
	yes := s.gatherFailsafe(ctx, apis, question)
	if !watchdog.FailsafeHolds(record, s.options.Identity.Name, yes) {
		return
	}
	began := false
	s.with(func(st *state) {
		if st.trust.Term != trust.Term || st.trust.Lost || st.trust.From >= sent || !st.trust.Live(s.policy(), s.now()) {
			return
		}
		began = !st.trust.Failsafe
		st.trust.From, st.trust.Until, st.trust.Failsafe = sent, 0, true
		st.counters.Failsafes++
	})
	if began {
		s.log.Warn("etcd is lost; going on by failsafe", "term", trust.Term, "let_by", yes)
	}
	s.feedGuard()
}

// gatherFailsafe asks all at once, and returns who said yes within ctx.
func (s *Sidecar) gatherFailsafe(ctx context.Context, apis map[string]string, question watchdog.FailsafeQuestion) (yes []string) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for name, api := range apis {
		all.Go(func() {
			answer, err := s.options.Peers.Failsafe(ctx, api, question)
			if err != nil || !answer.Yes || answer.Member != name {
				s.log.Debug("failsafe refused", "member", name, "why", answer.Why, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			yes = append(yes, name)
		})
	}
	all.Wait()
	return yes
}

// Failsafe answers a primary that has lost etcd. A yes binds us, over a restart too, before it is given.
func (s *Sidecar) Failsafe(ctx context.Context, question watchdog.FailsafeQuestion) watchdog.FailsafeAnswer {
	unreachable := false
	if question.Mode != watchdog.ModeQuorum {
		bounded, cancel := context.WithTimeout(ctx, s.options.Policy.RenewalDeadline.D()/2)
		_, err := s.options.Store.Read(bounded)
		cancel()
		unreachable = err != nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.state
	v := watchdog.View{Me: s.options.Identity, Cluster: st.cluster}
	v.Me.Admitted = s.journal.read().Admission
	answer := watchdog.AnswerFailsafe(v, question, unreachable)
	electing := st.applying || st.inFlight.Kind == watchdog.ActBallot || st.inFlight.Kind == watchdog.ActPromote
	switch {
	case ctx.Err() != nil:
		return watchdog.FailsafeAnswer{Member: v.Me.Name, Why: "the question is too old"}
	case answer.Yes && electing:
		return watchdog.FailsafeAnswer{Member: v.Me.Name, Why: "a change of ours is under way"}
	case !answer.Yes:
		return answer
	}
	until := s.now().Add(s.policy().AbstainFor())
	if err := s.journal.change(func(k *kept) { k.Abstain, k.AbstainBoot = until, bootID() }); err != nil {
		return watchdog.FailsafeAnswer{Member: v.Me.Name, Why: err.Error()}
	}
	if st.abstain < s.now() {
		s.log.Warn("etcd is lost; letting the primary go on", "primary", question.Primary, "term", question.Term)
	}
	st.abstain = max(st.abstain, until)
	return answer
}

// abstention is what an earlier process of this member has promised a primary.
func (s *Sidecar) abstention() watchdog.Instant {
	k := s.journal.read()
	switch {
	case k.Abstain == 0:
		return 0
	case k.AbstainBoot == bootID():
		return k.Abstain
	}
	return s.now().Add(s.options.Policy.AbstainFor()) // the machine has booted since: its clock began anew
}
