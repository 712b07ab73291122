package process

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// waitSlice bounds one wait for processes to go, after which the context is looked at, and the table again.
	waitSlice = 10 * time.Millisecond
	// waitMost bounds how many pidfds are held at once, well below any limit of open files.
	waitMost = 256
	// emptyScans are needed in a row: a single scan of /proc is not atomic, and a process that was forked while it ran, with a
	// pid behind it, is seen by the next.
	emptyScans = 2
)

// Options says how to kill.
type Options struct {
	// Gentle is how long an immediate shutdown may take, that is asked of a running postmaster first. 0: SIGKILL at once. It is
	// skipped when no postmaster lives, or it is stopped and could not act on it.
	Gentle time.Duration
}

// Report is what killing came to.
type Report struct {
	Found  []int // every pid that was seen, in the order in which it was
	Killed int   // how many were sent SIGKILL
	Gentle bool  // an immediate shutdown was asked for
	Left   []int // still alive when the context ended
	Took   time.Duration
}

// Kill ends every process of the directory and returns nil once none is left: the postmaster first, so that it forks no
// more, then all others, again and again. It gives up when ctx ends, naming the pids that are left: SIGKILL does not end an
// uninterruptible wait.
func Kill(ctx context.Context, d Directory, o Options) (Report, error) {
	k := newKilling(ctx, d)
	began := time.Now()
	err := k.run(o)
	k.report.Took = time.Since(began)
	return k.report, err
}

// Rehearse goes the way of Kill once, on the processes that are there and on our own, and hurts none: it sends signal 0. A
// process that has locked its memory needs no disk afterwards to kill.
func Rehearse(d Directory) error {
	k := newKilling(context.Background(), d)
	k.dry = true
	found := k.scan()
	if own, _, ok := stat(os.Getpid()); ok {
		found = append(found, own)
	}
	if len(found) == 0 {
		return fmt.Errorf("rehearse killing the processes of %s: cannot read /proc", d)
	}
	k.ask(found, time.Millisecond)
	k.kill(found)
	_ = k.giveUp(found, context.DeadlineExceeded).Error()
	return nil
}

type killing struct {
	ctx    context.Context
	dir    Directory
	report Report
	seen   map[int]bool
	most   int  // processes held at once
	dry    bool // signal 0
}

func newKilling(ctx context.Context, d Directory) *killing {
	return &killing{ctx: ctx, dir: d, seen: map[int]bool{}, most: waitMost}
}

func (k *killing) signal(h held, sig unix.Signal) error {
	if k.dry {
		sig = 0
	}
	return h.signal(sig)
}

func (k *killing) run(o Options) error {
	for empty := 0; empty < emptyScans; {
		found := k.scan()
		if len(found) == 0 {
			empty++
			continue
		}
		empty = 0
		if err := k.ctx.Err(); err != nil {
			return k.giveUp(found, err)
		}
		if !k.report.Gentle && k.report.Killed == 0 && k.ask(found, o.Gentle) {
			continue
		}
		k.kill(found)
	}
	return nil
}

func (k *killing) scan() []Process {
	found := Find(k.dir)
	for _, p := range found {
		if !k.seen[p.PID] {
			k.seen[p.PID] = true
			k.report.Found = append(k.report.Found, p.PID)
		}
	}
	return found
}

// ask requests an immediate shutdown of the postmaster and waits for all to go. It returns false if there was nobody to ask.
func (k *killing) ask(found []Process, most time.Duration) bool {
	if most <= 0 || !forked(found) || found[0].stopped() {
		return false
	}
	held := k.hold(found)
	defer release(held)
	if len(held) == 0 || held[0].PID != found[0].PID || k.signal(held[0], unix.SIGQUIT) != nil {
		return false
	}
	k.report.Gentle = true
	for until := time.Now().Add(most); k.ctx.Err() == nil; {
		rest := time.Until(until)
		if rest <= 0 || awaitAll(held, min(rest, waitSlice)) {
			break
		}
	}
	return true
}

// kill sends SIGKILL to all of found, in order, and waits a slice for the last of them to go.
func (k *killing) kill(found []Process) {
	for batch := range slices.Chunk(found, k.most) {
		held := k.hold(batch)
		for _, h := range held {
			if k.signal(h, unix.SIGKILL) == nil {
				k.report.Killed++
			}
		}
		if batch[len(batch)-1] == found[len(found)-1] {
			awaitAll(held, waitSlice)
		}
		release(held)
	}
}

func (k *killing) giveUp(found []Process, cause error) error {
	for _, p := range found {
		k.report.Left = append(k.report.Left, p.PID)
	}
	states := make([]string, len(found))
	for i, p := range found {
		states[i] = fmt.Sprintf("%d (state %c)", p.PID, p.State)
	}
	return fmt.Errorf("kill the processes of %s: %v are left: %w", k.dir, states, cause)
}

// held is a process that was looked at again after its pidfd was opened.
type held struct {
	Process
	fd int // -1: no pidfd to be had
}

// hold opens those of found that are still what they were.
func (k *killing) hold(found []Process) []held {
	list := make([]held, 0, len(found))
	for _, p := range found[:min(len(found), k.most)] {
		fd, err := openPIDFD(p.PID)
		if err != nil {
			fd = -1
		}
		if now, _, ok := stat(p.PID); err == unix.ESRCH || !ok || now.Start != p.Start {
			release([]held{{fd: fd}})
			continue
		}
		list = append(list, held{Process: p, fd: fd})
	}
	return list
}

func (h held) signal(sig unix.Signal) error {
	if h.fd < 0 {
		return unix.Kill(h.PID, sig)
	}
	return unix.PidfdSendSignal(h.fd, sig, nil, 0)
}

func release(list []held) {
	for _, h := range list {
		if h.fd >= 0 {
			_ = unix.Close(h.fd)
		}
	}
}

// awaitAll waits until all of list have exited, and says whether they have, within the time given.
func awaitAll(list []held, most time.Duration) bool {
	left := slices.Clone(list)
	for until := time.Now().Add(most); len(left) > 0; {
		rest := time.Until(until)
		if rest <= 0 {
			return false
		}
		left = awaitSome(left, rest)
	}
	return true
}

// awaitSome waits until one of list has exited, or for that time, and returns the others.
func awaitSome(list []held, most time.Duration) []held {
	fds := make([]unix.PollFd, len(list))
	for i, h := range list {
		fds[i] = unix.PollFd{Fd: int32(h.fd), Events: unix.POLLIN} // poll passes over a negative one
		if h.fd < 0 {
			most = min(most, goneTick)
		}
	}
	timeout := unix.NsecToTimespec(most.Nanoseconds())
	if _, err := unix.Ppoll(fds, &timeout, nil); err != nil {
		return list // interrupted: the caller's time runs on
	}
	var left []held
	for i, h := range list {
		gone := fds[i].Revents != 0
		if h.fd < 0 {
			gone = !Exists(h.PID, h.Start)
		}
		if !gone {
			left = append(left, h)
		}
	}
	return left
}
