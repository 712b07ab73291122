package hook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count the commands.
type metrics struct{ runs, seconds *prometheus.CounterVec }

func newMetrics() metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pgvigil_" + name, Help: help}, labels)
	}
	return metrics{
		runs:    counter("hook_runs_total", "Commands of hooks that were run, by how they ended.", "event", "outcome"),
		seconds: counter("hook_seconds_total", "Time that commands of hooks took.", "event"),
	}
}

func (m metrics) note(kind Kind, took time.Duration, err error) {
	outcome := "done"
	if err != nil {
		outcome = "failed"
	}
	m.runs.WithLabelValues(string(kind), outcome).Inc()
	m.seconds.WithLabelValues(string(kind)).Add(took.Seconds())
}

// Collectors are what the runner has for /metrics.
func (r *Runner) Collectors() []prometheus.Collector {
	return []prometheus.Collector{r.metrics.runs, r.metrics.seconds}
}
