package pgctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

const (
	// promoteTick is how often a promoted server is asked whether it still recovers.
	promoteTick = 10 * time.Millisecond
	// wakeTick is how often it is woken again, and how long the configured trigger file may go unheeded.
	wakeTick = 100 * time.Millisecond
	// blockedTick is how often it is looked whether replay moves.
	blockedTick = 50 * time.Millisecond
)

// ErrWrongTimeline says that the server is primary, and not on the timeline that it was to create: it must be fenced.
var ErrWrongTimeline = errors.New("promoted to another timeline")

// Promote makes the standby promote to exactly that timeline, and returns when it is writable and latched again.
//
// It may be called again after a crash at any step. A server that is primary on that timeline already is only verified and
// tidied; one that is primary on another is ErrWrongTimeline. One whose settings are lower than those of the primary that
// it followed would end at its promotion: it is left alone, with sidecar.ErrNotPossible (F32).
func (in *Instance) Promote(ctx context.Context, timeline watchdog.Timeline, step func(name string)) (sidecar.Promotion, error) {
	p := &promotion{Instance: in, timeline: timeline, steps: steps{announce: step, took: map[string]time.Duration{}}}
	if err := p.run(ctx); err != nil {
		return sidecar.Promotion{}, fmt.Errorf("promote to timeline %d: %w", timeline, err)
	}
	return sidecar.Promotion{Timeline: timeline, Fork: p.fork, Steps: p.steps.end()}, nil
}

// promotion is one promotion.
type promotion struct {
	*Instance
	timeline watchdog.Timeline
	fork     watchdog.LSN
	trigger  string // the configured trigger file's path, empty if there is none
	steps    steps

	bySignal bool         // the promote file was laid and signalled
	since    time.Time    // of the request
	wokenAt  time.Time    // last
	movedAt  time.Time    // when replay was last looked at
	replayed watchdog.LSN // then
}

// steps announces steps and takes their times.
type steps struct {
	announce func(name string)
	name     string
	since    time.Time
	took     map[string]time.Duration
}

func (s *steps) begin(name string) {
	s.end()
	if s.announce != nil {
		s.announce(name)
	}
	s.name, s.since = name, time.Now()
}

func (s *steps) end() map[string]time.Duration {
	if s.name != "" {
		s.took[s.name] += time.Since(s.since)
		s.name = ""
	}
	return s.took
}

func (p *promotion) run(ctx context.Context) error {
	recovering, err := p.awaitAnswer(ctx)
	if err != nil {
		return err
	}
	if recovering {
		if err := p.request(ctx); err != nil {
			return err
		}
		p.steps.begin("replay")
		if err := p.await(ctx); err != nil {
			return err
		}
	}
	p.steps.begin("verify")
	if err := p.verify(ctx); err != nil {
		return err
	}
	p.steps.begin("latch")
	return p.tidy(ctx)
}

// awaitAnswer waits for a server that was just started, as hanging up does before 13, to say whether it is a standby still.
func (p *promotion) awaitAnswer(ctx context.Context) (recovering bool, err error) {
	waited := poll(ctx, promoteTick, func() (bool, error) {
		recovering, err = p.recovering(ctx)
		return err == nil || Alive(err) || p.master.handle(p.Directory()) == nil, nil
	})
	return recovering, errors.Join(err, waited)
}

// recovering says whether the server is a standby still. One that accepts no sessions is one if it has a startup process.
func (in *Instance) recovering(ctx context.Context) (bool, error) {
	var recovering bool
	err := in.scan(ctx, []any{&recovering}, "SELECT pg_is_in_recovery()")
	if err == nil {
		return recovering, nil
	}
	if in.master.handle(in.Directory()) == nil {
		return false, ErrNotRunning
	}
	if sqlState(err) == sqlCannotConnectNow && in.isStandby() == nil {
		return true, nil
	}
	return false, err
}

// request prepares the server and asks it to promote.
func (p *promotion) request(ctx context.Context) error {
	if err := p.isStandby(); err != nil {
		return err
	}
	if err := p.settingsSuffice(ctx); err != nil {
		return err
	}
	p.steps.begin("placeholders")
	c, err := p.control(ctx)
	if err != nil {
		return err
	}
	next, err := p.NextTimeline(ctx)
	if err != nil {
		return err
	}
	if p.timeline < next {
		return fmt.Errorf("the server knows of timeline %d already: %w", next-1, sidecar.ErrNotPossible)
	}
	if err := p.clearPlaceholders(p.timeline); err != nil {
		return err
	}
	if err := p.layPlaceholders(c.Timeline, p.timeline); err != nil {
		return err
	}
	p.steps.begin("resume")
	if err := p.resumeReplay(ctx); err != nil && sqlState(err) != sqlCannotConnectNow {
		p.log.Warn("a paused replay was not resumed", "error", err)
	}
	if p.trigger, err = p.configuredTrigger(ctx); err != nil {
		return err
	}
	p.steps.begin("catch-up")
	p.movedAt = time.Now()
	p.catchUp(ctx)
	p.steps.begin("trigger")
	return p.pull()
}

