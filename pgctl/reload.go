package pgctl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Reload has the server read its files anew, and says which settings changed, by name (a value may be a password), and which
// wait for a restart. Where something in the files is wrong nothing is reloaded, and the error says in which file and line.
func (in *Instance) Reload(ctx context.Context) (said string, err error) {
	if err := in.wrongInFiles(ctx, needsRestart); err != nil {
		return "", fmt.Errorf("not reloaded: %w", err)
	}
	before, err := in.settingsNow(ctx)
	if err != nil {
		return "", fmt.Errorf("reload: %w", err)
	}
	if err := in.reloadAndWait(ctx); err != nil {
		return "", fmt.Errorf("reload: %w", err)
	}
	if err := in.wrongInFiles(ctx, "s.pending_restart"); err != nil {
		return "", fmt.Errorf("reloaded, but not all of it: %w", err)
	}
	after, err := in.settingsNow(ctx)
	if err != nil {
		return "", fmt.Errorf("see what a reload has changed: %w", err)
	}
	pending, err := in.PendingRestart(ctx)
	if err != nil {
		return "", err
	}
	var changed []string
	for i, row := range after {
		if i < len(before) && row[0] == before[i][0] && row[1] != before[i][1] {
			changed = append(changed, row[0])
		}
	}
	return "settings that changed: " + orNone(changed) + "; that wait for a restart: " + orNone(pending), nil
}

// reloadAndWait returns once our own session shows what was read.
func (in *Instance) reloadAndWait(ctx context.Context) error {
	loaded, err := in.loadTime(ctx)
	if err == nil {
		err = in.exec(ctx, "SELECT pg_reload_conf()")
	}
	if err != nil {
		return err
	}
	return poll(ctx, 10*time.Millisecond, func() (bool, error) {
		again, err := in.loadTime(ctx)
		return !again.Equal(loaded), err
	})
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// PendingRestart lists the settings that were changed and wait for a restart.
func (in *Instance) PendingRestart(ctx context.Context) ([]string, error) {
	if !in.version.pendingRestart {
		return nil, nil
	}
	return in.column(ctx, "SELECT name FROM pg_settings WHERE pending_restart ORDER BY 1")
}

// needsRestart: what is changed in the files and cannot be while the server runs is shown like an error, before a reload.
const needsRestart = "s.context = 'postmaster' AND f.error = 'setting could not be applied'"

// wrongInFiles says what the server cannot take over from its files, but for what is fine by the condition.
func (in *Instance) wrongInFiles(ctx context.Context, fine string) error {
	if !in.version.pendingRestart {
		return nil
	}
	wrong, err := in.column(ctx, "SELECT f.sourcefile || ':' || f.sourceline || coalesce(' ' || f.name, '') || ': ' || f.error FROM pg_file_settings f"+
		" LEFT JOIN pg_settings s ON s.name = lower(f.name) WHERE f.error IS NOT NULL AND NOT coalesce("+fine+", false) ORDER BY f.seqno")
	if err != nil || len(wrong) == 0 {
		return err
	}
	return errors.New("the settings are wrong: " + strings.Join(wrong, "; "))
}

// settingsNow lists every setting with its value, by name.
func (in *Instance) settingsNow(ctx context.Context) ([][]string, error) {
	return in.query(ctx, "SELECT name, coalesce(setting, '') FROM pg_settings ORDER BY 1")
}

func (in *Instance) loadTime(ctx context.Context) (at time.Time, err error) {
	err = in.scan(ctx, []any{&at}, "SELECT pg_conf_load_time()")
	return at, err
}

func (in *Instance) column(ctx context.Context, sql string) (values []string, err error) {
	rows, err := in.query(ctx, sql)
	for _, row := range rows {
		values = append(values, row[0])
	}
	return values, err
}
