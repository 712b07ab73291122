// Package pgctl runs one PostgreSQL server: its programs, its files, its sessions. It is the only package that does, one
// file for each verb, and it decides nothing: watchdog does.
//
//	Instance ── observe, knock ──────────── one kept session, /proc, a bounded look at files
//	         ── latch, start, stop, fence ─ the data directory, pg_ctl, package process
//	         ── repoint, prod, hang up ──── postgresql.auto.conf or recovery.conf, SIGHUP, SIGTERM
//	         ── end of WAL, tail, promote ─ raw WAL, trigger files
//	         ── receipt, rewind, clone ──── pg_rewind, pg_basebackup
//
// All that differs between major versions stands in one table, in version.go.
//
// What it promises:
//
//   - Every call ends with its context, but ProbeStorage, which may hang as long as the disk does.
//   - Observe, Knock, Exited, Broken and Fence never wait for the data directory's storage, nor for a verb under way (F52).
//     Observe gives up waiting, never its connection: a server whose postmaster hangs lets nobody in again (F48).
//   - What could not be found out is unknown. No timeout is taken for death (F50).
//   - A file that is rewritten is replaced atomically and synced, keeps its mode, and keeps every line that is not pgvigil's.
//     The user's primary_conninfo and restore_command survive a hang-up and a restart of the sidecar (F62).
//   - As root, it does to the server's files and sockets nothing that the server's owner could not.
//   - Its sessions wait neither for synchronous standbys nor for locks without a bound (F45).
//
// What it does not promise:
//
//   - That nobody else starts, stops or configures the server. An ALTER SYSTEM at the same instant as an edit of ours is lost.
//   - That a standby streams once it has been repointed: that is observed.
//   - That a standby of 13 and below that has hung up reads no archive: its restore_command needs a restart.
//   - To know a server's positions while no session can be had: the control file's are a lower bound (F31).
package pgctl
