package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/api"
)

const (
	askBound   = time.Second // for a member's sidecar
	watchEvery = time.Second
	maxStatus  = 1 << 20
)

func statusCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:  "status",
		Usage: "show the cluster: who is primary, who follows, what is wrong",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "show it again each second, until interrupted"}, noColourFlag()},
	}, func(c *cli.Context, o *operator) error {
		s := &statusView{operator: o, asker: newAsker(), terminal: isTerminal(o.out), paint: paletteFor(c, o.out)}
		if c.Bool("watch") {
			return s.watch(c.Context)
		}
		r, err := s.look(c.Context)
		if err != nil {
			return err
		}
		return o.form.show(o.out, r, func() string { return renderStatus(r, time.Now(), s.paint) })
	})
}

type statusView struct {
	*operator
	asker    *http.Client
	terminal bool
	paint    palette
}

// watch shows the report until ctx ends: in place on a terminal, else one after the other. An etcd that does not answer is
// shown like everything else, and looked for again.
func (s *statusView) watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	first := true
	for {
		r, err := s.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := s.show(r, err, first); err != nil {
			return err
		}
		first = false
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *statusView) show(r report, failed error, first bool) error {
	if s.form != asTable && failed != nil {
		return s.form.stream(s.out, map[string]string{"error": failed.Error()}, nil)
	}
	return s.form.stream(s.out, r, func() string {
		now := time.Now()
		text := now.Format(time.DateTime) + "   "
		if failed != nil {
			text += "cluster " + s.cfg.Cluster + "\n\n" + s.paint.of(broken, failed.Error()) + "\n"
		} else {
			text += renderStatus(r, now, s.paint)
		}
		return frame(text, s.terminal, first)
	})
}

// frame puts a picture in the place of the one before, without a flicker.
func frame(text string, terminal, first bool) string {
	if !terminal {
		return text + "\n"
	}
	begin := "\x1b[H"
	if first {
		begin = "\x1b[2J\x1b[H"
	}
	return begin + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"
}

// look reads the cluster and asks all members at once.
func (s *statusView) look(ctx context.Context) (report, error) {
	cluster, err := s.read(ctx)
	if err != nil {
		return report{}, err
	}
	return buildReport(s.cfg.Cluster, cluster, askAll(ctx, s.asker, s.cfg.Cluster, cluster)), nil
}

func newAsker() *http.Client {
	return &http.Client{Timeout: askBound, Transport: &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}}
}

// askAll asks every member that is registered, all at once.
func askAll(ctx context.Context, client *http.Client, name string, c watchdog.Cluster) map[string]live {
	var mu sync.Mutex
	var all sync.WaitGroup
	lives := map[string]live{}
	for member, key := range c.Members {
		if key.API == "" {
			continue
		}
		all.Go(func() {
			answer := askMember(ctx, client, name, member, key.API)
			mu.Lock()
			defer mu.Unlock()
			lives[member] = answer
		})
	}
	all.Wait()
	return lives
}

func askMember(ctx context.Context, client *http.Client, cluster, name, base string) live {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/status", nil)
	if err != nil {
		return live{err: err.Error()}
	}
	response, err := client.Do(request)
	if err != nil {
		return live{err: brief(err)}
	}
	defer response.Body.Close()
	var status api.Status
	switch err := json.NewDecoder(io.LimitReader(response.Body, maxStatus)).Decode(&status); {
	case response.StatusCode != http.StatusOK:
		return live{err: response.Status}
	case err != nil:
		return live{err: "its answer is not understood: " + err.Error()}
	case status.Cluster != cluster || status.Member.Name != name:
		return live{err: fmt.Sprintf("member %s of cluster %s answers there", status.Member.Name, status.Cluster)}
	}
	return live{status: &status}
}

// brief takes the method and URL off an HTTP client's error: they are said beside it.
func brief(err error) string {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer within " + askBound.String()
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}
