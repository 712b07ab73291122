package api

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pgvigil/pgvigil/watchdog"
)

// metrics answers a scrape from one Snapshot. Nothing is counted between scrapes but what the loop counts anyway.
func (s *Server) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		&collector{s.source, s.options},
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	registry.MustRegister(s.options.Metrics...)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2})
}

type collector struct {
	source  Source
	options Options
}

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("pgvigil_"+name, help, labels, nil)
}

var (
	descBuild      = gauge("build_info", "Always 1; the version is a label.", "version", "cluster", "member")
	descTerm       = gauge("term", "The term of the record as this sidecar last read it.")
	descPrimary    = gauge("is_primary", "1 while PostgreSQL accepts writes under unexpired trust.")
	descLeader     = gauge("is_leader", "1 while this sidecar holds the leader key, as it last read it.")
	descRole       = gauge("role", "1 for the role that PostgreSQL has, 0 for the others.", "role")
	descPhase      = gauge("phase", "1 for the phase of the record, 0 for the others.", "phase")
	descTrust      = gauge("trust_left_seconds", "Time until PostgreSQL is fenced unless a renewal succeeds; 0 on members that hold no term.")
	descLoop       = gauge("loop_age_seconds", "Time since the sidecar's loop last finished a turn.")
	descReadAge    = gauge("etcd_read_age_seconds", "Time since the last successful read of etcd was sent.")
	descGuard      = gauge("guard_ready", "1 while a guard process watches PostgreSQL.")
	descTimeline   = gauge("timeline", "PostgreSQL's timeline.")
	descReceived   = gauge("received_lsn_bytes", "Position of the WAL that is flushed here.")
	descReplayed   = gauge("replayed_lsn_bytes", "Position of the WAL that is replayed here; on a primary as received.")
	descStreaming  = gauge("streaming", "1 while a standby's receiver streams.")
	descStill      = gauge("paused", "1 while an operator has paused the cluster.")
	descPaused     = gauge("replay_paused", "1 while replay is paused.")
	descLag        = gauge("lag_bytes", "Standby: bytes of WAL that the primary has flushed and this server has not replayed.")
	descLagSeconds = gauge("lag_seconds", "Standby: for how long the primary has been known to be past what is replayed here.")
	descHeartbeat  = gauge("heartbeat_age_seconds", "Time since the member last answered a heartbeat.", "member")
	descDecisions  = gauge("decisions_total", "Decisions of the loop by reason.", "reason")
	descRenewals   = gauge("renewals_total", "Renewals of trust by outcome.", "outcome")
	descFences     = gauge("fences_total", "Times that this sidecar fenced its server.")
	descPromotions = gauge("promotions_total", "Promotions carried out here.")
	descHandOvers  = gauge("hand_overs_total", "Terms that this sidecar handed over or surrendered.")
	descElections  = gauge("elections_total", "Elections that this sidecar opened as leader.")
	descHeartsLost = gauge("heartbeats_lost_total", "Heartbeats to other members that were not answered in time.")
	descQuorum     = gauge("durability_quorum", "1 while the record's durability is quorum, 0 in async.")
	descWanted     = gauge("durability_wanted_quorum", "1 while the policy asks for quorum.")
	descVoters     = gauge("durability_voters", "Voters of the record's durability.")
	descFailsafe   = gauge("failsafe", "1 while the trust was won from the other members because etcd is lost.")
	descLowCommits = gauge("low_commit_settings", "Settings by which commits wait for no standby though the policy asks for quorum.")
	descFailsafes  = gauge("failsafe_rounds_total", "Rounds of questions that prolonged the trust while etcd was lost.")
	descReadErrors = gauge("etcd_read_errors_total", "Reads of etcd that failed.")
)

// Describe sends nothing: what is collected differs by role, and an unchecked collector is allowed that.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics of one snapshot.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.source.Snapshot()
	set := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	count := func(d *prometheus.Desc, value uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	set(descBuild, 1, c.options.Version, c.options.Cluster, s.Self.Name)
	set(descPrimary, truth(s.Writable))
	set(descTrust, s.TrustLeft.Seconds())
	set(descLoop, s.LoopAge.Seconds())
	set(descGuard, truth(s.View.Me.GuardReady))
	collectCluster(s, set)
	collectServer(s, c.options.Lag, set)
	for name, peer := range s.View.Peers {
		if peer.HeardAt != 0 {
			set(descHeartbeat, age(s, peer.HeardAt).Seconds(), name)
		}
	}
	for reason, n := range s.Counters.Decisions {
		count(descDecisions, n, string(reason))
	}
	count(descRenewals, s.Counters.Renewals, "acknowledged")
	count(descRenewals, s.Counters.RenewalsFailed, "failed")
	count(descFences, s.Counters.Fences)
	count(descPromotions, s.Counters.Promotions)
	count(descHandOvers, s.Counters.HandOvers)
	count(descElections, s.Counters.Elections)
	count(descHeartsLost, s.Counters.HeartbeatsLost)
	count(descReadErrors, s.Counters.StoreReadErrors)
	count(descFailsafes, s.Counters.Failsafes)
	set(descFailsafe, truth(s.View.Trust.Failsafe))
	set(descWanted, truth(s.View.Policy.Durability == watchdog.ModeQuorum))
	set(descLowCommits, float64(len(s.View.Server.LowCommits)))
}

type setter func(d *prometheus.Desc, value float64, labels ...string)

func collectCluster(s Snapshot, set setter) {
	cluster := s.View.Cluster
	if cluster == nil {
		return
	}
	set(descReadAge, age(s, s.View.ReadAt).Seconds())
	set(descLeader, truth(cluster.Leader != "" && cluster.Leader == s.View.Me.Name))
	if r := cluster.Record; r != nil {
		set(descTerm, float64(r.Term))
		set(descQuorum, truth(r.Durability.Mode == watchdog.ModeQuorum))
		set(descStill, truth(r.Paused != nil))
		set(descVoters, float64(len(r.Durability.Voters)))
		for _, phase := range []watchdog.Phase{watchdog.PhaseNormal, watchdog.PhaseElecting, watchdog.PhasePromoting} {
			set(descPhase, truth(r.Phase == phase), string(phase))
		}
	}
}

func collectServer(s Snapshot, memory *Lag, set setter) {
	server := s.View.Server
	for _, role := range []watchdog.Role{
		watchdog.RoleUnknown, watchdog.RoleDown, watchdog.RoleStarting, watchdog.RoleStandby, watchdog.RolePrimary,
	} {
		set(descRole, truth(server.Role == role), string(role))
	}
	set(descTimeline, float64(server.Timeline))
	set(descReceived, float64(server.Received))
	set(descReplayed, float64(server.Replayed))
	if server.Role != watchdog.RoleStandby {
		return
	}
	set(descStreaming, truth(server.Streaming))
	set(descPaused, truth(server.ReplayPaused))
	if lag, known := lagBytes(s); known {
		set(descLag, float64(lag))
	}
	if memory != nil {
		set(descLagSeconds, memory.Behind(server.Replayed).Seconds())
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
