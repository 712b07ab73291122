package pgctl

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

const (
	// application is the application_name of pgvigil's own sessions.
	application = "pgvigil"
	// statementBound is the longest that the server may spend on a statement of the kept connection.
	statementBound = 10 * time.Second
	// connectBound is the longest that opening a session may take, whatever the caller allows.
	connectBound = 5 * time.Second
)

// sessions holds the kept connection. Opening one is one caller's work at a time.
type sessions struct {
	mu      sync.Mutex // guards kept and closed
	kept    *session
	closed  bool
	opening keyhole
	broken  chan struct{}
}

// keyhole is a lock that a context can stop waiting for.
type keyhole struct {
	once sync.Once
	free chan struct{}
}

func (k *keyhole) lock(ctx context.Context) error {
	k.once.Do(func() { k.free = make(chan struct{}, 1) })
	select {
	case k.free <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *keyhole) unlock() { <-k.free }

// session is one connection to the server.
type session struct {
	conn    *pgx.Conn
	busy    keyhole
	watch   *hangup
	words   atomic.Pointer[string] // the SQLSTATE with which the server ended it
	shape   shape
	observe *pgconn.StatementDescription
}

// shape is what cannot change while a session lives.
type shape struct {
	version  int
	settings [5]int // as fiveSettings has them; -1: this version has no such setting
}

// usable says whether the session can still be asked.
func (s *session) usable() bool { return !s.conn.IsClosed() && !s.watch.gone() }

// close ends the session. Its lock must be held.
func (s *session) close() {
	s.watch.cutOff()
	s.watch.close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_ = s.conn.Close(ctx)
}

// end ends the session under whoever waits for an answer on it.
func (s *session) end() {
	s.watch.cutOff()
	go func() {
		if s.busy.lock(context.Background()) == nil {
			s.close()
			s.busy.unlock()
		}
	}()
}

// kept returns the kept connection, opened if there is none, for this caller alone until it calls release.
func (in *Instance) kept(ctx context.Context) (conn *pgx.Conn, release func(), err error) {
	s, err := in.session(ctx)
	if err != nil {
		return nil, nil, err
	}
	return s.conn, s.busy.unlock, nil
}

// session returns the kept session, locked.
func (in *Instance) session(ctx context.Context) (*session, error) {
	for {
		s := in.sessions.current()
		if s == nil {
			var err error
			if s, err = in.openKept(ctx); err != nil {
				return nil, err
			}
		}
		if err := s.busy.lock(ctx); err != nil {
			return nil, err
		}
		if s.usable() {
			return s, nil
		}
		in.bury(ctx, s)
		s.busy.unlock()
	}
}

// current returns the kept session, nil if there is none.
func (ss *sessions) current() *session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.kept
}

// openKept opens the kept session, unless another caller just has.
func (in *Instance) openKept(ctx context.Context) (*session, error) {
	ss := &in.sessions
	if err := ss.opening.lock(ctx); err != nil {
		return nil, err
	}
	defer ss.opening.unlock()
	if s := ss.current(); s != nil {
		return s, nil
	}
	s, err := in.openSession(ctx)
	if err != nil {
		return nil, err
	}
	return s, ss.replace(s)
}

// replace makes s the kept session, and ends the one before.
func (ss *sessions) replace(s *session) error {
	ss.mu.Lock()
	old := ss.kept
	if ss.closed {
		old, s = s, nil
	}
	ss.kept = s
	ss.mu.Unlock()
	if old != nil {
		old.end()
	}
	if s == nil {
		return errors.New("instance is closed")
	}
	return nil
}

// bury lets a broken session go, after its last words.
func (in *Instance) bury(ctx context.Context, s *session) {
	s.lastWords(ctx)
	in.sessions.drop(s)
	if why := s.words.Load(); why != nil {
		in.watch.heard(*why)
	}
}

// drop lets s go if it is the kept one.
func (ss *sessions) drop(s *session) {
	ss.mu.Lock()
	if ss.kept == s {
		ss.kept = nil
	}
	ss.mu.Unlock()
	s.close()
}

func (ss *sessions) close() {
	ss.mu.Lock()
	s := ss.kept
	ss.kept, ss.closed = nil, true
	ss.mu.Unlock()
	if s != nil {
		s.end()
	}
}

// lastWords reads what the server said before it hung up.
func (s *session) lastWords(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	for !s.conn.IsClosed() {
		if _, err := s.conn.PgConn().ReceiveMessage(ctx); err != nil {
			return
		}
	}
}

// said keeps the SQLSTATE of an error or notice that ends the session.
func (s *session) said(code string) {
	switch code {
	case sqlCrashShutdown, sqlAdminShutdown, sqlCannotConnectNow:
		s.words.Store(&code)
	}
}

