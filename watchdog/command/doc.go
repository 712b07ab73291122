// Package command runs the operator's programs: hooks, and alerts that leave by one.
//
// What it promises: the program runs without a shell, in a process group of its own, which is killed whole when its time is
// up; Run returns within moments of that, even where the kernel cannot end a process that hangs in a dead disk; of what the
// program says the end is kept, and no more; pgvigil's own settings, which may hold passwords, are not in its environment.
//
// What it does not promise: that children that leave the group are ended, or that anything is tried again.
package command
