package api

import (
	"context"
	"io"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// Source is what the API shows and asks of the sidecar; *sidecar.Sidecar is one. All calls are safe from any goroutine and
// return at once, but for Failsafe and ServeTail.
type Source interface {
	// Self is what this member says of itself, as of now.
	Self() watchdog.Member
	// Heard notes a heartbeat from another member.
	Heard(peer watchdog.Member)
	// Snapshot is the last view and decision of the loop.
	Snapshot() Snapshot
	// Failsafe answers a primary that has lost etcd. It may take as long as ctx allows, and a yes binds us.
	Failsafe(ctx context.Context, question watchdog.FailsafeQuestion) watchdog.FailsafeAnswer
	// ServeTail writes raw WAL of the timeline in [from, to) to the one who names the token: ErrForbidden otherwise.
	ServeTail(ctx context.Context, token string, timeline watchdog.Timeline, from, to watchdog.LSN, w io.Writer) error
}

// Snapshot is the state of the sidecar at one moment.
type Snapshot = sidecar.Snapshot

// ErrForbidden: the token does not match the one that the record or our ballot names.
var ErrForbidden = sidecar.ErrForbidden

var (
	_ Source        = (*sidecar.Sidecar)(nil)
	_ sidecar.Peers = (*Peers)(nil)
)
