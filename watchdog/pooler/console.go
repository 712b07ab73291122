package pooler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgvigil/pgvigil/watchdog"
)

// Config names the consoles. It is the same on all members, since each may be the one to resume.
type Config struct {
	Consoles  []string          `yaml:"consoles"`  // a conninfo for each PgBouncer, with dbname=pgbouncer and a user of its admin_users
	Databases []string          `yaml:"databases"` // as PgBouncer calls them; none: all
	Timeout   watchdog.Duration `yaml:"timeout"`   // for a PAUSE to take effect; default: 2 s
}

const (
	defaultTimeout = 2 * time.Second
	longestTimeout = time.Minute
	// resumeBound is for one console to connect and to resume.
	resumeBound = 3 * time.Second
)

// Limit is how long a PAUSE may take to come to its end.
func (c Config) Limit() time.Duration {
	if c.Timeout == 0 {
		return defaultTimeout
	}
	return c.Timeout.D()
}

// Complaints says what is wrong, each with the key's name.
func (c Config) Complaints() (complaints []error) {
	for _, conninfo := range c.Consoles {
		if _, err := pgconn.ParseConfig(conninfo); err != nil {
			complaints = append(complaints, fmt.Errorf("consoles: %w", err))
		}
	}
	for _, name := range c.Databases {
		if name == "" || strings.ContainsAny(name, "\"\x00") {
			complaints = append(complaints, fmt.Errorf("databases: %q is no name of a database", name))
		}
	}
	if c.Timeout < 0 || c.Timeout.D() > longestTimeout {
		complaints = append(complaints, fmt.Errorf("timeout: %s: give more than 0 and at most %s", c.Timeout.D(), longestTimeout))
	}
	if len(c.Consoles) == 0 && (len(c.Databases) > 0 || c.Timeout != 0) {
		complaints = append(complaints, errors.New("consoles: it is missing: name at least one, or leave the section out"))
	}
	return complaints
}

// statements are a verb for each database, or for all.
func (c Config) statements(verb string) []string {
	if len(c.Databases) == 0 {
		return []string{verb}
	}
	var all []string
	for _, name := range c.Databases {
		all = append(all, verb+` "`+name+`"`)
	}
	return all
}

// console is one PgBouncer's.
type console struct {
	conninfo *pgconn.Config
	name     string // host:port, for logs
}

func (c Config) open() (all []console, err error) {
	for _, conninfo := range c.Consoles {
		parsed, err := pgconn.ParseConfig(conninfo)
		if err != nil {
			return nil, fmt.Errorf("pgbouncer console: %w", err)
		}
		all = append(all, console{parsed, fmt.Sprintf("%s:%d", parsed.Host, parsed.Port)})
	}
	return all, nil
}

// say connects and sends the statements one after another by the simple protocol, the only one that a console speaks. done
// says that an error means that nothing was left to do.
func (c console) say(ctx context.Context, statements []string, done func(*pgconn.PgError) bool) error {
	conn, err := pgconn.ConnectConfig(ctx, c.conninfo)
	if err != nil {
		return fmt.Errorf("connect to the console of %s: %w", c.name, err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 100*time.Millisecond)
		defer cancel()
		_ = conn.Close(closing)
	}()
	for _, statement := range statements {
		_, err := conn.Exec(ctx, statement).ReadAll()
		var said *pgconn.PgError
		if err != nil && !(errors.As(err, &said) && done(said)) {
			return fmt.Errorf("%s on %s: %w", statement, c.name, err)
		}
	}
	return nil
}

// pausedAlready: by a pause of ours that ended halfway, or by hand.
func pausedAlready(e *pgconn.PgError) bool { return strings.Contains(e.Message, "already") }

// notPaused: it was resumed before, or restarted since.
func notPaused(e *pgconn.PgError) bool { return strings.Contains(e.Message, "not paused") }
