// Package process knows the processes of one data directory, and kills them.
//
// A process belongs to a data directory when its working directory is that directory and its executable is PostgreSQL's.
// A PostgreSQL server makes its data directory its working directory before it does anything else, and every process that
// it forks keeps it, so this finds the postmaster, its children, and the backends that outlive a postmaster that was killed
// (F49). Neither postmaster.pid, which may be stale or name a pid that now is another's (F57), nor a parent's pid is
// believed.
//
// What it promises:
//
//   - Nothing but Resolve and PIDFile touches storage that may be dead (F52). The directory is resolved once, while storage
//     is well; after that /proc is read. Where a path alone cannot tell (a bind mount, a renamed directory, another mount
//     namespace) the kernel's cached inode is asked, on a goroutine of its own and with a bound.
//   - Zombies are gone: they run no code and hold no file.
//   - A signal reaches the process that was looked at or none: it goes through a pidfd, and the process is looked at again
//     once the pidfd is open.
//   - Kill returns nil only after two scans in a row have found no process of the directory.
//
// What it does not promise:
//
//   - That nobody starts the server again afterwards: systemd may. That is standby.signal's task.
//   - That a process can be killed: one in an uninterruptible wait stays until its disk answers. Kill's error names it.
//   - Programs that a server has started (archive_command, COPY … PROGRAM) are not its processes; they write no WAL.
//   - It sees what /proc shows its own user. It must run as root or as the server's owner.
package process
