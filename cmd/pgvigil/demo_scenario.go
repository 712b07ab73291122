package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

// scenario is one disaster.
type scenario struct {
	name   string
	told   string
	strike func(*lab.Node) error
	// mend, if any, is done once another is primary: the time to rejoin counts from it.
	mend  func(*lab.Node) error
	told2 string
	// mayLose: in async durability what the host had acknowledged and nobody had received is lost, and reported.
	mayLose bool
	network bool // it takes a network namespace for each node
	byName  bool // it is no disaster, and told only when it is named
}

var scenarios = []scenario{
	{name: "postmaster-killed", told: "SIGKILL to the postmaster of %s", strike: (*lab.Node).KillPostmaster},
	{name: "postmaster-stopped", told: "SIGSTOP to the postmaster of %s alone: open sessions go on, new ones hang", strike: (*lab.Node).StopPostmaster},
	{
		name: "host-frozen", told: "SIGSTOP to all of %s at once: server, sidecar, guard", strike: (*lab.Node).FreezeHost,
		mend: (*lab.Node).ThawHost, told2: "%s is thawed: it must fence itself and rejoin", mayLose: true,
	},
	{name: "switchover", told: "pgvigil switchover, away from %s", strike: (*lab.Node).Switchover, byName: true},
	{
		name: "host-cut-off", told: "the network of %s is down: it lives, and nobody hears it", strike: (*lab.Node).CutOff,
		mend: (*lab.Node).Join, told2: "%s is on the network again: it must have fenced itself, and rejoin", mayLose: true, network: true,
	},
}

// usual are the scenarios that are told when none is named: in quorum also the host cut off, where that can be done.
func usual(durability watchdog.Mode, namespaces error) (chosen []scenario) {
	for _, s := range scenarios {
		if s.byName {
			continue
		}
		if !s.network || durability == watchdog.ModeQuorum && namespaces == nil {
			chosen = append(chosen, s)
		}
	}
	return chosen
}

func chooseScenarios(names []string) ([]scenario, error) {
	var chosen []scenario
	for _, name := range names {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no scenario %q: see pgvigil demo --help", name)
		}
		chosen = append(chosen, scenarios[i])
	}
	return chosen, nil
}

// The bounds of a scenario's steps; together they keep the demo within its own.
const (
	takeOverWithin = 20 * time.Second
	rejoinWithin   = 30 * time.Second
)

// play tells one scenario: writes, strikes, waits for another primary, mends, waits until the cluster is whole, and reads
// everything back.
func (d *demo) play(ctx context.Context, s scenario) (result, error) {
	r := result{Name: s.name}
	d.from = time.Time{}
	old, err := d.cluster.WaitWhole(ctx, rejoinWithin)
	if err != nil {
		return r, err
	}
	d.writer = d.cluster.StartWriter()
	defer d.writer.Stop()
	if err := d.writer.WaitAck(ctx, 5*time.Second, old, time.Now().Add(500*time.Millisecond)); err != nil {
		return r, err
	}
	fmt.Fprintf(d.told, "\n%s\n", strings.ToUpper(s.name))
	d.from = time.Now()
	d.say(s.told, old.Name)
	if err := s.strike(old); err != nil {
		return r, err
	}
	fresh, err := d.takeOver(ctx, old)
	if err != nil {
		return r, err
	}
	since := d.from
	if s.mend != nil {
		since = time.Now()
		if err := s.mend(old); err != nil {
			return r, err
		}
		d.say(s.told2, old.Name)
	}
	if err := d.cluster.WaitStreaming(ctx, rejoinWithin, old); err != nil {
		return r, err
	}
	r.RejoinMS = milliseconds(time.Since(since))
	d.say("%s streams from %s", old.Name, fresh.Name)
	if _, err := d.cluster.WaitWhole(ctx, rejoinWithin); err != nil {
		return r, err
	}
	r.GapMS = milliseconds(d.writer.Gap(d.from))
	d.writer.Stop()
	return d.judge(ctx, s, fresh, r)
}

// takeOver waits for the first write that another node acknowledges, and tells what the sidecars did.
func (d *demo) takeOver(ctx context.Context, old *lab.Node) (*lab.Node, error) {
	fresh, err := d.cluster.WaitPrimary(ctx, takeOverWithin, old)
	if err != nil {
		return nil, err
	}
	if err := d.writer.WaitAck(ctx, 5*time.Second, fresh, d.from); err != nil {
		return nil, err
	}
	events, err := d.cluster.Store.Events(ctx, 20)
	if err != nil {
		return nil, fmt.Errorf("read what happened: %w", err)
	}
	for _, e := range events {
		if e.Time.Before(d.from) {
			continue
		}
		fmt.Fprintf(d.told, "%+8.0f ms  %s: %s%s\n", milliseconds(e.Time.Sub(d.from)), e.Member, e.Message, tellTimings(e.TimingsMS))
	}
	d.say("%s acknowledges writes", fresh.Name)
	return fresh, nil
}

// judge reads everything back.
func (d *demo) judge(ctx context.Context, s scenario, fresh *lab.Node, r result) (result, error) {
	v, err := d.writer.Verify(ctx, fresh)
	if err != nil {
		return r, err
	}
	r.Acked, r.Lost, r.Reported = v.Acked, len(v.Lost), d.lostRange(ctx)
	mayLose := s.mayLose && d.durability == watchdog.ModeAsync
	r.OK = len(v.Phantom) == 0 && (r.Lost == 0 || mayLose && r.Reported != "")
	if r.Lost == 0 {
		r.Reported = ""
	}
	d.say("%d acknowledged writes read back, %d lost", r.Acked, r.Lost)
	if !r.OK {
		return r, fmt.Errorf("%d acknowledged writes lost, %d rows that nobody wrote, reported: %q", r.Lost, len(v.Phantom), r.Reported)
	}
	return r, nil
}

// lostRange is what the last promotion reported as possibly lost.
func (d *demo) lostRange(ctx context.Context) string {
	events, err := d.cluster.Store.Events(ctx, 30)
	if err != nil {
		return ""
	}
	for _, e := range slices.Backward(events) {
		if e.Kind == watchdog.EventPromoted {
			return e.Facts["lost_range"]
		}
	}
	return ""
}

// tellTimings tells the four longest steps.
func tellTimings(ms map[string]float64) string {
	var steps []string
	for step := range ms {
		steps = append(steps, step)
	}
	slices.SortFunc(steps, func(a, b string) int { return int(ms[b]*1000) - int(ms[a]*1000) })
	var b strings.Builder
	for i, step := range steps[:min(4, len(steps))] {
		if i == 0 {
			b.WriteString("  (")
		} else {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %.0f ms", strings.ReplaceAll(step, "_", " "), ms[step])
	}
	if b.Len() > 0 {
		b.WriteString(")")
	}
	return b.String()
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
