package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog/alert"
)

// poster keeps no connection: alerts are rare. A redirect is an error, since what follows one is no POST any more.
var poster = &http.Client{
	Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	},
}

// post sends a body and takes any 2xx for a yes.
func post(ctx context.Context, to string, body []byte, headers map[string]string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return mask(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "pgvigil")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer, err := poster.Do(request)
	if err != nil {
		return fmt.Errorf("post to %s: %w", request.URL.Host, mask(err))
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
	if answer.StatusCode/100 == 2 {
		return nil
	}
	err = fmt.Errorf("post to %s: %s: %s", request.URL.Host, answer.Status, strings.TrimSpace(string(said)))
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return fmt.Errorf("%w: %w", alert.ErrRefused, err)
	}
	return err
}

// mask takes the URL out of an error: its path may be a secret.
func mask(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// censored takes a secret out of what an error says: the receiver may have quoted it.
func censored(err error, secret string) error {
	if err == nil || secret == "" || !strings.Contains(err.Error(), secret) {
		return err
	}
	return &censoredError{strings.ReplaceAll(err.Error(), secret, "…"), err}
}

// censoredError says what it may, and is what it was.
type censoredError struct {
	said string
	was  error
}

func (e *censoredError) Error() string { return e.said }

func (e *censoredError) Is(target error) bool { return errors.Is(e.was, target) }
