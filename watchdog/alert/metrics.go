package alert

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("pgvigil_alerts_"+name, help, []string{"sink"}, nil)
}

var (
	descQueued    = describe("queued", "Events that the sink has not passed yet; 0 on members that do not lead.")
	descOldest    = describe("oldest_age_seconds", "Age of the oldest of them, 0 if there is none.")
	descFailing   = describe("failing_seconds", "Time since the first of the failures in a row, 0 if the last attempt went well.")
	descDelivered = describe("delivered_total", "Alerts that the receiver took.")
	descFailed    = describe("failed_total", "Attempts to deliver that failed.")
	descSkipped   = describe("skipped_total", "Events passed over: their receiver refuses them, or they cannot be read.")
	descLost      = describe("lost_total", "Events, at most, that were removed from etcd before the sink had them.")
)

// Collectors are what the notifier has for /metrics.
func (n *Notifier) Collectors() []prometheus.Collector { return []prometheus.Collector{collector{n}} }

type collector struct{ *Notifier }

// Describe sends all there is.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descQueued, descOldest, descFailing, descDelivered, descFailed, descSkipped, descLost} {
		out <- d
	}
}

// Collect sends what is known of each sink.
func (c collector) Collect(out chan<- prometheus.Metric) {
	now := time.Now()
	for _, s := range c.Status() {
		set := func(d *prometheus.Desc, kind prometheus.ValueType, value float64) {
			out <- prometheus.MustNewConstMetric(d, kind, value, s.Name)
		}
		failing, oldest := s.For(now)
		set(descQueued, prometheus.GaugeValue, float64(s.Waiting))
		set(descOldest, prometheus.GaugeValue, oldest.Seconds())
		set(descFailing, prometheus.GaugeValue, failing.Seconds())
		set(descDelivered, prometheus.CounterValue, float64(s.Delivered))
		set(descFailed, prometheus.CounterValue, float64(s.Failed))
		set(descSkipped, prometheus.CounterValue, float64(s.Skipped))
		set(descLost, prometheus.CounterValue, float64(s.Lost))
	}
}
