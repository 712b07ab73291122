package sink

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// teams posts an adaptive card to a Workflow of Microsoft Teams ("post to a channel when a webhook request is received"). The
// connectors that took other cards have been retired.
type teams struct{ url, secretFile string }

func newTeams(c Config) (alert.Sink, error) { return &teams{c.URL, c.SecretFile}, nil }

// teamsMessage is what the workflow's trigger takes, at most 28 kB.
type teamsMessage struct {
	Type        string            `json:"type"`
	Attachments []teamsAttachment `json:"attachments"`
}

type teamsAttachment struct {
	ContentType string    `json:"contentType"`
	ContentURL  *string   `json:"contentUrl"` // null
	Content     teamsCard `json:"content"`
}

type teamsCard struct {
	Schema  string            `json:"$schema"`
	Type    string            `json:"type"`
	Version string            `json:"version"`
	Body    []teamsBlock      `json:"body"`
	MSTeams map[string]string `json:"msteams"`
}

type teamsBlock struct {
	Type   string      `json:"type"`
	Text   string      `json:"text,omitempty"`
	Size   string      `json:"size,omitempty"`
	Weight string      `json:"weight,omitempty"`
	Color  string      `json:"color,omitempty"`
	Wrap   bool        `json:"wrap,omitempty"`
	Facts  []teamsFact `json:"facts,omitempty"`
}

type teamsFact struct {
	Title string `json:"title"`
	Value string `json:"value"`
}

// Deliver posts it.
func (m *teams) Deliver(ctx context.Context, a alert.Alert) error {
	to, err := m.address()
	if err != nil {
		return err
	}
	body, err := json.Marshal(card(a))
	if err != nil {
		return fmt.Errorf("encode alert: %w", err)
	}
	return post(ctx, to, body, nil)
}

func (m *teams) address() (string, error) {
	if m.url != "" {
		return m.url, nil
	}
	return secret(m.secretFile)
}

func card(a alert.Alert) teamsMessage {
	colour := map[alert.Severity]string{alert.Critical: "Attention", alert.Warning: "Warning", alert.Info: "Default"}[a.Severity]
	if a.Status == alert.Resolved {
		colour = "Good"
	}
	facts := []teamsFact{
		{"cluster", a.Cluster}, {"term", fmt.Sprint(a.Term)}, {"kind", string(a.Kind)}, {"reason", string(a.Reason)}, {"by", a.Member},
		{"at", a.Time.UTC().Format(time.RFC3339)}, {"id", a.ID},
	}
	return teamsMessage{Type: "message", Attachments: []teamsAttachment{{
		ContentType: "application/vnd.microsoft.card.adaptive",
		Content: teamsCard{
			Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4",
			Body: []teamsBlock{
				{Type: "TextBlock", Text: shortened(a.Title, 1000), Size: "Medium", Weight: "Bolder", Color: colour, Wrap: true},
				{Type: "TextBlock", Text: shortened(a.Text, 5000), Wrap: true},
				{Type: "FactSet", Facts: facts},
			},
			MSTeams: map[string]string{"width": "Full"},
		},
	}}}
}
