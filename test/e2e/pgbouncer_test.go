package e2e

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

// pooled is a cluster behind a PgBouncer that its sidecars pause.
type pooled struct {
	*cluster
	bouncer *lab.PgBouncer
	console *pgconn.Config
}

func behindPgBouncer(t *testing.T) *pooled {
	t.Helper()
	if _, err := lab.FindPgBouncer(); err != nil {
		t.Skip("needs PgBouncer (Debian's package pgbouncer)")
	}
	port, console, err := lab.ReservePgBouncer()
	if err != nil {
		t.Fatal(err)
	}
	p := &pooled{cluster: whole(t, func(o *lab.Options) {
		o.Config = fmt.Sprintf("pgbouncer:\n  consoles: [\"%s\"]\n  timeout: 2s\n", console)
	})}
	p.bouncer, err = p.StartPgBouncer(port)
	p.must(err)
	t.Cleanup(p.bouncer.Close)
	p.console, err = pgconn.ParseConfig(console)
	p.must(err)
	p.must(p.primary.Execute(p.ctx, "CREATE TABLE pooled (id bigint PRIMARY KEY)"))
	p.must(p.Until(p.ctx, "PgBouncer answers", soon, func() bool { _, ok := p.paused(); return ok }))
	return p
}

// paused says whether the pool is paused.
func (p *pooled) paused() (is, answered bool) {
	bounded, cancel := context.WithTimeout(p.ctx, 2*time.Second)
	defer cancel()
	conn, err := pgconn.ConnectConfig(bounded, p.console)
	if err != nil {
		return false, false
	}
	defer conn.Close(bounded)
	results, err := conn.Exec(bounded, "SHOW DATABASES").ReadAll()
	if err != nil || len(results) != 1 {
		return false, false
	}
	for _, row := range results[0].Rows {
		for i, column := range results[0].FieldDescriptions {
			is = is || column.Name == "paused" && string(row[i]) != "0"
		}
	}
	return is, true
}

// resumed waits until the record and PgBouncer say that nothing is paused.
func (p *pooled) resumed() {
	p.t.Helper()
	p.must(p.Until(p.ctx, "the pools are resumed", soon, func() bool {
		is, answered := p.paused()
		return answered && !is && p.keys().Record.Pools == nil
	}))
}

// clients write through the pool, each on a session that it keeps, and note what they were told.
type clients struct {
	running sync.WaitGroup
	stop    context.CancelFunc
	mu      sync.Mutex
	next    int64
	acked   []int64
	errors  []error
	longest time.Duration
}

func (p *pooled) clients(n int) *clients {
	ctx, stop := context.WithCancel(p.ctx)
	c := &clients{stop: stop}
	for range n {
		c.running.Go(func() { c.write(ctx, p.bouncer.Conninfo()) })
	}
	p.t.Cleanup(func() { c.end() })
	return c
}

func (c *clients) end() {
	c.stop()
	c.running.Wait()
}

func (c *clients) write(ctx context.Context, conninfo string) {
	config, err := pgx.ParseConfig(conninfo)
	if err == nil {
		config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	}
	for ctx.Err() == nil && err == nil {
		var conn *pgx.Conn
		if conn, err = pgx.ConnectConfig(ctx, config); err != nil {
			break
		}
		for ctx.Err() == nil && err == nil {
			c.mu.Lock()
			c.next++
			id := c.next
			c.mu.Unlock()
			began := time.Now()
			_, err = conn.Exec(context.WithoutCancel(ctx), "INSERT INTO pooled VALUES ($1)", id)
			c.mu.Lock()
			if err == nil {
				c.acked = append(c.acked, id)
				c.longest = max(c.longest, time.Since(began))
			}
			c.mu.Unlock()
		}
		_ = conn.Close(context.WithoutCancel(ctx))
	}
	if err != nil && ctx.Err() == nil {
		c.mu.Lock()
		c.errors = append(c.errors, err)
		c.mu.Unlock()
	}
}