// settingsSuffice refuses where the server would end instead of promoting.
func (p *promotion) settingsSuffice(ctx context.Context) error {
	s, err := p.session(ctx)
	if err != nil {
		return nil // it accepts no sessions; whether it promotes is seen
	}
	own := s.shape.settings
	s.busy.unlock()
	c, err := p.control(ctx)
	if err == nil && settingsLower(own, c) {
		err = fmt.Errorf("max_connections or a sister is lower here than on the primary that this server followed, and PostgreSQL would end: "+
			"raise it and restart the standby: %w", sidecar.ErrNotPossible)
	}
	return err
}

// await waits until the server says that it recovers no more, waking it and clearing its way meanwhile.
func (p *promotion) await(ctx context.Context) error {
	return poll(ctx, promoteTick, func() (bool, error) {
		recovering, err := p.recovering(ctx)
		switch {
		case errors.Is(err, ErrNotRunning):
			return false, fmt.Errorf("the server ended instead, its log says why: %w", err)
		case err != nil && sqlState(err) == "" && ctx.Err() != nil:
			return false, ctx.Err()
		case err != nil:
			return false, nil // a session that broke; the next one is opened
		case !recovering:
			return true, nil
		}
		if time.Since(p.movedAt) >= blockedTick {
			p.clearTheWay(ctx)
		}
		if time.Since(p.wokenAt) >= wakeTick {
			p.wokenAt = time.Now()
			return false, p.wake()
		}
		return false, nil
	})
}

// clearTheWay ends the sessions that hold replay back, if it stands still although there is WAL left. A failover outranks a
// report.
func (p *promotion) clearTheWay(ctx context.Context) {
	before := p.replayed
	p.movedAt = time.Now()
	at, err := p.positions(ctx)
	if err != nil {
		return
	}
	p.replayed = at.replayed
	if before == 0 || before != at.replayed {
		return
	}
	ends, err := p.moreToReplay(ctx, at)
	if err != nil || !ends {
		return
	}
	if err := p.resumeReplay(ctx); err != nil {
		p.log.Warn("a paused replay was not resumed", "error", err)
	}
	if err := p.endSessions(ctx); err != nil {
		p.log.Warn("sessions that hold replay back were not ended; let pgvigil's role have pg_signal_backend", "error", err)
	}
}

// moreToReplay says whether there is a whole record past what was replayed.
func (p *promotion) moreToReplay(ctx context.Context, at positions) (bool, error) {
	c, err := p.control(ctx)
	if err != nil {
		return false, err
	}
	d, err := p.wal(c)
	if err != nil {
		return false, err
	}
	if !d.records {
		return at.replayed < at.received, nil
	}
	r, err := d.reader(ctx, c, at.replayed-1)
	if err != nil {
		return false, err
	}
	defer r.close()
	f, err := r.follow(ctx, at.replayed, func(rec walRecord) bool { return rec.end <= at.replayed })
	return f.end > at.replayed, err
}

// endSessions ends every session that holds a snapshot or is in a transaction, whose locks may be in replay's way, but our
// own.
func (p *promotion) endSessions(ctx context.Context) error {
	holds := "xact_start IS NOT NULL"
	if xmin := p.version.activityXmin; xmin != "" {
		holds = "(xact_start IS NOT NULL OR " + xmin + " IS NOT NULL)"
	}
	pid := p.version.activityPID
	if p.version.startupActivity {
		holds += " AND backend_type = 'client backend'"
	}
	rows, err := p.query(ctx, "SELECT "+pid+", usename, application_name, pg_terminate_backend("+pid+") FROM pg_stat_activity"+
		" WHERE "+holds+" AND "+pid+" <> pg_backend_pid() AND application_name <> '"+application+"'")
	for _, row := range rows {
		p.log.Warn("ended a session that held replay back", "pid", row[0], "user", row[1], "application", row[2], "ended", row[3])
	}
	return err
}

// verify makes sure of the timeline and finds its fork.
func (p *promotion) verify(ctx context.Context) error {
	now, err := p.writtenTimeline(ctx)
	if err != nil {
		return err
	}
	if now != p.timeline {
		return fmt.Errorf("%w, %d; fence this server", ErrWrongTimeline, now)
	}
	p.fork, err = p.History(ctx, p.timeline)
	return err
}

// writtenTimeline is the timeline that a primary writes.
func (in *Instance) writtenTimeline(ctx context.Context) (watchdog.Timeline, error) {
	var name string
	sql := fmt.Sprintf("SELECT %s(%s())", in.version.walFileName, in.version.flushLSN)
	if err := in.scan(ctx, []any{&name}, sql); err != nil {
		return 0, err
	}
	if len(name) != 24 {
		return 0, fmt.Errorf("the server writes to a segment %q", name)
	}
	n, err := strconv.ParseUint(name[:8], 16, 32)
	return watchdog.Timeline(n), err
}

// tidy latches the server again, removes what triggers there are, and fills its history up for standbys to follow.
func (p *promotion) tidy(ctx context.Context) error {
	if err := p.Latch(ctx); err != nil {
		return err
	}
	if err := errors.Join(p.clearPlaceholders(0), p.layPlaceholders(1, p.timeline)); err != nil {
		p.log.Warn("standbys that are on an old timeline may not be able to follow", "error", err)
	}
	left := []string{p.trigger}
	if p.version.promoteFile != "" {
		left = append(left, p.promoteFile())
	}
	for _, path := range left {
		if path == "" {
			continue
		}
		if err := p.removeFile(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.log.Warn("a trigger file is left, and would promote the server at its next start: remove it", "path", path, "error", err)
		}
	}
	p.files.forget()
	return nil
}
