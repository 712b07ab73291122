package watchdog

// Reason names a leaf of a decision: in logs, events, metrics and status it is the same word.
type Reason string

// The reasons.
const (
	// Waiting, with nothing to do.
	ReasonStoreUnread     Reason = "etcd-not-read-yet"
	ReasonStoreForeign    Reason = "etcd-is-another"        // its cluster id is not the one that we were admitted under (F19)
	ReasonStoreBehind     Reason = "etcd-is-behind"         // its record is older than what our disk has seen (F19)
	ReasonRecordGarbage   Reason = "record-unreadable"      // (F18)
	ReasonRecordMissing   Reason = "record-missing"         // and we may not write it again
	ReasonNoPrimaryYet    Reason = "no-primary-yet"         // nobody has created the record, and a standby never does
	ReasonServerUnknown   Reason = "server-not-known"       //
	ReasonUnregistered    Reason = "not-registered"         //
	ReasonOperating       Reason = "operation-under-way"    //
	ReasonHolding         Reason = "primary"                // the server is writable under our term
	ReasonFollowing       Reason = "following"              //
	ReasonNotStreaming    Reason = "not-streaming"          //
	ReasonServingTail     Reason = "serving-tail"           // the heir may need our WAL: our server stays down
	ReasonWaitingPromote  Reason = "waiting-for-promotion"  // of the one named
	ReasonWaitingUpstream Reason = "waiting-for-upstream"   // the standby that ours follows is not well yet
	ReasonWaitingHeard    Reason = "waiting-for-heartbeats" // before an heir is chosen
	ReasonBalloted        Reason = "ballot-given"           //
	ReasonWaitingBallots  Reason = "waiting-for-ballots"    //
	ReasonAbstains        Reason = "abstains"               // we told the primary so while etcd was lost
	ReasonBlocked         Reason = "commits-wait"           // fewer than k standbys are left, and commits wait for them
	ReasonSettling        Reason = "settling"               // writable, and k of the next voters do not have its WAL yet
	ReasonWouldLose       Reason = "would-lose-too-much"    // the best candidate is beyond the lag limit
	ReasonNoCandidate     Reason = "no-candidate"           // every ballot is vetoed or unknown
	ReasonHungNoHeir      Reason = "hangs-without-heir"     // our server hangs, and nobody could take over
	ReasonUpstreamUnknown Reason = "upstream-not-known"     // the primary's address is not in etcd
	ReasonStuck           Reason = "cannot-rejoin"          // every rung of the ladder failed; a person is needed
	ReasonPaused          Reason = "paused"                 // by an operator: what would be done is not
	ReasonRetryLater      Reason = "retry-later"            // an operation failed a moment ago
	ReasonNotReady        Reason = "not-ready-to-promote"   // named, and our server or guard is not there yet

	// Refusing to start.
	ReasonNameInUse      Reason = "name-in-use"               // (F65)
	ReasonForeignSystem  Reason = "foreign-system-identifier" // (F65)
	ReasonTwoPrimaries   Reason = "two-primaries"             //
	ReasonRemoved        Reason = "removed"                   // an operator removed this member from the cluster
	ReasonServerDownHere Reason = "server-down-before-join"   //

	// Acting.
	ReasonRegister         Reason = "register"
	ReasonAdopt            Reason = "adopt"          // a running primary, no record
	ReasonJoin             Reason = "join"           // a standby of the record's system
	ReasonRemember         Reason = "remember"       // the record went on: our disk notes it
	ReasonRestore          Reason = "restore-record" // lost from etcd under our unexpired trust
	ReasonConfirm          Reason = "confirm-members"
	ReasonLatch            Reason = "latch"
	ReasonCampaign         Reason = "campaign"
	ReasonResign           Reason = "resign"           // the leader lives away from the primary's host
	ReasonTrustOver        Reason = "trust-expired"    // fence: no renewal was acknowledged in time
	ReasonOvertaken        Reason = "overtaken"        // fence: another term has begun
	ReasonStrayPrimary     Reason = "stray-primary"    // fence: writable without a term of ours
	ReasonLeftBehind       Reason = "backends-left"    // fence: the postmaster is dead, its backends are not (F49)
	ReasonServerExited     Reason = "server-exited"    // hand over
	ReasonServerCrashed    Reason = "server-restarted" // fence and hand over: it came up, or will, as a standby
	ReasonServerHangs      Reason = "server-hangs"     // fence and hand over (F48)
	ReasonStorageSick      Reason = "storage-sick"     // fence and hand over (F52)
	ReasonGuardMissing     Reason = "guard-missing"    // fence and hand over: no guard, no primary
	ReasonNoProgress       Reason = "no-progress"      // a winner gives its term up, or is passed over
	ReasonNamed            Reason = "named"            // promote
	ReasonResume           Reason = "resume-promotion" // promote, after a crash in the middle
	ReasonSilence          Reason = "primary-silent"   // open an election
	ReasonElected          Reason = "elected"          // name the winner
	ReasonVote             Reason = "vote"             // hang up and give a ballot
	ReasonStartToVote      Reason = "start-to-vote"    // start detached, to know the end of WAL
	ReasonSuspect          Reason = "vote-in-advance"  // the primary's sidecar and server are silent
	ReasonWithdraw         Reason = "withdraw-ballot"  // the primary is heard again
	ReasonOverruled        Reason = "voters-hung-up"   // quorum: name the winner, though the old primary may live
	ReasonSynchronise      Reason = "synchronise"      // make the server wait for the voters
	ReasonVoters           Reason = "voters"           // the record's durability follows the server's, or goes before it
	ReasonAsked            Reason = "asked"            // by an operator
	ReasonDrill            Reason = "drill"            // a rehearsal
	ReasonDue              Reason = "due"              // what was scheduled begins
	ReasonWithdrawn        Reason = "withdrawn"        // what was scheduled is not to be
	ReasonPoolsPaused      Reason = "pools-paused"     // so that clients wait
	ReasonPoolsResumed     Reason = "pools-resumed"    //
	ReasonSwitchover       Reason = "switchover"
	ReasonDryRun           Reason = "dry-run"
	ReasonOperationFailed  Reason = "operation-failed"
	ReasonOperationDone    Reason = "operation-done"
	ReasonChore            Reason = "chore"   // an operator asked it of this member's server
	ReasonRestart          Reason = "restart" // of the primary in place: it takes the next term itself
	ReasonUnknownOperation Reason = "operation-unknown"
	ReasonByHand           Reason = "by-hand"    // an operator decided an election that waited
	ReasonPutBack          Reason = "put-back"   // a switchover failed after the shutdown: the old primary takes the next term itself
	ReasonPauseOver        Reason = "pause-over" // its time limit ended a pause
	ReasonPolicy           Reason = "policy-changed"
	ReasonDegrade          Reason = "degrade"          // fewer than k standbys are left: to async, by the policy
	ReasonRejoin           Reason = "rejoin"           // start as a standby
	ReasonRewind           Reason = "rejoin-by-rewind" //
	ReasonClone            Reason = "rejoin-by-clone"  //
	ReasonRepoint          Reason = "repoint"          //
	ReasonProd             Reason = "prod"             //
	ReasonPromoted         Reason = "promoted"         // the term is settled
	ReasonSettled          Reason = "settled"          //
	ReasonFound            Reason = "found"            // a check has found something new
	ReasonMended           Reason = "mended"           // … and nothing new, but something is no longer so
	ReasonAlertRefused     Reason = "alert-refused"    // its receiver has refused an alert again and again
	ReasonAlertsLost       Reason = "alerts-lost"      // events were removed before a receiver had them
)
