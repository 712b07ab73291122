package sink

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// pagerDutyURL is where events go of accounts that are not in PagerDuty's European region.
const pagerDutyURL = "https://events.pagerduty.com/v2/enqueue"

// pagerDuty speaks PagerDuty's Events API v2: an incident is triggered under its key, and resolved under the same.
type pagerDuty struct{ url, secretFile string }

func newPagerDuty(c Config) (alert.Sink, error) {
	return &pagerDuty{cmp.Or(c.URL, pagerDutyURL), c.SecretFile}, nil
}

// pagerDutyEvent is one call.
type pagerDutyEvent struct {
	RoutingKey string            `json:"routing_key"`
	Action     string            `json:"event_action"` // trigger or resolve
	DedupKey   string            `json:"dedup_key"`
	Client     string            `json:"client,omitempty"`
	Payload    *pagerDutyPayload `json:"payload,omitempty"` // of a trigger
}

type pagerDutyPayload struct {
	Summary   string            `json:"summary"` // at most 1024 characters
	Source    string            `json:"source"`
	Severity  string            `json:"severity"`
	Timestamp time.Time         `json:"timestamp"`
	Component string            `json:"component"`
	Group     string            `json:"group"`
	Class     string            `json:"class"`
	Details   map[string]string `json:"custom_details"`
}

// Deliver resolves what is over, and triggers what is not: all of it again if one call fails, which PagerDuty's keys allow.
func (p *pagerDuty) Deliver(ctx context.Context, a alert.Alert) error {
	key, err := secret(p.secretFile)
	if err != nil {
		return err
	}
	var calls []pagerDutyEvent
	for _, over := range a.Resolves {
		calls = append(calls, pagerDutyEvent{RoutingKey: key, Action: "resolve", DedupKey: shortened(over.Key, 255)})
	}
	if a.Status != alert.Resolved {
		calls = append(calls, pagerDutyEvent{RoutingKey: key, Action: "trigger", DedupKey: shortened(a.Key, 255), Client: "pgvigil", Payload: &pagerDutyPayload{
			Summary: shortened(a.Title, 1024), Source: cmp.Or(a.Member, a.Cluster), Severity: string(a.Severity), Timestamp: a.Time,
			Component: "postgresql", Group: a.Cluster, Class: string(a.Kind), Details: details(a),
		}})
	}
	for _, call := range calls {
		body, err := json.Marshal(call)
		if err != nil {
			return fmt.Errorf("encode alert: %w", err)
		}
		if err := post(ctx, p.url, body, nil); err != nil {
			return fmt.Errorf("%s %s: %w", call.Action, call.DedupKey, censored(err, key))
		}
	}
	return nil
}

// details are an alert's facts with all that a receiver may want to search for.
func details(a alert.Alert) map[string]string {
	all := map[string]string{"id": a.ID, "reason": string(a.Reason), "member": a.Member, "text": a.Text}
	for name, value := range a.Labels {
		all[name] = value
	}
	for name, value := range a.Facts {
		all[name] = value
	}
	return all
}

// shortened cuts a text to so many characters.
func shortened(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return strings.TrimSpace(string(runes[:most-1])) + "…"
	}
	return text
}
