package virtualip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgvigil/pgvigil/watchdog/guard"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// Source is where the manager sees whether the addresses are deserved: a *sidecar.Sidecar.
type Source interface {
	Snapshot() sidecar.Snapshot
	Changed() <-chan struct{}
}

// Manager puts the addresses of one member up and down.
type Manager struct {
	addresses []address
	configs   []Config
	noted     string   // the file that names the addresses that may be up
	stale     []Config // those that it names, and that are not ours any more
	log       *slog.Logger
	metric    prometheus.Gauge

	is        state
	dirty     bool      // one may be up though they are not
	problem   string    // why the last change failed
	raised    time.Time // when they were put up
	announced int       // how often since
}

type state int

const (
	unknown state = iota // as a sidecar before us has left them
	down
	up
)

// Noted says whether a sidecar with that state directory has put addresses up and may have left them.
func Noted(stateDir string) bool {
	noted, err := load(file(stateDir))
	return err != nil || len(noted) > 0
}

func file(stateDir string) string { return filepath.Join(stateDir, "virtual_ip.json") }

func load(path string) (noted []Config, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &noted)
	}
	if err != nil {
		return nil, fmt.Errorf("read which addresses may be up, %s: %w: see that none is, and move it away", path, err)
	}
	return noted, nil
}

// Open finds the addresses' interfaces, and what a sidecar before this one may have left up. Nothing is changed yet.
func Open(configs []Config, stateDir string, log *slog.Logger) (*Manager, error) {
	m := &Manager{configs: configs, noted: file(stateDir), log: log}
	m.metric = prometheus.NewGauge(prometheus.GaugeOpts{Name: "pgvigil_virtual_ip", Help: "1 while the virtual addresses are on this host."})
	for _, c := range configs {
		a, err := resolve(c)
		if err != nil {
			return nil, err
		}
		m.addresses = append(m.addresses, a)
		if err := a.guarded().Rehearse(); err != nil {
			return nil, fmt.Errorf("virtual_ip: addresses cannot be changed here: %w", err)
		}
	}
	noted, err := load(m.noted)
	if err != nil {
		return nil, err
	}
	for _, c := range noted {
		if !slices.Contains(configs, c) {
			m.stale = append(m.stale, c)
		}
	}
	return m, nil
}

// Guarded are the addresses for the guard.
func (m *Manager) Guarded() (all []guard.Address) {
	for _, a := range m.addresses {
		all = append(all, a.guarded())
	}
	return all
}

// Collectors are what the manager has for /metrics.
func (m *Manager) Collectors() []prometheus.Collector { return []prometheus.Collector{m.metric} }

// Run puts the addresses up and down until ctx ends, and then leaves them as they are.
func (m *Manager) Run(ctx context.Context, source Source) error {
	m.begin()
	changed := source.Changed()
	for {
		wait := time.NewTimer(m.turn(source.Snapshot(), time.Now()))
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-changed:
		case <-wait.C:
		}
		wait.Stop()
	}
}

// begin takes down what is not configured any more, and notes durably what may be put up.
func (m *Manager) begin() {
	noted := slices.Clone(m.configs)
	for _, c := range m.stale {
		a, err := resolve(c)
		if err != nil {
			continue // its interface is gone, and the address with it
		}
		if err := a.down(); err != nil {
			m.log.Error("virtual address left up that is not configured any more", "address", a, "error", err)
			noted = append(noted, c)
		}
	}
	if err := sidecar.Save(m.noted, noted); err != nil {
		m.log.Warn("virtual addresses not noted: taken out of the configuration, they would be left up", "error", err)
	}
}

// turn makes the addresses what the snapshot says that they are to be, and returns when to look again at the latest.
func (m *Manager) turn(s sidecar.Snapshot, now time.Time) time.Duration {
	next := idle
	switch deserved(s, m.is) {
	case up:
		next = m.raise(now)
	case down:
		return m.lower()
	}
	if left := s.TrustLeft - margin; left > 0 {
		next = min(next, left)
	}
	return next
}

const (
	// margin is how long before the trust's end the addresses go.
	margin = 50 * time.Millisecond
	// retry is the pause after a change of addresses that failed.
	retry = 100 * time.Millisecond
	// idle is the net beneath the changes that the sidecar tells of.
	idle = 5 * time.Second
)
