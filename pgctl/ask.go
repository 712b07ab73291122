package pgctl

import (
	"context"
	"fmt"
	"strings"
)

// scan runs a query of one row on the kept connection.
func (in *Instance) scan(ctx context.Context, dest []any, sql string, args ...any) error {
	conn, release, err := in.kept(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := conn.QueryRow(ctx, sql, args...).Scan(dest...); err != nil {
		return fmt.Errorf("query %q: %w", firstWords(sql), err)
	}
	return nil
}

// exec runs a statement on the kept connection.
func (in *Instance) exec(ctx context.Context, sql string, args ...any) error {
	conn, release, err := in.kept(ctx)
	if err != nil {
		return err
	}
	defer release()
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("execute %q: %w", firstWords(sql), err)
	}
	return nil
}

// query runs a query on the kept connection and returns its rows as text; NULL is empty.
func (in *Instance) query(ctx context.Context, sql string, args ...any) ([][]string, error) {
	conn, release, err := in.kept(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("query %q: %w", firstWords(sql), err)
	}
	defer rows.Close()
	var all [][]string
	for rows.Next() {
		values := rows.RawValues()
		row := make([]string, len(values))
		for i, value := range values {
			row[i] = string(value)
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("query %q: %w", firstWords(sql), err)
	}
	return all, nil
}

func firstWords(sql string) string {
	sql = strings.Join(strings.Fields(sql), " ")
	return sql[:min(len(sql), 60)]
}
