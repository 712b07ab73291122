package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/watchdog"
)

func pauseCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:  "pause",
		Usage: "stop automatic failover and rejoin for a while, for maintenance",
		Description: "Trust, guard and fencing stay as they are: a paused cluster gets no second primary. A switchover by hand goes on\n" +
			"working. What would have been done is done when the cluster is resumed, by hand or by the time limit.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "for", Value: "1h", Usage: "so long: a `DURATION` such as 30m, or forever"},
			&cli.StringFlag{Name: "reason", Usage: "`WHY`, for the others to read"},
			&cli.BoolFlag{Name: "replace", Usage: "in the place of a pause that there is"},
		},
	}, pause)
}

func resumeCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:  "resume",
		Usage: "end a pause: failover and rejoin happen by themselves again",
	}, func(c *cli.Context, o *operator) error { return o.resume(c.Context) })
}

func pause(c *cli.Context, o *operator) error {
	lasting, err := pauseLength(c.String("for"))
	if err != nil {
		return fail(exitUsage, err)
	}
	return o.pause(c.Context, watchdog.Pause{Reason: c.String("reason"), For: watchdog.Duration(lasting)}, c.Bool("replace"))
}

// pauseLength reads a length; 0 is for ever.
func pauseLength(text string) (time.Duration, error) {
	if text == "forever" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second {
		return 0, fmt.Errorf("--for is %q: give a second at the least with a unit, such as 30m or 2h, or forever", text)
	}
	return d.Round(time.Second), nil
}

// pausing is what is printed of a pause or its end. Its JSON is stable.
type pausing struct {
	Paused  *watchdog.Pause `json:"paused"` // null: it is not
	Message string          `json:"message"`
	Unread  []string        `json:"unread"` // by the sidecars of these members: it takes effect there as soon as they reach etcd
}

func (o *operator) pause(ctx context.Context, asked watchdog.Pause, replace bool) error {
	cluster, err := o.readRecord(ctx)
	if err != nil {
		return err
	}
	if standing := cluster.Record.Paused; standing != nil && !replace {
		return fail(exitRefused, fmt.Errorf("it is %s already; pgvigil resume ends it, and --replace puts another in its place", standing.String(time.Now())))
	}
	asked.Since = time.Now().Round(time.Millisecond)
	seq, err := o.request(ctx, watchdog.Request{Pause: &watchdog.PauseRequest{Pause: asked, Replace: replace}})
	if err != nil {
		return err
	}
	if cluster, err = o.readRecord(ctx); err != nil {
		return err
	}
	p := pausing{Paused: cluster.Record.Paused, Message: "paused, and resumed by another since"}
	if p.Paused != nil {
		p.Message = p.Paused.String(asked.Since)
	}
	return o.tellPausing(ctx, p, seq)
}

func (o *operator) resume(ctx context.Context) error {
	cluster, err := o.readRecord(ctx)
	if err != nil {
		return err
	}
	if cluster.Record.Paused == nil {
		return o.tellPausing(ctx, pausing{Message: watchdog.ErrNotPaused.Error()}, 0)
	}
	seq, err := o.request(ctx, watchdog.Request{Resume: true})
	if err != nil {
		return err
	}
	return o.tellPausing(ctx, pausing{Message: "resumed"}, seq)
}

func (o *operator) tellPausing(ctx context.Context, p pausing, seq uint64) error {
	p.Unread = o.awaitRead(ctx, seq)
	return o.form.show(o.out, p, func() string {
		if len(p.Unread) == 0 {
			return p.Message + "\n"
		}
		return fmt.Sprintf("%s\nnot read yet by the sidecars of %s: it takes effect there as soon as they reach etcd\n", p.Message, strings.Join(p.Unread, ", "))
	})
}

// seenBound is how long the sidecars may take to read a change of the record.
const seenBound = 6 * time.Second

// awaitRead waits until every sidecar that lives has read the record, and names those that have not in time.
func (o *operator) awaitRead(ctx context.Context, seq uint64) (unread []string) {
	ctx, cancel := context.WithTimeout(ctx, seenBound)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if cluster, err := o.store.Read(ctx); err == nil {
			unread = []string{}
			lives := o.lives(ctx, cluster)
			for name := range cluster.Members {
				if s := lives[name].status; s == nil || s.Record == nil || s.Record.Seq < seq {
					unread = append(unread, name)
				}
			}
			slices.Sort(unread)
			if len(unread) == 0 {
				return unread
			}
		}
		select {
		case <-ctx.Done():
			return unread
		case <-tick.C:
		}
	}
}
