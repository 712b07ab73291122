package guard

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is the hidden command of the program under which the guard's process runs.
const Command = "guard-process"

// File descriptors that a guard inherits, and a later sidecar finds it by.
const (
	memoryFD = 3
	wakeFD   = 4
)

// fenceBound bounds one attempt at fencing, after which its failure is noted and the next begins.
const fenceBound = time.Second

// Hands does what the guard decides, to one data directory.
type Hands struct {
	// Rehearse goes the whole way of Fence and hurts nobody.
	Rehearse func() error
	// Fence returns nil once no process of the data directory is left.
	Fence func(ctx context.Context) error
}

// Run is the guard's process, from the arguments after Command on. reach resolves the data directory while storage is well.
// It returns the exit code: 0 when the guard was let go, 3 after it has fenced, 1 when it could not begin.
func Run(args []string, reach func(dataDir string) (Hands, error)) int {
	j := openJournal(os.Stderr)
	defer j.close()
	w, err := newWatcher(args, reach, j)
	if err == nil {
		err = w.prepare()
	}
	if err != nil {
		j.say("cannot guard: %v", err)
		return 1
	}
	return w.run()
}

// watcher is the guard's process.
type watcher struct {
	hands      Hands
	memory     *memory
	journal    *journal
	dataDir    string
	postmaster int
	addresses  []Address
	terminate  atomic.Bool // SIGTERM came

	timer  int
	keeper int64 // the pid that keeperFD is of
	fds    [4]unix.PollFd
}

// What the guard waits for, in watcher.fds. A negative descriptor is passed over.
const (
	onTimer = iota
	onWake
	onPostmaster
	onKeeper
)

func newWatcher(args []string, reach func(string) (Hands, error), j *journal) (*watcher, error) {
	if len(args) < 2 {
		return nil, fmt.Errorf("%s: want a data directory, a postmaster's pid, and addresses, got %q", Command, args)
	}
	var addresses []Address
	for _, text := range args[2:] {
		a, err := parseAddress(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", Command, err)
		}
		addresses = append(addresses, a)
	}
	postmaster, err := strconv.Atoi(args[1])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Command, err)
	}
	m, err := openMemory(os.Getpid())
	if err != nil {
		return nil, err
	}
	hands, err := reach(args[0])
	if err != nil {
		return nil, err
	}
	timer, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create timer: %w", err)
	}
	w := &watcher{hands: hands, memory: m, journal: j, dataDir: args[0], postmaster: postmaster, addresses: addresses, timer: timer}
	for i, fd := range []int{timer, wakeFD, -1, -1} {
		w.fds[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	return w, nil
}

// prepare takes hold of everything that the guard will need, and goes through its motions once.
func (w *watcher) prepare() error {
	w.detach()
	w.watchPostmaster()
	w.watchKeeper()
	w.memory.rights.Store(takeRights())
	if err := w.hands.Rehearse(); err != nil {
		return fmt.Errorf("rehearse fencing: %w", err)
	}
	if err := w.rehearseRelease(); err != nil {
		return fmt.Errorf("rehearse fencing: %w", err)
	}
	w.sleep(int64(boottime().Add(time.Millisecond)))
	for w.fds[onTimer].Revents == 0 {
		w.wait()
	}
	w.sleep(0)
	_ = w.line("rehearsed", boottime(), boottime())
	runtime.GC()
	w.memory.ready.Store(int64(boottime()))
	w.memory.changed()
	return nil
}

// detach lets go of whatever ties the process to the sidecar's life and terminal. Its session is its own already.
func (w *watcher) detach() {
	_ = os.Chdir("/")
	nameProcess()
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2)
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	go func() {
		for range terminated {
			w.terminate.Store(true)
			wake(wakeFD)
		}
	}()
}

// run guards until it is let go, or has fenced.
func (w *watcher) run() int {
	for {
		now := boottime()
		deadline := w.memory.deadline.Load()
		switch {
		case w.memory.end.Load() != 0:
			return 0
		case deadline == disarmed && w.needless():
			if w.memory.deadline.CompareAndSwap(disarmed, ended) {
				w.memory.changed()
				if w.memory.orphaned.Load() != 0 { // the sidecar may have ended before it had taken them down itself
					awaitRelease(w.release())
				}
				return 0
			}
			continue
		case deadline > 0 && int64(now) >= deadline:
			if w.memory.deadline.CompareAndSwap(deadline, fired) {
				return w.fence()
			}
			continue
		}
		w.sleep(deadline)
		w.wait()
		w.look()
	}
}

// needless says whether nobody is there any more to arm it.
func (w *watcher) needless() bool {
	return w.terminate.Load() || w.fds[onKeeper].Fd < 0 && w.keeper != 0
}

// sleep sets the timer, 0 for none, and says so.
func (w *watcher) sleep(until int64) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(until)}
	if err := unix.TimerfdSettime(w.timer, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		panic(fmt.Sprintf("set timer: %v", err)) // the sidecar sees us go, and starts another
	}
	w.memory.timer.Store(until)
	w.memory.changed()
}

func (w *watcher) wait() {
	for i := range w.fds {
		w.fds[i].Revents = 0
	}
	if _, err := unix.Poll(w.fds[:], -1); err != nil && err != unix.EINTR {
		panic(fmt.Sprintf("wait: %v", err))
	}
}

// look takes note of what woke it.
func (w *watcher) look() {
	if w.fds[onWake].Revents != 0 {
		drain(wakeFD)
	}
	if w.fds[onPostmaster].Revents != 0 {
		w.forget(onPostmaster)
		w.memory.orphaned.Store(1)
		w.memory.changed()
	}
	if w.fds[onKeeper].Revents != 0 {
		w.forget(onKeeper)
	}
	if w.memory.keeper.Load() != w.keeper {
		w.watchKeeper()
	}
}

func (w *watcher) forget(which int) {
	if fd := w.fds[which].Fd; fd >= 0 {
		_ = unix.Close(int(fd))
	}
	w.fds[which].Fd = -1
}

func (w *watcher) watchPostmaster() {
	if w.postmaster == 0 {
		return
	}
	fd, err := unix.PidfdOpen(w.postmaster, 0)
	if err == unix.ESRCH {
		w.memory.orphaned.Store(1)
	}
	if err == nil {
		w.fds[onPostmaster].Fd = int32(fd)
	}
}

// watchKeeper takes hold of the sidecar that the memory names.
func (w *watcher) watchKeeper() {
	w.forget(onKeeper)
	w.keeper = w.memory.keeper.Load()
	if fd, err := unix.PidfdOpen(int(w.keeper), 0); err == nil {
		w.fds[onKeeper].Fd = int32(fd)
	} else if err != unix.ESRCH {
		w.keeper = 0 // it cannot be watched: as if it were always there
	}
}

// fence ends every process of the data directory, however often it takes.
func (w *watcher) fence() int {
	began := boottime()
	w.memory.firedAt.Store(int64(began))
	w.memory.changed()
	released := w.release()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), fenceBound)
		err := w.hands.Fence(ctx)
		cancel()
		if err == nil {
			break
		}
		w.memory.failures.Add(1)
		w.memory.changed()
		w.journal.say("the sidecar did not feed the guard: fencing %s: %v", w.dataDir, err)
	}
	done := boottime()
	w.memory.fencedAt.Store(int64(done))
	w.memory.changed()
	w.journal.say("%s", w.line("fenced", began, done))
	awaitRelease(released)
	return 3
}
