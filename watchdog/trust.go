package watchdog

import "time"

// FenceAt is when a server must be on its way down unless a renewal sent after from was acknowledged: D after the send.
func (p Policy) FenceAt(from Instant) Instant { return from.Add(p.FenceDeadline.D()) }

// FenceAt is when the server must be on its way down: as the policy has it or, for a trust that was taken back and not
// renewed since, when the guard that was found armed fires.
func (t Trust) FenceAt(p Policy) Instant {
	if t.Until != 0 {
		return t.Until
	}
	return p.FenceAt(t.From)
}

// Left is how long the trust still lasts at now; 0 when it is over or void.
func (t Trust) Left(p Policy, now Instant) time.Duration {
	if t.Term == 0 || t.Lost {
		return 0
	}
	return max(0, t.FenceAt(p).Since(now))
}

// Live says whether our server may accept writes at now.
func (t Trust) Live(p Policy, now Instant) bool { return t.Left(p, now) > 0 }
