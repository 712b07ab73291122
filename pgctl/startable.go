package pgctl

import (
	"fmt"

	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// startable is asked before every start of the server: it refuses while the data directory is half rewound, and clears what
// would keep the server from starting or following.
func (in *Instance) startable() error {
	if p, pending := in.pendingRewind(); pending {
		return fmt.Errorf("%w since %s, against %s: rewind it again or clone it anew: %w", ErrRewindPending, p.Since, p.Upstream, sidecar.ErrDiverged)
	}
	if in.swappedIn() && !exists(in.config.DataDir+".clone") { // a clone's last step was cut short
		if err := in.settleClone(); err != nil {
			return err
		}
	}
	return in.clearPlaceholders(0)
}
