package simulation

// bug is a mistake that is planted on purpose, to see that the checks find it. None of them is in the production code.
type bug string

// The planted bugs.
const (
	noBug                   bug = ""
	dropBarrier             bug = "drop-barrier"
	quorumOffByOne          bug = "quorum-off-by-one"
	positionOnly            bug = "compare-lsn-only"
	positionTooEarly        bug = "position-before-receiver-is-gone"
	degradeServerFirst      bug = "degrade-server-first"
	timelineAsTerm          bug = "timeline-number-as-term"
	countUnknown            bug = "count-unknown-positions"
	responseTimeLease       bug = "response-time-lease"
	releaseBeforeFence      bug = "release-before-fence"
	nextVotersTooEarly      bug = "next-voters-before-settled"
	ledgerAfterwards        bug = "ledger-after-promotion"
	tooFewAfterSilence      bug = "too-few-ballots-after-silence"
	vetoBeatsBest           bug = "veto-beats-best-ballot"
	surrenderForgotten      bug = "surrender-taken-for-failed"
	trustWithoutGuard       bug = "trust-resumed-without-guard"
	silenceOfOurOwn         bug = "silence-across-own-outage"
	hungUpBySetting         bug = "hung-up-by-setting"
	archiveReadOn           bug = "archive-read-on"
	timelineFromControlFile bug = "timeline-from-control-file"
	noLatch                 bug = "no-latch"
	abstentionForgotten     bug = "abstention-forgotten"
	olderStore              bug = "older-store-trusted"
	withdrawnCounted        bug = "withdrawn-ballot-counted"
	ballotUncompared        bug = "ballot-uncompared"
	promiseForgotten        bug = "promise-not-durable"
	namesUnstamped          bug = "names-unstamped"
	serverBeforeRecord      bug = "voter-added-server-first"
	kLoweredServerFirst     bug = "k-lowered-server-first"
	orphansIgnored          bug = "dead-postmaster-is-a-fence"
	pauseOverlooked         bug = "pause-overlooked"
	staleVetoes             bug = "vetoes-never-given-anew"
	lossEndsAtRenewal       bug = "loss-report-ends-at-the-last-renewal"
	lossOfLastTermOnly      bug = "loss-report-forgets-unsettled-terms"
)

