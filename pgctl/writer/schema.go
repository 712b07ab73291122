package writer

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const (
	// Schema is a rehearsal's own, and Table what is written to in it.
	Schema = "pgvigil_drill"
	Table  = Schema + ".written"
)

// ErrSchemaExists: another rehearsal is under way, or was ended without dropping what it had made.
var ErrSchemaExists = errors.New("there is a schema " + Schema)

// CreateSchema makes the schema and its table. One that is there is not touched: ErrSchemaExists.
func CreateSchema(ctx context.Context, conn *pgx.Conn) error {
	var there bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = '"+Schema+"')").Scan(&there)
	if err == nil && there {
		return ErrSchemaExists
	}
	if err == nil {
		_, err = conn.Exec(ctx, "CREATE SCHEMA "+Schema+"; CREATE TABLE "+Table+" (id bigint PRIMARY KEY)")
	}
	if err != nil {
		return fmt.Errorf("create schema %s: %w", Schema, err)
	}
	return nil
}

// DropSchema drops the schema with all that is in it.
func DropSchema(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "DROP SCHEMA "+Schema+" CASCADE"); err != nil {
		return fmt.Errorf("drop schema %s: %w", Schema, err)
	}
	return nil
}
