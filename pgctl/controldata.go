package pgctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
)

// control reads the data directory's control file: directly, and by pg_controldata where its layout is not known here (9.2
// and older, 19 and newer).
func (in *Instance) control(ctx context.Context) (control, error) {
	c, err := readControl(in.config.DataDir)
	if !errors.Is(err, errControlUnknown) {
		return c, err
	}
	out, runErr := in.run(ctx, "pg_controldata", in.config.DataDir)
	if runErr != nil {
		return control{}, fmt.Errorf("%w; pg_controldata: %w", err, runErr)
	}
	return parseControldata(out)
}

// parseControldata reads the output of pg_controldata under LC_ALL=C.
func parseControldata(out string) (control, error) {
	fields := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(out))
	for lines.Scan() {
		if name, value, found := strings.Cut(lines.Text(), ":"); found {
			fields[name] = strings.TrimSpace(value)
		}
	}
	p := controldata{fields: fields}
	c := control{
		SystemID:            p.text("Database system identifier"),
		Version:             p.number("pg_control version number"),
		State:               p.state(),
		CheckpointLSN:       p.lsn("Latest checkpoint location"),
		RedoLSN:             p.lsn("Latest checkpoint's REDO location"),
		Timeline:            watchdog.Timeline(p.number("Latest checkpoint's TimeLineID")),
		MinRecoveryPoint:    p.lsn("Minimum recovery ending location"),
		MinRecoveryTimeline: watchdog.Timeline(p.optional("Min recovery ending loc's timeline")),
		MaxConnections:      p.setting("max_connections"),
		MaxWorkerProcesses:  p.setting("max_worker_processes"),
		MaxWalSenders:       p.setting("max_wal_senders"),
		MaxPreparedXacts:    p.setting("max_prepared_xacts"),
		MaxLocksPerXact:     p.setting("max_locks_per_xact"),
		DataChecksums:       p.optional("Data page checksum version") != 0,
		WalLogHints:         fields["wal_log_hints setting"] == "on" || fields["Current wal_log_hints setting"] == "on",
		BlockSize:           p.number("Database block size"),
		WalBlockSize:        p.number("WAL block size"),
		WalSegmentSize:      p.number("Bytes per WAL segment"),
	}
	if p.err != nil {
		return control{}, fmt.Errorf("read the output of pg_controldata: %w", p.err)
	}
	return c, nil
}

// controldata picks fields, keeping the first error.
type controldata struct {
	fields map[string]string
	err    error
}

func (p *controldata) text(name string) string {
	value, found := p.fields[name]
	if !found && p.err == nil {
		p.err = fmt.Errorf("no field %q", name)
	}
	return value
}

func (p *controldata) number(name string) int {
	n, err := strconv.Atoi(p.text(name))
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("field %q: %w", name, err)
	}
	return n
}

func (p *controldata) optional(name string) int {
	if _, found := p.fields[name]; !found {
		return 0
	}
	return p.number(name)
}

// setting reads one of the settings, whose lines have been named "max_x setting" since 9.5 and "Current max_x setting" before.
func (p *controldata) setting(name string) int {
	if _, found := p.fields[name+" setting"]; found {
		return p.number(name + " setting")
	}
	return p.optional("Current " + name + " setting")
}

func (p *controldata) lsn(name string) watchdog.LSN {
	lsn, err := watchdog.ParseLSN(p.text(name))
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("field %q: %w", name, err)
	}
	return lsn
}

func (p *controldata) state() controlState {
	text := p.text("Database cluster state")
	for i, name := range controlStates {
		if text == name {
			return controlState(i)
		}
	}
	return -1
}
