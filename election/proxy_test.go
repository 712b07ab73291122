package election_test

import (
	"net"
	"sync"
	"testing"
	"time"
)

// proxy stands between a client and etcd and breaks what passes through it.
type proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	conns map[net.Conn]bool
	cut   bool          // no connection lives
	deaf  bool          // nothing reaches etcd
	mute  bool          // nothing comes back
	delay time.Duration // of each answer
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, conns: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.set(func() { p.cut, p.deaf, p.mute = true, false, false })
		running.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// set changes the faults.
func (p *proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	if p.cut {
		for conn := range p.conns {
			_ = conn.Close()
		}
	}
}

// keep notes a connection, or says that none may live.
func (p *proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	return !p.cut
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.keep(client) || !p.keep(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pass(server, client, func() (bool, time.Duration) { return p.deaf, 0 }) })
	both.Go(func() { p.pass(client, server, func() (bool, time.Duration) { return p.mute, p.delay }) })
	both.Wait()
}

// parcel is bytes on their way, and when they arrive.
type parcel struct {
	bytes []byte
	due   time.Time
}

// pass copies from one side to the other, as the faults allow. What is swallowed never arrives; what is delayed holds up
// nothing but itself.
func (p *proxy) pass(to, from net.Conn, faults func() (swallow bool, delay time.Duration)) {
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
		p.mu.Lock()
		swallow, delay := faults()
		p.mu.Unlock()
		if !swallow {
			parcels <- parcel{buffer[:n], time.Now().Add(delay)}
		}
	}
}
