package check

import (
	"fmt"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Endpoint is one of etcd's, as it answers.
type Endpoint struct {
	Address string
	Version string
	Failed  string          // why it did not answer, empty if it did
	Takes   time.Duration   // the middle one of some linearizable reads
	Alarms  []string        // as etcd names them, such as NOSPACE
	TooOld  bool            // older than 3.4
	Leases  bool            // it has the bugs in leases that are mended in later patches
	Members int             // of etcd's cluster
	Policy  watchdog.Policy // whose renewals go through it
}

// OfStore turns etcd's answers, as they were had from a member's host, into findings.
func OfStore(member string, endpoints []Endpoint) []Finding {
	var found []Finding
	add := func(about string, s Severity, name, what, why, mend string) {
		found = append(found, Finding{Name: name, Severity: s, Member: member, About: about, What: what, Why: why, Mend: mend})
	}
	silent, members := 0, 0
	for _, e := range endpoints {
		members = max(members, e.Members)
		if e.Failed != "" {
			silent++
			continue
		}
		if e.TooOld {
			add(e.Address, Error, "etcd_version", "etcd "+e.Version+" is too old", "pgvigil needs 3.4 or later", "upgrade it")
		} else if e.Leases {
			add(e.Address, Info, "etcd_version", "etcd "+e.Version+" may revoke a lease early after a change of its leader", "a failover may be needless, or a little late; never wrong",
				"upgrade it to 3.4.38, 3.5.23, 3.6.5 or later")
		}
		for _, alarm := range e.Alarms {
			add(e.Address, Error, "etcd_alarm", "etcd has raised the alarm "+alarm, "it takes no more writes: no renewal, no failover", "etcdctl alarm list; make room (etcdctl defrag), then etcdctl alarm disarm")
		}
		slow(add, e)
	}
	for _, e := range endpoints {
		if e.Failed == "" {
			continue
		}
		severity := Warning
		if silent == len(endpoints) {
			severity = Error
		}
		add(e.Address, severity, "etcd_endpoint", "etcd at "+e.Address+" does not answer: "+e.Failed,
			"one member less may be lost before nobody can be elected", "start it, or correct etcd.endpoints: etcdctl --endpoints="+e.Address+" endpoint status")
	}
	if silent < len(endpoints) && members > 0 && members < 3 {
		add("", Warning, "etcd_members", fmt.Sprintf("etcd has %d member%s", members, strings.Repeat("s", min(1, members-1))),
			"the loss of one is the loss of etcd: no failover until it is back", "run three, on three hosts: etcdctl member add, or etcd.embedded")
	}
	Sort(found)
	return found
}

// slow compares a read with what a renewal may take.
func slow(add func(about string, s Severity, name, what, why, mend string), e Endpoint) {
	deadline := e.Policy.RenewalDeadline.D()
	if deadline == 0 || e.Takes < deadline/5 {
		return
	}
	severity := Warning
	if e.Takes > deadline/2 {
		severity = Error
	}
	add(e.Address, severity, "etcd_latency", fmt.Sprintf("etcd at %s takes %s for a read, and a renewal may take %s", e.Address, e.Takes.Round(time.Millisecond), deadline),
		"a little more, and the primary loses its trust and is fenced", "give etcd a disk of its own, see that the network is well, or raise policy.renewal_deadline")
}