// openSession connects and prepares a session to be kept.
func (in *Instance) openSession(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, connectBound)
	defer cancel()
	s := &session{}
	conn, err := in.connect(ctx, "", statementBound, s)
	if err != nil {
		return nil, err
	}
	s.conn = conn
	if s.watch, err = watchHangup(conn.PgConn().Conn(), in.sessions.signal); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	if err := in.prepare(ctx, s); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// signal says that a session was cut.
func (ss *sessions) signal() {
	select {
	case ss.broken <- struct{}{}:
	default:
	}
}

// newConn opens a session of the caller's own, to the database named; empty: the default one. Its statements have no bound
// but the caller's context.
func (in *Instance) newConn(ctx context.Context, dbname string) (*pgx.Conn, error) {
	return in.connect(ctx, dbname, 0, nil)
}

// connect opens a session. The databases "postgres" and "template1" are tried unless one is given.
func (in *Instance) connect(ctx context.Context, dbname string, bound time.Duration, s *session) (*pgx.Conn, error) {
	config, err := in.connConfig(dbname, bound)
	if err != nil {
		return nil, err
	}
	if s != nil {
		listen(config, s)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil && dbname == "" && in.config.Connect == "" && sqlState(err) == sqlNoDatabase {
		config.Database = "template1"
		conn, err = pgx.ConnectConfig(ctx, config)
	}
	if err != nil {
		return nil, in.refusal(config, err)
	}
	quieten(ctx, conn)
	return conn, nil
}

// listen lets s hear what the server says when it ends the session.
func listen(config *pgx.ConnConfig, s *session) {
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { s.said(n.Code) }
	heed := config.OnPgError
	config.OnPgError = func(c *pgconn.PgConn, e *pgconn.PgError) bool {
		s.said(e.Code)
		return heed == nil || heed(c, e)
	}
}

// connConfig says where and how to connect.
func (in *Instance) connConfig(dbname string, bound time.Duration) (*pgx.ConnConfig, error) {
	text := in.config.Connect
	if text == "" {
		text = "user=" + quoteConnValue(in.owner.name, true) + " dbname=postgres sslmode=disable"
	}
	config, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("the configured connection string for pgvigil's sessions: %w", err)
	}
	if in.config.Connect == "" {
		path, err := in.where().socketPath()
		if err != nil {
			return nil, err
		}
		config.Host, config.Port, config.Fallbacks = filepath.Dir(path), uint16(in.where().port), nil
	}
	if dbname != "" {
		config.Database = dbname
	}
	config.DialFunc, config.ValidateConnect = in.dial, nil
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: c.Conn()}
	}
	config.RuntimeParams = in.sessionSettings(config.RuntimeParams, bound)
	return config, nil
}

// sessionSettings are what every session of ours sets, so that neither a lock, nor a synchronous standby that is gone, nor
// an administrator's bound on idle sessions holds or ends it (F45).
func (in *Instance) sessionSettings(given map[string]string, bound time.Duration) map[string]string {
	set := map[string]string{}
	if options := given["options"]; options != "" && in.config.Connect != "" {
		set["options"] = options
	}
	set["application_name"] = application
	set["search_path"] = "pg_catalog"
	set["client_encoding"] = "UTF8"
	set["datestyle"] = "ISO"
	set["statement_timeout"] = strconv.FormatInt(bound.Milliseconds(), 10)
	if in.version.lockTimeout {
		set["lock_timeout"] = strconv.FormatInt(bound.Milliseconds(), 10)
	}
	if in.version.localCommit {
		set["synchronous_commit"] = "local"
	}
	if in.version.idleTimeout {
		set["idle_session_timeout"] = "0"
	}
	return set
}

// quieten keeps our statements out of the server's log, where we may.
func quieten(ctx context.Context, conn *pgx.Conn) {
	if conn.PgConn().ParameterStatus("is_superuser") != "on" {
		return
	}
	_ = conn.PgConn().Exec(ctx, "SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_duration = off").Close()
}

// refusal says what is to be done about a session that was not opened.
func (in *Instance) refusal(config *pgx.ConnConfig, err error) error {
	switch sqlState(err) {
	case sqlWrongPassword, sqlNotAuthorised, sqlNoDatabase:
		return fmt.Errorf("%w as role %q to database %q: set connect in pgvigil's configuration to a role that may log in, or let pg_hba.conf "+
			"trust the owner on the local socket: %w", ErrWrongPassword, config.User, config.Database, err)
	}
	return fmt.Errorf("connect to the server: %w", err)
}
