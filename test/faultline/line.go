package faultline

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// Line stands between a client and a server and breaks what passes through it. The faults are changed within Set alone.
type Line struct {
	Cut   bool          // no connection lives
	Deaf  bool          // nothing reaches the server
	Mute  bool          // nothing comes back
	Delay time.Duration // of each answer

	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// New opens a line to target, a host and port. Close it after use.
func New(target string) (*Line, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a line to %s: %w", target, err)
	}
	l := &Line{listener: listener, target: target, conns: map[net.Conn]bool{}}
	l.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.running.Go(func() { l.serve(conn) })
		}
	})
	return l, nil
}

// Close cuts the line and waits until nothing of it is left.
func (l *Line) Close() {
	_ = l.listener.Close()
	l.Set(func() { l.Cut, l.Deaf, l.Mute = true, false, false })
	l.running.Wait()
}

// Address is where the client connects to.
func (l *Line) Address() string { return l.listener.Addr().String() }

// Set changes the faults.
func (l *Line) Set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	if l.Cut {
		for conn := range l.conns {
			_ = conn.Close()
		}
	}
}

// keep notes a connection, or says that none may live.
func (l *Line) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[conn] = true
	return !l.Cut
}

func (l *Line) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !l.keep(client) || !l.keep(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.pass(server, client, func() (bool, time.Duration) { return l.Deaf, 0 }) })
	both.Go(func() { l.pass(client, server, func() (bool, time.Duration) { return l.Mute, l.Delay }) })
	both.Wait()
}

// parcel is bytes on their way, and when they arrive.
type parcel struct {
	bytes []byte
	due   time.Time
}

// pass copies from one side to the other, as the faults allow. What is swallowed never arrives; what is delayed holds up
// nothing but itself.
func (l *Line) pass(to, from net.Conn, faults func() (swallow bool, delay time.Duration)) {
	defer to.Close()
	parcels := make(chan parcel, 1000)
	var delivering sync.WaitGroup
	delivering.Go(func() {
		for next := range parcels {
			if wait := time.Until(next.due); wait > 0 {
				<-time.After(wait)
			}
			_, _ = to.Write(next.bytes) // a connection that is gone is found by the reader
		}
	})
	defer delivering.Wait()
	defer close(parcels)
	for {
		buffer := make([]byte, 16<<10)
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		l.mu.Lock()
		swallow, delay := faults()
		l.mu.Unlock()
		if !swallow {
			parcels <- parcel{buffer[:n], time.Now().Add(delay)}
		}
	}
}
