package pooler

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgvigil/pgvigil/election/electiontest"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// fakeConsole is a PgBouncer's, in memory.
type fakeConsole struct {
	net.Listener
	mu     sync.Mutex
	said   []string
	paused bool
	deaf   bool // it accepts, and does not answer
}

func newConsole(t *testing.T) *fakeConsole {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &fakeConsole{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.serve(conn)
		}
	}()
	return c
}

func (c *fakeConsole) conninfo() string {
	_, port, _ := net.SplitHostPort(c.Addr().String())
	return "host=127.0.0.1 port=" + port + " user=pgvigil dbname=pgbouncer sslmode=disable"
}

func (c *fakeConsole) serve(conn net.Conn) {
	defer conn.Close()
	b := pgproto3.NewBackend(conn, conn)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	c.mu.Lock()
	deaf := c.deaf
	c.mu.Unlock()
	if deaf {
		_, _ = b.Receive() // until it is hung up on
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for b.Flush() == nil {
		message, err := b.Receive()
		query, is := message.(*pgproto3.Query)
		if err != nil || !is {
			return
		}
		b.Send(c.answer(query.String))
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	}
}

func (c *fakeConsole) answer(query string) pgproto3.BackendMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, query)
	verb, _, _ := strings.Cut(query, " ")
	was := c.paused
	c.paused = verb == "PAUSE"
	switch {
	case verb == "PAUSE" && was:
		return &pgproto3.ErrorResponse{Severity: "ERROR", Code: "08P01", Message: "already suspended/paused"}
	case verb == "RESUME" && !was:
		return &pgproto3.ErrorResponse{Severity: "ERROR", Code: "08P01", Message: "pooler is not paused/suspended"}
	}
	return &pgproto3.CommandComplete{CommandTag: []byte(verb)}
}

func (c *fakeConsole) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *fakeConsole) heard() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.said)
}

// view is a sidecar as the keeper sees it.
type view struct {
	etcd     *electiontest.Cluster
	writable bool
	changed  chan struct{}
}

func (v *view) Changed() <-chan struct{} { return v.changed }

func (v *view) Snapshot() sidecar.Snapshot {
	c, err := v.etcd.Client().Read(context.Background())
	if err != nil {
		return sidecar.Snapshot{}
	}
	return sidecar.Snapshot{Writable: v.writable, View: watchdog.View{Cluster: &c}}
}

// paused is an etcd whose record says that pools are paused for an operation that is over.
func paused(t *testing.T) *view {
	t.Helper()
	v := &view{etcd: electiontest.NewCluster(func() watchdog.Instant { return 0 }), writable: true, changed: make(chan struct{}, 1)}
	var none int64
	r := watchdog.Record{
		SystemID: "7", Term: 4, Seq: 9, Phase: watchdog.PhaseNormal, Primary: "node2", Taken: true,
		Durability: watchdog.Durability{Mode: watchdog.ModeAsync}, Pools: &watchdog.Pools{Operation: "x1", By: "node1"},
	}
	if _, err := v.etcd.Client().Apply(t.Context(), watchdog.Change{Record: &r, If: watchdog.If{RecordRev: &none}}); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *view) pools(t *testing.T) *watchdog.Pools {
	t.Helper()
	c, err := v.etcd.Client().Read(t.Context())
	if err != nil || c.Record == nil {
		t.Fatal(err)
	}
	return c.Record.Pools
}

func keeper(t *testing.T, v *view, config Config) *Keeper {
	t.Helper()
	k, err := Open(Options{Member: "node2", Config: config, Store: v.etcd.Client(), Wall: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// run runs the keeper until so says yes.
func run(t *testing.T, k *Keeper, v *view, so func() bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx, v) }()
	tick, late := time.NewTicker(5*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it did not come to that")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWhatARecordSaysIsResumedByEveryConsole(t *testing.T) {
	v, one, other := paused(t), newConsole(t), newConsole(t)
	one.paused = true // the other was resumed before the last keeper died
	k := keeper(t, v, Config{Consoles: []string{one.conninfo(), other.conninfo()}})
	run(t, k, v, func() bool { return v.pools(t) == nil })
	if said := append(one.heard(), other.heard()...); !slices.Equal(said, []string{"RESUME", "RESUME"}) {
		t.Errorf("%q", said)
	}
}

func TestAConsoleThatDoesNotAnswerIsAskedAgain(t *testing.T) {
	v, one, dead := paused(t), newConsole(t), newConsole(t)
	one.paused, dead.paused, dead.deaf = true, true, true
	k := keeper(t, v, Config{Consoles: []string{one.conninfo(), dead.conninfo()}, Databases: []string{"orders", "Bills"}})
	run(t, k, v, func() bool { return len(one.heard()) > 0 })
	if v.pools(t) == nil {
		t.Error("the record says that all are resumed, and one has not answered")
	}
	dead.set(func() { dead.deaf = false })
	run(t, k, v, func() bool { return v.pools(t) == nil })
	if said := dead.heard(); !slices.Equal(said, []string{`RESUME "orders"`, `RESUME "Bills"`}) {
		t.Errorf("%q", said)
	}
}

func TestAPauseIsBoundedAndWhatItLeftIsResumed(t *testing.T) {
	v, one, dead := paused(t), newConsole(t), newConsole(t)
	dead.deaf = true
	k := keeper(t, v, Config{Consoles: []string{one.conninfo(), dead.conninfo()}, Timeout: watchdog.Duration(50 * time.Millisecond)})
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	if err := k.Pause(ctx, "x2"); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	cancel()
	dead.set(func() { dead.deaf = false })
	run(t, k, v, func() bool { return v.pools(t) == nil && len(one.heard()) > 1 })
	if !slices.Equal(one.heard(), []string{"PAUSE", "RESUME"}) {
		t.Errorf("%q", one.heard())
	}
}

// Another has resumed the pools, and our own PAUSE came after: it is taken back though the record says nothing of it.
func TestAPauseThatCameTooLateIsTakenBack(t *testing.T) {
	v, one := paused(t), newConsole(t)
	k := keeper(t, v, Config{Consoles: []string{one.conninfo()}})
	if err := k.tell(t.Context(), "x1"); err != nil || v.pools(t) != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	if err := k.Pause(ctx, "x1"); err != nil {
		t.Fatal(err)
	}
	if k.stray(watchdog.Record{}) {
		t.Error("our own switchover goes on, and its PAUSE is taken for a stray one")
	}
	end()
	run(t, k, v, func() bool { return len(one.heard()) == 2 })
	if !slices.Equal(one.heard(), []string{"PAUSE", "RESUME"}) {
		t.Errorf("%q", one.heard())
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for want, c := range map[string]Config{
		"consoles: cannot parse":  {Consoles: []string{"host=a port=x"}},
		"consoles: it is missing": {Databases: []string{"orders"}},
		"is no name":              {Consoles: []string{"host=a"}, Databases: []string{`a"b`}},
		"timeout: 1h0m0s":         {Consoles: []string{"host=a"}, Timeout: watchdog.Duration(time.Hour)},
	} {
		if got := c.Complaints(); len(got) != 1 || !strings.Contains(got[0].Error(), want) {
			t.Errorf("%+v: %v, want %q", c, got, want)
		}
	}
	if got := (Config{}).Complaints(); len(got) != 0 {
		t.Errorf("nothing configured: %v", got)
	}
}
