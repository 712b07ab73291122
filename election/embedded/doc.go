// Package embedded runs an etcd member inside the sidecar, for those who have no etcd.
//
// # Promises
//
//   - It is etcd's own server with its own data on disk: an embedded member and one of Debian's can be members of one cluster,
//     and its data directory can be moved to a server of the same version. The directory is its own, mode 0700.
//   - Started again over existing data, it goes on as the member that it was; what the configuration says of the initial
//     cluster is then not looked at.
//   - Start does not wait for the other members: Ready says when requests can be served. Done says that the member has ended,
//     by Stop or by itself.
//   - Stop gives etcd's leadership to another member first, so that nobody waits for an election.
//   - It logs warnings and errors, to the logger it is given.
//
// The settings are those for a small, quick store: a heartbeat of 100 ms, an election after 1000 ms, a snapshot every 2,000
// changes, history compacted each hour, etcd's default quota. An election timeout shorter than that would make a slow disk
// look like a dead leader, and leases shorter than one and a half of it are lengthened by etcd.
//
// # What it does not promise
//
// Isolation. It shares the sidecar's process: where etcd panics over its own data, the sidecar ends with it, and the guard
// fences a primary beside it in time. It adds and removes no members, defragments nothing, and makes no backups: etcdctl
// does, through the client's port.
package embedded
