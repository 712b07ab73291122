// Package api is the sidecar's HTTP face. A Server answers load balancers (/primary, /replica, /health, /liveness,
// /readiness), people and programs (/status, /metrics) and the other sidecars (/heartbeat, /tail); Peers is the client
// side of those last two.
//
// It decides nothing: every answer is read from the Source, which hands out the loop's last view and decision. /primary
// is 200 only while PostgreSQL accepts writes under unexpired trust, so that no load balancer sends a client to a server
// that is about to be fenced.
//
// Heartbeats set the idle cost of a sidecar (four a second to and from each member), so their path logs nothing, keeps
// one connection per member and reuses its buffers.
//
// Operators (/operator/...) name a bearer token, which is compared in constant time; without one configured they are refused.
// They read the cluster and its events, and ask by watchdog.Request and nothing else: package request judges it here as it does
// beside the command line. With a certificate these endpoints are served by TLS, and then only so.
//
// What it does not promise: the plain port has no encryption and knows no users. Whoever reaches the port can read the cluster's
// state and pretend to be a member that heartbeats; raw WAL is served only to the one who names the token that etcd
// holds. Keep the port on the network that PostgreSQL's replication uses.
package api
