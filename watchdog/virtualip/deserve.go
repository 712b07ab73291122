package virtualip

import (
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// deserved says whether the addresses are to be up. They come with the right to answer 200 to /primary. They do not go merely
// because the server did not answer one question: it may be busy, and its sessions are not; but with the trust, with a fence,
// and with every role but primary that is known.
func deserved(s sidecar.Snapshot, is state) state {
	fencing := s.View.Flight.Kind == watchdog.ActFence
	switch {
	case s.Decision.Reason == "":
		return is // the loop has not turned: what is ours is not known
	case s.TrustLeft <= margin || fencing:
		return down
	case s.Writable:
		return up
	case s.View.Server.Role == watchdog.RoleUnknown:
		return is
	default:
		return down
	}
}

// raise puts the addresses up and announces them, and returns when that is next due. Before the first announcement all is
// looked at once more: whoever put them up may have slept on the way.
func (m *Manager) raise(now time.Time) time.Duration {
	if m.is != up {
		m.dirty = true
		if err := m.put(); err != nil {
			m.complain("virtual address not put up", err)
			return retry
		}
		m.problem = ""
		m.is, m.raised, m.announced = up, now, 0
		m.metric.Set(1)
		m.log.Info("virtual addresses up", "addresses", m.names())
		return 0
	}
	if due := m.raised.Add(announceAt(m.announced)); now.Before(due) {
		return due.Sub(now)
	}
	if err := m.put(); err != nil { // where somebody else has taken one down
		m.complain("virtual address not put up again", err)
	}
	for _, a := range m.addresses {
		if err := a.announce(); err != nil {
			m.log.Warn("virtual address not announced", "error", err)
		}
	}
	m.announced++
	return max(0, m.raised.Add(announceAt(m.announced)).Sub(now))
}

// put makes sure that all are up.
func (m *Manager) put() error {
	for _, a := range m.addresses {
		if err := a.up(); err != nil {
			return err
		}
	}
	return nil
}

const (
	announceBurst  = 6 // the first at once, and five in the second after it
	announcePause  = 200 * time.Millisecond
	announcePeriod = time.Minute
)

// announceAt is how long after the addresses were put up the announcement of that number is due, from 0 on.
func announceAt(number int) time.Duration {
	if number < announceBurst {
		return time.Duration(number) * announcePause
	}
	return time.Duration(number-announceBurst+1) * announcePeriod
}

// lower takes the addresses down, all that can be.
func (m *Manager) lower() time.Duration {
	if m.is == down && !m.dirty {
		return idle
	}
	if m.is == up {
		defer m.log.Info("virtual addresses down", "addresses", m.names())
	}
	m.is, m.dirty = down, false
	m.metric.Set(0)
	for _, a := range m.addresses {
		if err := a.down(); err != nil {
			m.complain("virtual address not taken down", err)
			m.dirty = true
		}
	}
	if m.dirty {
		return retry
	}
	m.problem = ""
	return idle
}

// complain logs what went wrong, once.
func (m *Manager) complain(what string, err error) {
	if m.problem != err.Error() {
		m.log.Error(what, "error", err)
	}
	m.problem = err.Error()
}

func (m *Manager) names() (all []string) {
	for _, a := range m.addresses {
		all = append(all, a.prefix.String())
	}
	return all
}
