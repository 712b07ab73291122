package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/election"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/api"
)

const (
	readBound  = 5 * time.Second // for one look at etcd
	askBound   = time.Second     // for a member's sidecar
	watchEvery = time.Second
	maxStatus  = 1 << 20
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "show the cluster: who is primary, who follows, what is wrong",
		Flags: append(configFlags(storeFlags),
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "show it again each second, until interrupted"}, outputFlag()),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			asJSON, err := wantsJSON(c)
			if err != nil {
				return err
			}
			cfg, store, err := clientOf(c)
			if err != nil {
				return err
			}
			defer store.Close()
			s := &statusView{cfg: cfg, store: store, asker: newAsker(), out: c.App.Writer, json: asJSON, terminal: isTerminal(c.App.Writer)}
			if c.Bool("watch") {
				return s.watch(c.Context)
			}
			return s.once(c.Context)
		},
	}
}

// clientOf opens etcd for a command that only reads it.
func clientOf(c *cli.Context) (config.Config, *election.Client, error) {
	cfg, err := loadConfig(c, storeFlags)
	if err != nil {
		return cfg, nil, err
	}
	if err := cfg.ForStore(); err != nil {
		return cfg, nil, fail(exitConfig, err)
	}
	store, err := openStore(cfg, slog.New(slog.DiscardHandler))
	return cfg, store, err
}

type statusView struct {
	cfg      config.Config
	store    *election.Client
	asker    *http.Client
	out      io.Writer
	json     bool
	terminal bool
}

func (s *statusView) once(ctx context.Context) error {
	r, err := s.look(ctx)
	if err != nil {
		return err
	}
	if s.json {
		encoder := json.NewEncoder(s.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	_, err = io.WriteString(s.out, renderStatus(r, time.Now(), s.palette()))
	return err
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
	if s.json {
		if failed != nil {
			return json.NewEncoder(s.out).Encode(map[string]string{"error": failed.Error()})
		}
		return json.NewEncoder(s.out).Encode(r)
	}
	now := time.Now()
	text := now.Format(time.DateTime) + "   "
	if failed != nil {
		text += "cluster " + s.cfg.Cluster + "\n\n" + s.palette().of(broken, failed.Error()) + "\n"
	} else {
		text += renderStatus(r, now, s.palette())
	}
	_, err := io.WriteString(s.out, frame(text, s.terminal, first))
	return err
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

func (s *statusView) palette() palette {
	return palette(s.terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

// look reads etcd and asks all members at once.
func (s *statusView) look(ctx context.Context) (report, error) {
	bounded, cancel := context.WithTimeout(ctx, readBound)
	defer cancel()
	cluster, err := s.store.Read(bounded)
	if err != nil {
		return report{}, unreachable(s.cfg, err)
	}
	if err := exists(s.cfg, cluster); err != nil {
		return report{}, err
	}
	return buildReport(s.cfg.Cluster, cluster, askAll(ctx, s.asker, s.cfg.Cluster, cluster)), nil
}

// exists refuses a cluster of which etcd holds nothing.
func exists(cfg config.Config, c watchdog.Cluster) error {
	if c.Record != nil || len(c.Members) > 0 || len(c.Garbage) > 0 {
		return nil
	}
	return fail(exitNotFound, fmt.Errorf("etcd holds nothing of a cluster called %s: correct the name, or begin it with pgvigil run beside the primary", cfg.Cluster))
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

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