func (c *clients) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acked)
}

// Clients of a pool see no error while the primary changes hands, only a wait, and nothing that they were told is lost.
func TestClientsBehindPgBouncerSeeNoError(t *testing.T) {
	p := behindPgBouncer(t)
	c := p.clients(4)
	p.must(p.Until(p.ctx, "the clients write", soon, func() bool { return c.count() > 100 }))
	for range 3 {
		a, err := p.switchover()
		p.must(err)
		if !a.OK {
			t.Fatalf("%+v", a)
		}
		before := c.count()
		p.must(p.Until(p.ctx, "the clients write on", soon, func() bool { return c.count() > before+100 }))
		p.resumed()
		p.primary, err = p.WaitWhole(p.ctx, rejoin)
		p.must(err)
	}
	c.end()
	for _, err := range c.errors {
		t.Errorf("a client saw: %v", err)
	}
	if n := p.primary.Ask(p.ctx, "SELECT count(*) FROM pooled"); n != fmt.Sprint(len(c.acked)) {
		t.Errorf("%d writes acknowledged, %s there", len(c.acked), n)
	}
	t.Logf("%d writes, the longest took %s", len(c.acked), c.longest.Round(time.Millisecond))
	p.wholeAgain()
}

// Whoever dies on the way, the pools do not stay paused.
func TestPoolsAreResumedWhoeverDies(t *testing.T) {
	for _, step := range []string{"switchover-pause", "switchover-paused", "switchover-stopped", "handed-over"} {
		t.Run(step, func(t *testing.T) {
			p := behindPgBouncer(t)
			p.primary.Env("PGVIGIL_CRASH_AT=" + step)
			p.must(p.primary.Sidecar().Stop())
			p.must(p.primary.StartSidecar())
			p.must(p.WaitSidecar(p.ctx, soon, p.primary))
			p.struck = time.Now()
			_, err := p.Command("switchover", "--yes", "--wait", "0")
			p.must(err)
			p.crashed([]*lab.Node{p.primary})
			p.primary.Env()
			if step != "switchover-paused" { // there the guard fences, and another is elected
				p.must(p.primary.StartSidecar())
			}
			p.must(p.Until(p.ctx, "the operation is over", rejoin, func() bool {
				r := p.keys().Record
				return r.Operation == nil && r.Phase == watchdog.PhaseNormal
			}))
			p.resumed()
			c := p.clients(2)
			p.must(p.Until(p.ctx, "clients write", soon, func() bool { return c.count() > 50 }))
			c.end()
			if _, told := p.event(watchdog.EventPools); !told {
				t.Error("nothing was paused")
			}
			if step == "switchover-paused" {
				p.must(p.primary.StartSidecar())
				p.settledWith(500)
				return
			}
			p.wholeAgain()
		})
	}
}

// A PgBouncer that does not answer holds nothing up, and is resumed when it does. An unplanned failover pauses nothing.
func TestDeadPgBouncerHoldsNothingUp(t *testing.T) {
	p := behindPgBouncer(t)
	p.strike(p.bouncer.Signal(syscall.SIGSTOP))
	began := time.Now()
	a, err := p.switchover()
	p.must(err)
	if took := time.Since(began); !a.OK || took > soon/2 {
		t.Errorf("after %s: %+v", took, a)
	}
	p.primary, err = p.WaitWhole(p.ctx, rejoin)
	p.must(err)
	if r := p.keys().Record; r.Pools == nil {
		t.Error("the record forgot a PgBouncer that has not answered")
	}
	p.must(p.bouncer.Signal(syscall.SIGCONT))
	p.resumed()
	p.strike(p.primary.KillPostmaster())
	p.primary = p.takenOver()
	if e, paused := p.event(watchdog.EventPools); paused {
		t.Errorf("a failover paused pools: %s", e.Message)
	}
	p.wholeAgain()
}
