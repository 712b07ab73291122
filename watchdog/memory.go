package watchdog

// remember carries the memory on to this view.
func remember(v View) Memory {
	m := v.Memory
	if v.Cluster != nil && v.Cluster.Record != nil {
		r := v.Cluster.Record
		m = m.pause(v, *r)
		if m.Term != r.Term || m.TermSince == 0 {
			m.TermSince = v.Now
		}
		if m.Term != r.Term || m.Phase != r.Phase || m.Since == 0 {
			m.Term, m.Phase, m.Since = r.Term, r.Phase, v.Now
		}
	}
	m = m.silence(v)
	m.NotStreamingSince = since(m.NotStreamingSince, v.Now, v.Server.Role == RoleStandby && v.Server.Upstream != "" && !v.Server.Streaming)
	m.ClosedSince = since(m.ClosedSince, v.Now, v.Server.Role == RoleStarting)
	if m.NotStreamingSince == 0 && m.ClosedSince == 0 {
		m.ProddedAt = 0
	}
	m.GuardlessSince = since(m.GuardlessSince, v.Now, v.Trust.Term != 0 && !v.Me.GuardReady)
	m = m.asked(v)
	m.ShortSince = since(m.ShortSince, v.Now, v.short())
	if v.Flight.Kind == ActStart {
		m.StartTried = v.Flight.Since
	}
	return m.cascades(v).ladder(v)
}

// pause notes when a pause ends, as soon as it is seen, and whom our standby has followed.
func (m Memory) pause(v View, r Record) Memory {
	switch {
	case r.Paused == nil:
		m.PauseSeq, m.PauseEnds = 0, 0
	case m.PauseSeq != r.Paused.Seq:
		m.PauseSeq, m.PauseEnds = r.Paused.Seq, v.pauseEnds(*r.Paused, m.Term != 0 && !v.ReadGap)
	}
	if up, known := v.upstream(); known && r.Phase == PhaseNormal && v.Server.Streaming && v.Server.Upstream == up.Address {
		m.Followed = r.Term
	}
	return m
}

// asked notes since when an operation stands in the record, and that our part of it has been done.
func (m Memory) asked(v View) Memory {
	if v.Cluster == nil || v.Cluster.Record == nil {
		return m
	}
	o := v.Cluster.Record.Operation
	switch {
	case o == nil:
		m.Asked, m.AskedSince, m.Chored = "", 0, false
	case o.ID != m.Asked:
		m.Asked, m.AskedSince, m.Chored = o.ID, v.Now, false
	}
	if _, kind, ours := v.ownChore(); ours && v.Flight.Done == kind && v.Flight.DoneAt >= m.AskedSince {
		m.Chored = true
	}
	return m
}

// silence counts for how long the primary's renewals have not been seen. It begins anew with every other revision, with
// the first successful read, with a read that failed, and while the cluster is paused: silence is never counted across our own
// outage, and who comes back from a pause has T to be heard.
func (m Memory) silence(v View) Memory {
	if v.Cluster == nil {
		return m
	}
	paused := v.Cluster.Record != nil && v.still()
	if v.ReadGap || paused || m.SilentSince == 0 || m.RenewalRev != v.Cluster.PrimaryTermRev {
		m.RenewalRev, m.SilentSince = v.Cluster.PrimaryTermRev, v.Now
	}
	m.LastRead = v.ReadAt
	return m
}

// ladder remembers how far down the rejoin ladder we are, until the server streams again.
func (m Memory) ladder(v View) Memory {
	f := v.Flight
	switch {
	case v.Server.Streaming, f.Done == ActRewind, f.Done == ActClone:
		m.Diverged, m.NoRewind, m.WALGone = false, false, false
	case f.Failed == ActStart && f.Diverged:
		m.Diverged = true
	case f.Failed == ActProd && f.WALGone && (m.Shunned == 0 || f.FailedAt > m.Shunned):
		m.WALGone = true
	case f.Failed == ActRewind && (f.NotPossible || f.Failures >= rewindTries):
		m.NoRewind = true
	}
	return m
}

// rewindTries bounds the rewinds before a clone is made instead.
const rewindTries = 3

func since(before, now Instant, holds bool) Instant {
	switch {
	case !holds:
		return 0
	case before != 0:
		return before
	default:
		return now
	}
}
