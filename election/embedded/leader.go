package embedded

import (
	"context"
	"fmt"
)

// IsLeader says whether this member leads etcd just now.
func (m *Member) IsLeader() bool { return m.etcd.Server.Leader() == m.etcd.Server.MemberID() }

// Leader returns the name of the member that leads etcd, as far as this one knows; empty: none.
func (m *Member) Leader() string {
	if member := m.etcd.Server.Cluster().Member(m.etcd.Server.Leader()); member != nil {
		return member.Name
	}
	return ""
}

// MoveLeader gives etcd's leadership to the member of that name and returns when it has it. While it moves, for a heartbeat or
// two, etcd makes no changes; to a member that does not answer, for an election's time: so give a name that is known to live,
// or none: then it goes to the member that has been connected for longest, and ctx is not looked at while it does.
func (m *Member) MoveLeader(ctx context.Context, to string) error {
	s := m.etcd.Server
	if to == "" {
		if err := s.TryTransferLeadershipOnShutdown(); err != nil {
			return fmt.Errorf("move etcd's leadership away: %w", err)
		}
		return nil
	}
	for _, member := range s.Cluster().Members() {
		if member.Name != to {
			continue
		}
		if member.ID == s.Leader() {
			return nil
		}
		if err := s.MoveLeader(ctx, uint64(s.Leader()), uint64(member.ID)); err != nil {
			return fmt.Errorf("move etcd's leadership to %q: %w", to, err)
		}
		return nil
	}
	return fmt.Errorf("move etcd's leadership to %q: no member has that name", to)
}
