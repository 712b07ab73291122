package sink

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// opsgenieURL is the API of accounts that are not in Opsgenie's European region.
const opsgenieURL = "https://api.opsgenie.com"

// opsgenie speaks Opsgenie's Alert API v2: an alert is created under our key as its alias, and closed by it.
type opsgenie struct{ url, secretFile string }

func newOpsgenie(c Config) (alert.Sink, error) {
	return &opsgenie{strings.TrimRight(cmp.Or(c.URL, opsgenieURL), "/"), c.SecretFile}, nil
}

type opsgenieCreate struct {
	Message     string            `json:"message"` // at most 130 characters
	Alias       string            `json:"alias"`   // at most 512
	Description string            `json:"description"`
	Priority    string            `json:"priority"`
	Source      string            `json:"source"`
	Entity      string            `json:"entity"`
	Tags        []string          `json:"tags"`
	Details     map[string]string `json:"details"`
}

type opsgenieClose struct {
	Source string `json:"source"`
	Note   string `json:"note"`
}

// Deliver closes what is over, and creates what is not: all of it again if one call fails, which aliases allow.
func (o *opsgenie) Deliver(ctx context.Context, a alert.Alert) error {
	key, err := secret(o.secretFile)
	if err != nil {
		return err
	}
	send := func(path string, what any) error {
		body, err := json.Marshal(what)
		if err != nil {
			return fmt.Errorf("encode alert: %w", err)
		}
		return censored(post(ctx, o.url+path, body, map[string]string{"Authorization": "GenieKey " + key}), key)
	}
	for _, over := range a.Resolves {
		path := "/v2/alerts/" + url.PathEscape(alias(over.Key)) + "/close?identifierType=alias"
		if err := send(path, opsgenieClose{"pgvigil", shortened(a.Title, 1000)}); err != nil {
			return fmt.Errorf("close %s: %w", alias(over.Key), err)
		}
	}
	if a.Status == alert.Resolved {
		return nil
	}
	priority := map[alert.Severity]string{alert.Critical: "P1", alert.Warning: "P3", alert.Info: "P5"}[a.Severity]
	err = send("/v2/alerts", opsgenieCreate{
		Message: shortened(a.Title, 130), Alias: alias(a.Key), Description: shortened(a.Text, 15000), Priority: priority,
		Source: "pgvigil", Entity: a.Cluster, Tags: []string{"pgvigil", string(a.Severity), string(a.Kind)}, Details: details(a),
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", alias(a.Key), err)
	}
	return nil
}

// alias is an incident's key without the slashes, which would have to survive in a path.
func alias(key string) string { return shortened(strings.ReplaceAll(key, "/", ":"), 512) }