// bugs is every planted bug, what it does, and in which stories it could show.
var bugs = []struct {
	bug    bug
	about  string
	shape  func(*Shape)
	faults map[string]int // drawn so much more often
}{
	{dropBarrier, "the record relies on a setting whose commits are not covered", inQuorum, map[string]int{"disk-stalls": 20, "standby-killed": 15, "link-slow": 10}},
	{quorumOffByOne, "one ballot fewer than the quorum names a winner", inQuorum, map[string]int{"primary-isolated": 8, "link-slow": 8}},
	{positionOnly, "ballots are compared by LSN, whoever owns their timelines", inQuorum, map[string]int{"primary-isolated": 8, "primary-host-frozen": 8}},
	{positionTooEarly, "the ballot's position is read before the receiver is gone", inQuorum, map[string]int{"primary-deaf": 20, "link-half-open": 10}},
	{degradeServerFirst, "the server stops waiting before the record says async", degrading, map[string]int{"standby-killed": 10, "host-lost": 10}},
	{timelineAsTerm, "timelines are numbered and compared without the ledger", either, nil},
	{countUnknown, "ballots count whose position is not known exactly", inQuorum, map[string]int{"standby-killed": 12, "replay-paused": 10}},
	{responseTimeLease, "trust is counted from the answer to a renewal", withoutFailsafe, map[string]int{"etcd-slow-to-primary": 30, "etcd-unreachable-to-primary": 20}},
	{releaseBeforeFence, "the term is surrendered before the server is dead", inAsync, map[string]int{"postmaster-stopped": 8}},
	{nextVotersTooEarly, "the next voters are in force before the term is settled", inQuorum, map[string]int{"winner-lost": 20, "crash-between-steps": 12, "primary-killed": 15}},
	{ledgerAfterwards, "the timeline's number is entered only when the term is settled", either, map[string]int{"crash-between-steps": 15, "primary-killed": 10}},
	{tooFewAfterSilence, "after silence any ballots name a winner", inQuorum, map[string]int{"primary-isolated": 10, "host-isolated": 8}},
	{vetoBeatsBest, "a vetoed best ballot's WAL is not fetched by the winner", inQuorum, map[string]int{"settings-lowered": 25, "link-slow": 10, "primary-isolated": 10}},
	{surrenderForgotten, "a surrender whose answer was lost is taken for failed", inAsync, map[string]int{"etcd-answers-lost": 20, "primary-killed": 10}},
	{trustWithoutGuard, "a restarted sidecar resumes its trust without the guard", inAsync, map[string]int{"primary-sidecar-killed": 12, "etcd-unreachable-to-primary": 12}},
	{silenceOfOurOwn, "a leader counts its own outage as silence of the primary", benign, map[string]int{"standby-etcd-answers-lost": 25}},
	{hungUpBySetting, "hanging up is believed from the setting", inQuorum, map[string]int{"primary-sidecar-stopped": 10, "etcd-unreachable-to-primary": 10}},
	{archiveReadOn, "an archive is read on after the ballot", either, map[string]int{"primary-isolated": 10}},
	{timelineFromControlFile, "the ballot's timeline comes from the control file", inQuorum, map[string]int{"primary-killed": 15, "primary-isolated": 10}},
	{noLatch, "a server that restarts itself comes up writable", inAsync, map[string]int{"backend-crashes": 15}},
	{abstentionForgotten, "a failsafe answer is forgotten", failsafe, map[string]int{"etcd-lost-to-primary-then-blinks": 5}},
	{olderStore, "an older backup of etcd is believed", either, map[string]int{"store-restored": 10}},
	{withdrawnCounted, "a withdrawn ballot still counts", inQuorum, map[string]int{"link-cut": 20, "primary-cut-from-peers": 10, "link-half-open": 10}},
	{ballotUncompared, "a ballot is put without comparing its own revision", inQuorum, map[string]int{"etcd-slow": 25, "primary-cut-from-peers": 15, "etcd-requests-lost": 10}},
	{promiseForgotten, "a promise does not outlive the sidecar", inQuorum, map[string]int{"crash-between-steps": 20, "sidecar-killed": 15, "link-cut": 15, "primary-cut-from-peers": 10}},
	{namesUnstamped, "the names in force do not carry the term", inQuorum, map[string]int{"voter-strays": 25}},
	{serverBeforeRecord, "a voter is added on the server first", inQuorum, nil},
	{kLoweredServerFirst, "k is lowered on the server first", inQuorum, map[string]int{"k-changed": 10}},
	{staleVetoes, "a ballot's vetoes stay as they were when it was given", either, map[string]int{"settings-lowered": 15, "crash-between-steps": 10, "sidecar-killed": 10}},
	{lossEndsAtRenewal, "what is lost is reported up to the last renewal", inAsync, map[string]int{"host-lost": 10, "primary-host-frozen": 5}},
	{lossOfLastTermOnly, "what terms lost that were not settled is not reported", inAsync, map[string]int{"crash-between-steps": 10, "winner-lost": 5}},
	{pauseOverlooked, "a paused cluster is failed over", either, map[string]int{"paused": 10}},
	{orphansIgnored, "a dead postmaster is taken for a fence", inAsync, map[string]int{"backends-left": 15}},
}

func either(*Shape)            {}
func inQuorum(s *Shape)        { s.Quorum = true }
func inAsync(s *Shape)         { s.Quorum = false }
func failsafe(s *Shape)        { s.Quorum, s.Failsafe, s.Benign = false, true, true }
func benign(s *Shape)          { s.Benign = true }
func withoutFailsafe(s *Shape) { s.Quorum, s.Failsafe = false, false }
func degrading(s *Shape)       { s.Quorum, s.Degrade = true, true }

// wantedShape makes a story one in which the planted bug could show.
func wantedShape(planted bug, s *Shape) {
	for i := range bugs {
		if bugs[i].bug == planted {
			s.Benign = false
			bugs[i].shape(s)
		}
	}
}

// extraWeight makes the faults more frequent without which the planted bug could not show.
func extraWeight(planted bug, fault string) int {
	for i := range bugs {
		if bugs[i].bug == planted {
			return bugs[i].faults[fault]
		}
	}
	return 0
}
