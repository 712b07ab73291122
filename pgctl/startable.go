package pgctl

import "fmt"

// startable is asked before every start of the server: it refuses while the data directory is half rewound, and clears what
// would keep the server from starting or following.
func (in *Instance) startable() error {
	if p, pending := in.pendingRewind(); pending {
		return fmt.Errorf("%w since %s, against %s: rewind it again or clone it anew", ErrRewindPending, p.Since, p.Upstream)
	}
	return in.clearPlaceholders(0)
}
