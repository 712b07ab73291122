// Package leftover takes back what a PostgreSQL server that was killed leaves in the kernel.
//
// Every postmaster holds a small System V shared memory segment, which its next start in the same data directory frees. A
// test that kills servers and deletes their directories has no next start: the segments stay until the machine's 4,096 are
// gone, and then no server starts there any more.
//
// It promises to free a segment only when a postmaster.pid names both its id and its key, and nothing is attached to it. It
// does not free dynamic shared memory: servers of tests keep that in their data directory (dynamic_shared_memory_type = mmap).
package leftover
