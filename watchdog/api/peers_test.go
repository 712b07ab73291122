package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// serve runs a server of the source on a free port until the test ends, and returns its base URL and how many connections
// it has accepted.
func serve(t *testing.T, source Source, options Options) (string, *atomic.Int64) {
	t.Helper()
	options.Listen = "127.0.0.1:0"
	server := NewServer(source, options)
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Int64
	server.faces[0].http.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			accepted.Add(1)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + server.Addr().String(), &accepted
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

var me = watchdog.Member{Name: "node1", Role: watchdog.RolePrimary, Received: 0x5000000, Vetoes: []watchdog.Veto{watchdog.VetoNoFailover}}

func TestHeartbeatsShareOneConnection(t *testing.T) {
	source := &stage{snapshot: standby()}
	api, accepted := serve(t, source, Options{Cluster: "orders"})
	peers := NewPeers(Options{Cluster: "orders"})
	defer peers.Close()
	for range 20 {
		peer, answered, err := peers.Heartbeat(within(t, 5*time.Second), api, me)
		if err != nil || !answered || peer.Name != "node2" {
			t.Fatalf("heartbeat: %v answered %t, %v", peer, answered, err)
		}
	}
	if n := accepted.Load(); n != 1 {
		t.Errorf("%d connections for 20 heartbeats", n)
	}
	heard := source.hearings()
	if len(heard) != 20 || heard[0].Received != me.Received || !heard[0].HasVeto(watchdog.VetoNoFailover) {
		t.Errorf("heard %d: %+v", len(heard), heard)
	}
}

func TestAKeptConnectionThatWasClosedIsMadeAnew(t *testing.T) {
	source := &stage{snapshot: standby()}
	options := Options{Listen: "127.0.0.1:0", Cluster: "orders"}
	server := NewServer(source, options)
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	address := server.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	peers := NewPeers(options)
	defer peers.Close()
	if _, _, err := peers.Heartbeat(within(t, 5*time.Second), "http://"+address, me); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if _, answered, err := peers.Heartbeat(within(t, 5*time.Second), "http://"+address, me); err == nil || !answered {
		t.Errorf("a refused connection: answered %t, %v; want an answer and an error", answered, err)
	}
	again := NewServer(source, Options{Listen: address, Cluster: "orders"})
	ctx, stop = context.WithCancel(t.Context())
	if err := again.Listen(); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- again.Run(ctx) }()
	if peer, _, err := peers.Heartbeat(within(t, 5*time.Second), "http://"+address, me); err != nil || peer.Name != "node2" {
		t.Errorf("after the restart: %v %v", peer, err)
	}
	stop()
	<-ended
}

// listen accepts connections and does with each what the test says.
func listen(t *testing.T, each func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			each(conn)
		}
	}()
	return "http://" + l.Addr().String()
}

func TestWhatCountsAsAnAnswer(t *testing.T) {
	foreign, _ := serve(t, &stage{snapshot: standby()}, Options{Cluster: "billing"})
	for _, test := range []struct {
		name     string
		api      string
		answered bool
	}{
		{"another cluster's sidecar", foreign, true},
		{"a host that cuts the connection", listen(t, func(c net.Conn) { c.Close() }), true},
		{"something that is not HTTP", listen(t, func(c net.Conn) { fmt.Fprintln(c, "SSH-2.0"); c.Close() }), true},
		{"an HTTP answer without a member", listen(t, func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") }), true},
		{"a stopped process, for which its kernel accepts", listen(t, func(net.Conn) {}), false},
		{"an address that is none", "node2:8008", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			peers := NewPeers(Options{Cluster: "orders"})
			defer peers.Close()
			for range 2 { // the second finds what the first left
				_, answered, err := peers.Heartbeat(within(t, 100*time.Millisecond), test.api, me)
				if err == nil || answered != test.answered {
					t.Errorf("answered %t, %v; want answered %t and an error", answered, err, test.answered)
				}
			}
		})
	}
}

func TestAHeartbeatWhoseSenderHasGivenUpIsNotHeard(t *testing.T) {
	source := &stage{snapshot: standby()}
	server := NewServer(source, Options{Listen: "127.0.0.1:0", Cluster: "orders"})
	if err := server.Listen(); err != nil { // the kernel accepts; nobody serves, as when the process is stopped
		t.Fatal(err)
	}
	api := "http://" + server.Addr().String()
	peers := NewPeers(Options{Cluster: "orders"})
	defer peers.Close()
	for range 3 {
		if _, answered, err := peers.Heartbeat(within(t, 30*time.Millisecond), api, me); err == nil || answered {
			t.Fatalf("a stopped process: answered %t, %v", answered, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	fresh := me
	fresh.Received = 0x6000000
	if _, _, err := peers.Heartbeat(within(t, 5*time.Second), api, fresh); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended
	if heard := source.hearings(); len(heard) != 1 || heard[0].Received != fresh.Received {
		t.Errorf("heard %d heartbeats, want the fresh one alone: %+v", len(heard), heard)
	}
}

func TestHeartbeatEndsWithItsContext(t *testing.T) {
	peers := NewPeers(Options{})
	defer peers.Close()
	ctx, cancel := context.WithCancel(t.Context())
	api := listen(t, func(c net.Conn) { // the request is there: the caller waits for the answer now
		c.Read(make([]byte, 1))
		cancel()
	})
	if _, answered, err := peers.Heartbeat(ctx, api, me); err == nil || answered {
		t.Errorf("after its context was cancelled: answered %t, %v", answered, err)
	}
}

func TestTail(t *testing.T) {
	wal := strings.Repeat("wal.", 100_000)
	whole, _ := serve(t, &stage{wal: wal}, Options{})
	cut, _ := serve(t, &stage{wal: wal, broken: errBroken}, Options{})
	empty, _ := serve(t, &stage{broken: errBroken}, Options{})
	peers := NewPeers(Options{})
	fetch := func(api, token string) (string, error) {
		body, err := peers.Tail(within(t, 5*time.Second),
			watchdog.Tail{From: "node1", API: api, Token: token, Timeline: 3, End: 0x5061A80}, 0x5000000)
		if err != nil {
			return "", err
		}
		defer body.Close()
		data, err := io.ReadAll(body)
		return string(data), err
	}
	if got, err := fetch(whole, "open sesame"); err != nil || got != wal {
		t.Errorf("the tail: %d bytes, %v; want %d", len(got), err, len(wal))
	}
	if _, err := fetch(whole, "wrong"); !errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), "node1") {
		t.Errorf("with a wrong token: %v", err)
	}
	if _, err := fetch(whole, ""); !errors.Is(err, ErrForbidden) {
		t.Errorf("without a token: %v", err)
	}
	if got, err := fetch(cut, "open sesame"); err == nil {
		t.Errorf("a tail that broke off was taken for whole: %d bytes", len(got))
	}
	if _, err := fetch(empty, "open sesame"); err == nil || !strings.Contains(err.Error(), errBroken.Error()) {
		t.Errorf("a tail that could not be read: %v", err)
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	server := NewServer(&stage{snapshot: standby()}, Options{Listen: "127.0.0.1:0"})
	if err := server.Listen(); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	peers := NewPeers(Options{})
	defer peers.Close()
	api := "http://" + server.Addr().String()
	b.ReportAllocs()
	for b.Loop() {
		deadline, done := context.WithTimeout(ctx, time.Second)
		if _, _, err := peers.Heartbeat(deadline, api, me); err != nil {
			b.Fatal(err)
		}
		done()
	}
	cancel()
	<-ended
}
