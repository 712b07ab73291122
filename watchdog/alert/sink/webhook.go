package sink

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// The headers of a webhook.
const (
	// HeaderTimestamp is when it was sent, in seconds since 1970: a receiver refuses what is old.
	HeaderTimestamp = "X-Pgvigil-Timestamp"
	// HeaderSignature is "sha256=" and, in hexadecimal, the HMAC of the timestamp, a dot and the body.
	HeaderSignature = "X-Pgvigil-Signature"
	// HeaderIdempotency is the alert's id.
	HeaderIdempotency = "Idempotency-Key"
)

// webhook posts the alert as JSON.
type webhook struct{ url, secretFile string }

func newWebhook(c Config) (alert.Sink, error) { return &webhook{c.URL, c.SecretFile}, nil }

// Deliver posts it.
func (w *webhook) Deliver(ctx context.Context, a alert.Alert) error {
	body, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode alert: %w", err)
	}
	key, err := secret(w.secretFile)
	if err != nil {
		return err
	}
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	headers := map[string]string{HeaderTimestamp: stamp, HeaderIdempotency: a.ID}
	if key != "" {
		headers[HeaderSignature] = Sign(key, stamp, body)
	}
	return post(ctx, w.url, body, headers)
}

// Sign is the signature of a body sent at that time.
func Sign(key, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}
