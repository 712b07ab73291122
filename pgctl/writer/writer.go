package writer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Target is a server to write to.
type Target struct {
	Name     string // in what is asked of the Writer
	Conninfo string
}

// Options is what a Writer works with.
type Options struct {
	Targets []Target
	Table   string        // with a column id bigint that is its primary key; as SQL has it
	IDs     *atomic.Int64 // the last id that was used, by all writers of the table
}

// Writer inserts rows without pause, through sessions that it keeps for as long as they live and through new ones, on
// every target at once: the one that accepts writes acknowledges them.
type Writer struct {
	// Include has it write to one more target.
	Include func(t Target)

	options Options
	stop    context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	acked    []ack
	unknown  map[int64]bool // sent, and no answer came
	failed   map[int64]bool // the server said no
	bySource map[string]int
}

type ack struct {
	id   int64
	on   string // the target
	sent time.Time
	at   time.Time
	from watchdog.LSN // its commit lies behind
}

// between two inserts of one session: a 2-core machine is shared with what is measured.
const between = 5 * time.Millisecond

// Start begins to write.
func Start(o Options) *Writer {
	ctx, stop := context.WithCancel(context.Background())
	w := &Writer{options: o, stop: stop, unknown: map[int64]bool{}, failed: map[int64]bool{}, bySource: map[string]int{}}
	w.Include = func(t Target) {
		w.running.Go(func() { w.kept(ctx, t) })
		w.running.Go(func() { w.fresh(ctx, t) })
	}
	for _, t := range o.Targets {
		w.Include(t)
	}
	return w
}

// kept writes through one session until it breaks, then through the next. One that does not answer is left behind, not
// ended: it is held open and goes on waiting beside.
func (w *Writer) kept(ctx context.Context, t Target) {
	for ctx.Err() == nil {
		conn := w.connect(ctx, t)
		for conn != nil && ctx.Err() == nil {
			if !w.insertOn(ctx, conn, t, "kept") {
				conn = nil
			}
			wait(ctx, between)
		}
		wait(ctx, 4*between)
	}
}

// fresh opens a session for each row.
func (w *Writer) fresh(ctx context.Context, t Target) {
	for ctx.Err() == nil {
		if conn := w.connect(ctx, t); conn != nil {
			if w.insertOn(ctx, conn, t, "new") {
				go conn.Close(context.WithoutCancel(ctx))
			}
		}
		wait(ctx, 8*between)
	}
}

// connect opens a session on a target that accepts writes, nil elsewhere. It does not wait long: a stopped postmaster never
// answers.
func (w *Writer) connect(ctx context.Context, t Target) *session {
	bounded, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	config, err := pgx.ParseConfig(t.Conninfo)
	if err != nil {
		return nil
	}
	s := &session{}
	config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) {
		if strings.Contains(notice.Message, "synchronous replication") {
			s.doubt.Store(true)
		}
	}
	conn, err := pgx.ConnectConfig(bounded, config)
	if err != nil {
		return nil
	}
	s.Conn = conn
	var standby bool
	if err := conn.QueryRow(bounded, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil || standby {
		closing, done := context.WithTimeout(context.WithoutCancel(ctx), 100*time.Millisecond)
		_ = conn.Close(closing)
		done()
		return nil
	}
	return s
}

// session is one of the writer's.
type session struct {
	*pgx.Conn
	doubt atomic.Bool // the server said that a commit may not have reached the standbys
}

// insertOn inserts one row and says whether the session is good for another. It waits a moment; an answer that comes
// later still counts.
func (w *Writer) insertOn(ctx context.Context, conn *session, t Target, source string) bool {
	id, sent := w.options.IDs.Add(1), time.Now()
	w.note(func() { w.unknown[id] = true })
	done := make(chan bool, 1)
	go func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 60*time.Second)
		defer cancel()
		var from string
		err := conn.QueryRow(bounded, "INSERT INTO "+w.options.Table+" (id) VALUES ($1) RETURNING pg_current_wal_insert_lsn()::text", id).Scan(&from)
		at := time.Now()
		lsn, _ := watchdog.ParseLSN(from)
		if conn.doubt.Load() {
			err = errors.New("the wait for standbys was cancelled") // PostgreSQL calls it a success, with a warning (F37)
		}
		w.outcome(ack{id, t.Name, sent, at, lsn}, source, err)
		done <- err == nil
	}()
	select {
	case good := <-done:
		return good
	case <-ctx.Done():
		return false
	case <-time.After(300 * time.Millisecond):
		return false
	}
}

