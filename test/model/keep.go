package model

import (
	"slices"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// keep is what the primary's sidecar sees when it looks after the durability: what its server waits for and since where, what
// each standby has, who is there, and what the policy asks for.
type keep struct {
	who          uint8
	record       record
	sync         quorum
	from         uint8 // one more than the position after which every commit has waited for sync; 0: not known
	flushed      [limit]uint8
	there        uint8 // standbys that stream and whose sidecars are heard
	k            uint8
	mayDegrade   bool
	fork, length uint8
}

// kept is what it does: at most one of the two.
type kept struct {
	record *record
	server *quorum
}

// keep asks watchdog.Decide, as the primary that holds its term.
func (c *core) keep(q keep) kept {
	answer, known := c.kept[q]
	if !known {
		answer = c.decideKeep(q)
		c.kept[q] = answer
	}
	return answer
}

func (c *core) decideKeep(q keep) kept {
	v := c.primaryView(q)
	for _, a := range watchdog.Decide(v).Actions {
		switch {
		case a.Kind == watchdog.ActSynchronise:
			sync := quorumOf(a.Sync.K, c.set(a.Sync.Voters))
			return kept{server: &sync}
		case a.Change != nil && a.Change.Record != nil:
			if a.Change.If.PrimaryTermRev == nil || *a.Change.If.PrimaryTermRev != v.Trust.Rev || *a.Change.If.RecordRev != v.Cluster.RecordRev {
				panic("a change of the durability that does not compare our own renewal and the record")
			}
			r := c.read(a.Change.Record)
			return kept{record: &r}
		}
	}
	return kept{}
}

func (c *core) primaryView(q keep) watchdog.View {
	v := c.view(question{ask: toSettle, who: q.who, record: q.record})
	term := v.Cluster.Record.Term
	v.Cluster.Record.Fork = watchdog.LSN(q.fork)
	v.Trust = watchdog.Trust{Term: term, From: long, Rev: v.Cluster.PrimaryTermRev}
	v.Policy.K = int(q.k)
	v.Server = watchdog.Server{
		Role: watchdog.RolePrimary, PID: 1, SystemID: "7", ServerVersion: 150000, Timeline: 1, Received: watchdog.LSN(q.length),
		Latched: true, Sync: c.durability(q.sync).Sync(term), AnsweredAt: long, ConnectedAt: long, StoredAt: long, StartedAt: 1,
	}
	if q.from != 0 {
		v.Server.SyncFrom = watchdog.LSN(q.from - 1)
	}
	if q.mayDegrade {
		v.Policy.WhenShort, v.Memory.ShortSince = watchdog.ShortDegrade, 1
	}
	slices.Sort(v.Cluster.Record.Members)
	for i, name := range c.names {
		if i == int(q.who) {
			continue
		}
		peer := watchdog.Peer{Member: v.Cluster.Members[name].Member}
		if q.there&(1<<i) != 0 {
			peer.HeardAt, peer.AnsweredAt, peer.StreamedAt = long, long, long
		}
		v.Peers[name] = peer
		v.Server.Standbys = append(v.Server.Standbys, watchdog.Downstream{
			Name: name, Term: term, Streaming: q.there&(1<<i) != 0, Flushed: watchdog.LSN(q.flushed[i])})
	}
	v.Now = long.Add(time.Millisecond)
	return v
}

// decides takes the step that the whole of the primary's decision comes to, for each set of standbys that may be there.
func (w *world) decides(s *state, i int) {
	m := &s.m[i]
	q := keep{
		who: uint8(i), record: s.record(w), sync: m.sync, from: m.barrier, flushed: m.flushed, fork: s.forks[s.term], length: w.length(m.wal),
		mayDegrade: w.mayDegrade(s, i),
	}
	var moves [8]uint64
	for _, k := range w.Ks {
		q.k = uint8(k)
		for there := range uint8(1 << w.Servers) {
			if there&(1<<i) != 0 {
				continue
			}
			q.there = there
			move := -1
			switch did := w.core.keep(q); {
			case did.record != nil:
				move = int(did.record.dur)
			case did.server != nil && m.old == 0 && s.next == 0:
				move = 256 + int(*did.server)
			}
			if move >= 0 {
				moves[move/64] |= 1 << (move % 64)
			}
		}
	}
	w.move(s, i, &moves)
}
