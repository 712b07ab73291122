package sidecar

import (
	"context"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// rehearse asks, while all is well, what is worth knowing before it is not: whether a rewind would work, and whose commits
// wait for nobody.
func (s *Sidecar) rehearse(ctx context.Context) {
	s.every(ctx, 30*time.Second, func() {
		var well, quorum bool
		s.with(func(st *state) {
			well = st.inFlight.Kind == "" && (st.server.Role == watchdog.RolePrimary || st.server.Role == watchdog.RoleStandby)
			quorum = st.server.Role == watchdog.RolePrimary && s.policy().Durability == watchdog.ModeQuorum
		})
		if !well {
			return
		}
		bounded, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		why := s.options.Postgres.RewindReady(bounded)
		var low []string
		var err error
		if quorum {
			low, err = s.options.Postgres.LowCommits(bounded)
		}
		s.with(func(st *state) {
			if why != "" && why != st.server.NoRewind {
				s.log.Warn("a rewind would not work", "why", why)
			}
			if len(low) > len(st.server.LowCommits) {
				s.log.Warn("commits that wait for no standby", "settings", low)
			}
			if st.server.NoRewind = why; err == nil {
				st.server.LowCommits = low
			}
		})
	})
}
