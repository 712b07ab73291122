package pgctl

import (
	"sync"

	"github.com/pgvigil/pgvigil/pgctl/process"
)

// master holds the running postmaster.
type master struct {
	mu   sync.Mutex
	held *process.Handle
}

// handle returns hold of the running postmaster, nil when none runs.
func (m *master) handle(dir process.Directory) *process.Handle {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held != nil && m.held.Alive() {
		return m.held
	}
	m.forget()
	pid, ok := process.Postmaster(dir)
	if !ok {
		return nil
	}
	h, err := process.Open(pid)
	if err != nil {
		return nil
	}
	if now, still := process.Postmaster(dir); !still || now != pid {
		_ = h.Close()
		return nil
	}
	m.held = h
	return h
}

// forget lets the handle go. One that has exited is kept open until its channel has closed: whoever waits for it is told.
func (m *master) forget() {
	if h := m.held; h != nil {
		m.held = nil
		reap(h.PID())
		go func() {
			<-h.Exited()
			_ = h.Close()
		}()
	}
}

func (m *master) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held != nil {
		_ = m.held.Close()
		m.held = nil
	}
}
