package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/pgvigil/pgvigil/watchdog"
)

// failsafe answers a primary that has lost etcd.
func (s *Server) failsafe(w http.ResponseWriter, r *http.Request) {
	var question watchdog.FailsafeQuestion
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxHeartbeat)).Decode(&question); err != nil {
		refuse(w, http.StatusBadRequest, "decode failsafe question: %v", err)
		return
	}
	if question.Cluster != s.options.Cluster {
		refuse(w, http.StatusConflict, "this is a sidecar of cluster %q, not of %q", s.options.Cluster, question.Cluster)
		return
	}
	if hungUp(r.Context()) {
		panic(http.ErrAbortHandler) // it lay in a queue while this process was stopped: nobody counts on the answer
	}
	answer(w, http.StatusOK, s.source.Failsafe(r.Context(), question))
}

// Failsafe asks the member at api to let us go on though etcd is lost.
func (p *Peers) Failsafe(ctx context.Context, api string, question watchdog.FailsafeQuestion) (given watchdog.FailsafeAnswer, err error) {
	body, err := json.Marshal(question)
	if err != nil {
		return given, fmt.Errorf("encode failsafe question: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, api+"/failsafe", bytes.NewReader(body))
	if err != nil {
		return given, fmt.Errorf("ask %s for failsafe: %w", api, err)
	}
	response, err := p.tails.Do(request)
	if err != nil {
		return given, fmt.Errorf("ask %s for failsafe: %w", api, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return given, fmt.Errorf("ask %s for failsafe: %w", api, refused(response.StatusCode, response.Body))
	}
	if err := json.NewDecoder(response.Body).Decode(&given); err != nil {
		return given, fmt.Errorf("ask %s for failsafe: decode answer: %w", api, err)
	}
	return given, nil
}
