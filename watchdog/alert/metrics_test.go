package alert_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/alert"
)

func TestMetricsOfSinks(t *testing.T) {
	told(t, func(t *testing.T, w *world) {
		sick := &receiver{answer: func(_ context.Context, nth int, _ alert.Alert) error {
			if nth > 1 {
				return errors.New("503")
			}
			return nil
		}}
		n := w.start("a", sick, &receiver{})
		defer n.stop()
		w.pass(soon)
		w.happen(2, watchdog.EventHandOver)
		w.pass(soon)
		w.happen(2, watchdog.EventTaken, watchdog.EventPromoted)
		w.pass(10 * time.Second) // it is tried at once, and after 1, 3 and 7 seconds
		registry := prometheus.NewRegistry()
		registry.MustRegister(n.Collectors()...)
		page := httptest.NewRecorder()
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		for _, line := range []string{
			`pgvigil_alerts_delivered_total{sink="sink0"} 1`,
			`pgvigil_alerts_delivered_total{sink="sink1"} 3`,
			`pgvigil_alerts_failed_total{sink="sink0"} 4`,
			`pgvigil_alerts_failed_total{sink="sink1"} 0`,
			`pgvigil_alerts_failing_seconds{sink="sink0"} 9`,
			`pgvigil_alerts_failing_seconds{sink="sink1"} 0`,
			`pgvigil_alerts_lost_total{sink="sink0"} 0`,
			`pgvigil_alerts_lost_total{sink="sink1"} 0`,
			`pgvigil_alerts_oldest_age_seconds{sink="sink0"} 10`,
			`pgvigil_alerts_oldest_age_seconds{sink="sink1"} 0`,
			`pgvigil_alerts_queued{sink="sink0"} 2`,
			`pgvigil_alerts_queued{sink="sink1"} 0`,
			`pgvigil_alerts_skipped_total{sink="sink0"} 0`,
			`pgvigil_alerts_skipped_total{sink="sink1"} 0`,
		} {
			if !strings.Contains(page.Body.String(), line+"\n") {
				t.Errorf("%s is not in\n%s", line, page.Body)
			}
		}
	})
}
