package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// world is one run: a cluster, its etcd, its clients, and the faults that are to come.
type world struct {
	story      Story
	now        int64
	queue      schedule
	steps      int
	rng        *rand.Rand // of the world: network, etcd, the order of things
	clientRand *rand.Rand
	etcd       *store
	campaigns  []campaigner
	net        network
	latency    time.Duration
	policy     watchdog.Policy
	nodes      []*node
	check      *check
	promotions uint32
	writes     uint32
	injected   int // faults that hit something
	tracing    bool
	healed     bool
	harmed     bool          // a fault was injected that is a reason for a failover
	onBallot   func(*node)   // happens when the next ballot is given
	winnerLost time.Duration // the host of the next one named is lost, for so long
	lines      []string
	reached    map[watchdog.Reason]int
	actedAt    int64 // when any sidecar last set anything in motion
	sabotage   bug
	backup     *watchdog.Cluster
}

// newWorld builds the cluster that the story's seed gives: servers that replicate already, and no sidecar yet.
func newWorld(s Story, tracing bool) *world {
	w := &world{story: s, tracing: tracing, sabotage: s.Planted, reached: map[watchdog.Reason]int{}}
	w.rng = rand.New(rand.NewPCG(s.Seed, 1))
	w.clientRand = rand.New(rand.NewPCG(s.Seed, 2))
	w.etcd = newStore(w)
	w.check = newCheck(w)
	shape := rand.New(rand.NewPCG(s.Seed, 3))
	w.policy = policyOf(s.Shape)
	w.latency = []time.Duration{200 * time.Microsecond, time.Millisecond, 4 * time.Millisecond}[shape.IntN(3)]
	for i := range s.Shape.Members {
		w.nodes = append(w.nodes, newNode(w, i, shape))
	}
	for _, n := range w.nodes {
		n.pg.wal = append(n.pg.wal, entry{timeline: 1, term: 1})
		n.pg.flushed, n.pg.restart = 1, 1
		if n.index > 0 {
			n.pg.latched, n.pg.set = true, conninfo{upstream: n.found}
		}
		n.pg.start()
		w.after(between(shape, 500*time.Millisecond, 900*time.Millisecond), n.startSidecar)
	}
	for i := range 2 + shape.IntN(2) {
		c := &client{w: w, fresh: i == 0, every: between(shape, 60*time.Millisecond, 200*time.Millisecond)}
		w.after(time.Second, c.turn)
	}
	for i := range s.Faults {
		f := s.Faults[i]
		w.after(time.Duration(f.At), func() { w.inject(f) })
	}
	return w
}

func newNode(w *world, i int, shape *rand.Rand) *node {
	n := &node{
		world: w, index: i, name: fmt.Sprintf("node%d", i+1), address: fmt.Sprintf("node%d:5432", i+1),
		r: rand.New(rand.NewPCG(w.story.Seed, uint64(100+i))), rate: 0.99 + 0.02*shape.Float64(), base: int64(between(shape, time.Minute, time.Hour)),
	}
	n.noRewind, n.noFailover, n.priority = chance(shape, 0.15), i > 2 && chance(shape, 0.3), shape.IntN(3)
	if tags := rand.New(rand.NewPCG(w.story.Seed, uint64(200+i))); w.story.Shape.Tags {
		n.site, n.noSync = []string{"", "north", "south"}[tags.IntN(3)], i > 2 && chance(tags, 0.5)
	}
	n.skew = time.Duration(i-1) * 1500 * time.Millisecond
	n.found = 0
	if cascades := rand.New(rand.NewPCG(w.story.Seed, uint64(300+i))); w.story.Shape.Cascades && i > 1 && chance(cascades, 0.6) {
		up := 1 + cascades.IntN(w.story.Shape.Members-1) // itself: none
		if up < i && chance(cascades, 0.5) {
			n.found = up
		} else if up != i {
			n.follow = fmt.Sprintf("node%d", up+1) // circles too
		}
	}
	n.pg = &postgres{n: n, r: n.r, set: nowhere, active: nowhere, term: 1}
	return n
}

// Shape is what sort of cluster a story is about.
type Shape struct {
	Members  int
	Quorum   bool
	K        int
	Tight    bool
	Degrade  bool
	Failsafe bool
	Benign   bool // only faults that are no reason for a failover
	Tags     bool // some members have a site, or are tagged no_sync
	Cascades bool // some standbys follow another, as found or as configured
}

func policyOf(s Shape) watchdog.Policy {
	name := "default"
	if s.Tight {
		name = "tight"
	}
	p, _ := watchdog.Preset(name)
	p.K, p.Failsafe = s.K, s.Failsafe
	p.LagLimitWait = watchdog.Duration(4 * time.Second)
	if s.Quorum {
		p.Durability = watchdog.ModeQuorum
	}
	if s.Degrade {
		p.WhenShort, p.DegradeAfter = watchdog.ShortDegrade, watchdog.Duration(3*time.Second)
	}
	return p
}

func (w *world) named(name string) *node {
	for _, n := range w.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

func (w *world) planted(b bug) bool { return w.sabotage == b }

// trace notes a line of the story, when somebody reads it.
func (w *world) trace(who, format string, args ...any) {
	if w.tracing {
		w.lines = append(w.lines, fmt.Sprintf("%9.3f %-6s %s", float64(w.now)/1e9, who, fmt.Sprintf(format, args...)))
	}
}

func describeRecord(r watchdog.Record) string {
	text := fmt.Sprintf("record term %d seq %d %s primary=%s taken=%v timeline=%d %s (%s)",
		r.Term, r.Seq, r.Phase, r.Primary, r.Taken, r.Timeline, r.Durability, r.Reason)
	if r.Next != nil {
		text += fmt.Sprintf(", next %s", r.Next)
	}
	if r.Tail != nil {
		text += fmt.Sprintf(", tail of %s to %d", r.Tail.From, entries(r.Tail.End))
	}
	return text
}
