package election

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Version is that of an etcd server.
type Version struct{ Major, Minor, Patch int }

// String writes it as etcd does.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Before says whether v is older than other.
func (v Version) Before(other Version) bool {
	switch {
	case v.Major != other.Major:
		return v.Major < other.Major
	case v.Minor != other.Minor:
		return v.Minor < other.Minor
	default:
		return v.Patch < other.Patch
	}
}

// leasesMended is where etcd learned to say that a revoked lease is gone, by line of versions.
var leasesMended = []Version{{3, 4, 38}, {3, 5, 23}, {3, 6, 5}}

// LeaseBugs says whether that etcd may revoke a lease early after a change of its leader, or renew one that is gone (F8, F9).
// pgvigil is safe with it; a failover may be needless or a little late.
func (v Version) LeaseBugs() bool {
	for _, mended := range leasesMended {
		if v.Major == mended.Major && v.Minor == mended.Minor {
			return v.Before(mended)
		}
	}
	return v.Before(leasesMended[0])
}

// ParseVersion reads what etcd says of itself, such as 3.5.21 or 3.6.0-rc.1.
func ParseVersion(text string) (Version, error) {
	var v Version
	numbers, _, _ := strings.Cut(strings.TrimPrefix(text, "v"), "-")
	if n, err := fmt.Sscanf(numbers, "%d.%d.%d", &v.Major, &v.Minor, &v.Patch); n != 3 {
		return Version{}, fmt.Errorf("parse etcd's version %q: %w", text, err)
	}
	return v, nil
}

// StoreVersion returns the lowest version among the endpoints that answer within ctx. An error means that none did.
func (c *Client) StoreVersion(ctx context.Context) (Version, error) {
	ctx, cancel, _ := c.pool.bound(ctx)
	defer cancel()
	answers := make(chan answer[Version], len(c.pool.endpoints))
	asked := 0
	for i, e := range c.pool.endpoints {
		if c.pool.run(func() {
			v, err := e.version(ctx)
			answers <- answer[Version]{i, v, err}
		}) {
			asked++
		}
	}
	if asked == 0 {
		return Version{}, fmt.Errorf("ask for etcd's version: %w", errClosed)
	}
	var lowest *Version
	var failed []error
	for range asked {
		a := <-answers // each keeps to ctx
		if a.err != nil {
			failed = append(failed, fmt.Errorf("etcd at %s: %w", c.pool.endpoints[a.endpoint].address, a.err))
			continue
		}
		if lowest == nil || a.value.Before(*lowest) {
			lowest = &a.value
		}
	}
	if lowest == nil {
		return Version{}, fmt.Errorf("ask for etcd's version: %w", errors.Join(failed...))
	}
	return *lowest, nil
}

func (e *endpoint) version(ctx context.Context) (Version, error) {
	client, err := e.connected(ctx)
	if err != nil {
		return Version{}, err
	}
	status, err := client.Status(ctx, e.address)
	if err != nil {
		return Version{}, err
	}
	return ParseVersion(status.Version)
}
