package guard

import (
	"slices"
	"time"
)

const (
	// releaseTries to take an address down, so far apart, before the guard gives it up.
	releaseTries = 40
	releasePause = 25 * time.Millisecond
	// releaseBound is how long a guard that is done with all else waits for it.
	releaseBound = 2 * time.Second
)

// rehearseRelease goes the way of a removal, if there will be one.
func (w *watcher) rehearseRelease() error {
	if len(w.addresses) == 0 {
		return nil
	}
	return w.addresses[0].Rehearse()
}

// release takes the addresses down beside whatever else the guard does: a kernel that is slow to does not hold up a fence. The
// channel is closed when that is over.
func (w *watcher) release() <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		for _, a := range w.addresses {
			err := a.Remove()
			for try := 1; err != nil && try < releaseTries; try++ {
				time.Sleep(releasePause)
				err = a.Remove()
			}
			if err != nil {
				w.journal.say("%v", err)
			}
		}
	}()
	return over
}

func awaitRelease(over <-chan struct{}) {
	select {
	case <-over:
	case <-time.After(releaseBound):
	}
}

// same says whether the guard takes these addresses down.
func (c *child) same(addresses []Address) bool { return slices.Equal(c.addresses, addresses) }