func (w *Writer) outcome(a ack, source string, err error) {
	id := a.id
	var refused *pgconn.PgError
	w.note(func() {
		switch {
		case err == nil:
			delete(w.unknown, id)
			w.acked = append(w.acked, a)
			w.bySource[source]++
		case errors.As(err, &refused) && refused.Code == "25006": // read-only: it never began
			delete(w.unknown, id)
			w.failed[id] = true
		}
	})
}

func (w *Writer) note(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// Stop ends the writing.
func (w *Writer) Stop() {
	w.stop()
	w.running.Wait()
}

// Acked is how many rows were acknowledged.
func (w *Writer) Acked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

// AckedSince is how many writes the target has acknowledged since.
func (w *Writer) AckedSince(target string, since time.Time) int {
	return w.count(func(a ack) bool { return a.on == target && a.at.After(since) })
}

// SentAndAckedBy is how many writes that were sent to the target after since it has acknowledged.
func (w *Writer) SentAndAckedBy(target string, since time.Time) int {
	return w.count(func(a ack) bool { return a.on == target && a.sent.After(since) })
}

func (w *Writer) count(which func(ack) bool) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.acked {
		if which(a) {
			n++
		}
	}
	return n
}

// FirstAck is when the target first acknowledged a write after from; now if it has not.
func (w *Writer) FirstAck(target string, from time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := time.Now()
	for _, a := range w.acked {
		if a.on == target && a.at.After(from) && a.at.Before(first) {
			first = a.at
		}
	}
	return first
}

// Gap is the longest time between two acknowledged writes, from the last one before from up to now.
func (w *Writer) Gap(from time.Time) (longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var times []time.Time
	var last time.Time // acknowledged before
	for _, a := range w.acked {
		switch {
		case a.at.After(from):
			times = append(times, a.at)
		case a.at.After(last):
			last = a.at
		}
	}
	if last.IsZero() {
		last = from
	}
	slices.SortFunc(times, time.Time.Compare)
	for _, t := range append(times, time.Now()) {
		longest = max(longest, t.Sub(last))
		last = t
	}
	return longest
}

// Committed is between which positions of its server's WAL the commit of an acknowledged row ends: behind from, and not behind
// to, which is 0 where nothing was sent to that server after the acknowledgement.
func (w *Writer) Committed(id int64) (from, to watchdog.LSN) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.acked, func(a ack) bool { return a.id == id })
	if i < 0 {
		return 0, 0
	}
	for _, later := range w.acked {
		if row := w.acked[i]; later.on == row.on && later.sent.After(row.at) && (to == 0 || later.from < to) {
			to = later.from
		}
	}
	return w.acked[i].from, to
}

// Verdict is what reading back showed.
type Verdict struct {
	Acked   int
	Lost    []int64 // acknowledged, and not there
	Phantom []int64 // there, and never sent or refused
}

// Verify reads every row back and compares. What was acknowledged is noted first: an insert that Stop left on its way may be
// acknowledged after the rows were read, and is not lost.
func (w *Writer) Verify(ctx context.Context, conn *pgx.Conn) (Verdict, error) {
	w.mu.Lock()
	acked := slices.Clone(w.acked)
	w.mu.Unlock()
	rows, err := conn.Query(ctx, "SELECT id FROM "+w.options.Table)
	if err != nil {
		return Verdict{}, fmt.Errorf("read back: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return Verdict{}, fmt.Errorf("read back: %w", err)
	}
	there := map[int64]bool{}
	for _, id := range ids {
		there[id] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	v := Verdict{Acked: len(acked)}
	for _, a := range acked {
		if !there[a.id] {
			v.Lost = append(v.Lost, a.id)
		}
	}
	for id := range there {
		if id > w.options.IDs.Load() || w.failed[id] {
			v.Phantom = append(v.Phantom, id)
		}
	}
	return v, nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
