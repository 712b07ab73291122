package sink

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// How long alerts stand in Alertmanager, which ends those that nobody repeats.
const (
	// untilResolved is for an incident: in truth until its resolve.
	untilResolved = 30 * 24 * time.Hour
	// leastStanding is for an incident that is over at once, as most failovers are: Alertmanager's group_wait, 30 s unless
	// configured, would else swallow it whole.
	leastStanding = 2 * time.Minute
	// What nothing resolves tells, and goes: a critical one after a day, others after an hour.
	noticeStands, criticalStands = time.Hour, 24 * time.Hour
)

// posted is an alert as Alertmanager's v2 API takes it. Its labels are its identity.
type posted struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

type alertmanager struct{ url, secretFile string }

func newAlertmanager(c Config) (alert.Sink, error) {
	return &alertmanager{strings.TrimSuffix(strings.TrimRight(c.URL, "/"), "/api/v2/alerts") + "/api/v2/alerts", c.SecretFile}, nil
}

// Deliver posts the alert, or the ends of those that it resolves.
func (m *alertmanager) Deliver(ctx context.Context, a alert.Alert) error {
	body, err := json.Marshal(toPost(a, time.Now()))
	if err != nil {
		return fmt.Errorf("encode alert: %w", err)
	}
	token, err := secret(m.secretFile)
	if err != nil {
		return err
	}
	var headers map[string]string
	if token != "" {
		headers = map[string]string{"Authorization": "Bearer " + token}
	}
	return post(ctx, m.url, body, headers)
}

// toPost is what to post now.
func toPost(a alert.Alert, now time.Time) (all []posted) {
	annotations := map[string]string{
		"summary": a.Title, "description": a.Text, "reason": string(a.Reason), "member": a.Member, "id": a.ID,
	}
	for _, over := range a.Resolves {
		ends := now
		if least := over.Since.Add(leastStanding); least.After(ends) {
			ends = least
		}
		// Of two posts that overlap, Alertmanager keeps the later end, which is the firing one's as long as this is not over. What
		// ended before the incident began overlaps with neither, and takes the place of the one for the other.
		before := over.Since.Add(-time.Second)
		all = append(all, posted{Labels: over.Labels, Annotations: annotations, StartsAt: before, EndsAt: before},
			posted{Labels: over.Labels, Annotations: annotations, StartsAt: over.Since, EndsAt: ends})
	}
	if a.Status == alert.Resolved {
		return all
	}
	stands := noticeStands
	switch {
	case a.Status == alert.Firing:
		stands = untilResolved
	case a.Severity == alert.Critical:
		stands = criticalStands
	}
	return append(all, posted{Labels: a.Labels, Annotations: annotations, StartsAt: a.Time, EndsAt: now.Add(stands)})
}
