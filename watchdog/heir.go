package watchdog

import "time"

// retryPause is the first pause after an operation that failed; it doubles up to 64 times itself.
const retryPause = 50 * time.Millisecond

// heir decides for the one that the record names and that has not taken the term yet.
func heir(v View, m Memory) Decision {
	s := v.Server
	switch {
	case v.Flight.Kind != "":
		return v.wait(ReasonOperating, string(v.Flight.Kind))
	case v.abstains():
		return v.wait(ReasonAbstains, v.abstention())
	case s.Role == RoleStandby && v.Me.GuardReady && v.Me.Registered && v.retry(ActPromote):
		return v.do(ActPromote, ReasonNamed, "named: taking the term, fetching the tail, promoting")
	case s.Gone && v.Cluster.Record.Tail != nil && v.Cluster.Record.Tail.From == v.Me.Name && v.retry(ActStart): // put back after its own shutdown
		return v.do(ActStart, ReasonPutBack, "starting as a standby, to take the term ourselves")
	case v.Now.Since(m.Since) > v.Policy.BallotWait.D() || s.Gone:
		d := v.wait(ReasonNoProgress, "named, and the server or the guard is not there: giving the term back")
		d.Actions = []Action{v.apply(declineChange(v, ReasonNoProgress))}
		return d
	default:
		return v.wait(ReasonNotReady, "named, and waiting for the server or the guard")
	}
}
