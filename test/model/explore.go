package model

import (
	"fmt"
	"hash/maphash"
	"strings"
)

// Result is what an exploration came to.
type Result struct {
	States int
	Depth  int    // steps to the state that is farthest from the first
	Wrong  string // the first invariant that a step broke; or a state from which nothing leads to a serving primary
	Steps  int    // to there
	Trace  string
	Cut    bool // the bound on states was reached before the end
}

const chunk = 1 << 14

// explorer goes breadth first. States are kept whole, in chunks; the table finds them by hash.
type explorer struct {
	*world
	seed   maphash.Seed
	chunks [][]state
	parent []uint32
	table  []uint64 // by hash: half of it, and the index + 1
	edges  []uint32
	from   []uint32 // where a state's edges begin
}

// Explore visits every state that the options allow, or stops at the first that is wrong.
func Explore(o Options) Result {
	e := &explorer{world: newWorld(o), seed: maphash.MakeSeed(), table: make([]uint64, 1<<16)}
	first := e.initial()
	first = first.canonicalIf(o)
	e.add(&first, 0)
	depth, boundary := 0, 1
	for at := 0; at < len(e.parent); at++ {
		if at == boundary {
			depth, boundary = depth+1, len(e.parent)
		}
		here := *e.state(at)
		if o.Live {
			e.from = append(e.from, uint32(len(e.edges)))
		}
		for _, next := range e.successors(&here) {
			if next.wrong != "" {
				steps, trace := e.trace(at, &next)
				return Result{States: len(e.parent), Depth: depth, Wrong: next.wrong, Steps: steps, Trace: trace}
			}
			c := next.state.canonicalIf(o)
			to := e.add(&c, uint32(at))
			if o.Live && to != uint32(at) {
				e.edges = append(e.edges, to)
			}
		}
		if o.Most > 0 && len(e.parent) > o.Most {
			return Result{States: len(e.parent), Depth: depth, Cut: true}
		}
	}
	r := Result{States: len(e.parent), Depth: depth}
	if o.Live {
		e.stuck(&r)
	}
	return r
}

// canonicalIf: members are alike unless some of them are dead.
func (s *state) canonicalIf(o Options) state {
	if o.Mute != 0 {
		return *s
	}
	return s.canonical(o.Servers)
}

func (e *explorer) state(i int) *state { return &e.chunks[i/chunk][i%chunk] }

// add returns the state's index, and enters it if it is new.
func (e *explorer) add(s *state, parent uint32) uint32 {
	if len(e.parent)*2 > len(e.table) {
		e.grow()
	}
	mask := uint64(len(e.table) - 1)
	hash := maphash.Comparable(e.seed, *s) >> 32
	slot := hash & mask
	for ; e.table[slot] != 0; slot = (slot + 1) & mask {
		if e.table[slot]>>32 != hash {
			continue
		}
		if i := uint32(e.table[slot]) - 1; *e.state(int(i)) == *s {
			return i
		}
	}
	i := len(e.parent)
	if i%chunk == 0 {
		e.chunks = append(e.chunks, make([]state, chunk))
	}
	*e.state(i) = *s
	e.parent = append(e.parent, parent)
	e.table[slot] = hash<<32 | uint64(i+1)
	return uint32(i)
}

func (e *explorer) grow() {
	old := e.table
	e.table = make([]uint64, 2*len(old))
	mask := uint64(len(e.table) - 1)
	for _, entered := range old {
		if entered == 0 {
			continue
		}
		slot := entered >> 32 & mask
		for e.table[slot] != 0 {
			slot = (slot + 1) & mask
		}
		e.table[slot] = entered
	}
}

// stuck looks for a state from which no path leads to a serving primary. In the last term that the bounds allow nothing can be
// judged: another may be what is needed.
func (e *explorer) stuck(r *Result) {
	n := len(e.parent)
	reverse := make([]uint32, n+1)
	for _, to := range e.edges {
		reverse[to+1]++
	}
	for i := range n {
		reverse[i+1] += reverse[i]
	}
	back, fill := make([]uint32, len(e.edges)), append([]uint32{}, reverse[:n]...)
	e.from = append(e.from, uint32(len(e.edges)))
	for i := range n {
		for _, to := range e.edges[e.from[i]:e.from[i+1]] {
			back[fill[to]] = uint32(i)
			fill[to]++
		}
	}
	good, queue := make([]bool, n), []uint32{}
	for i := range n {
		if e.serving(e.state(i)) {
			good[i], queue = true, append(queue, uint32(i))
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		for _, i := range back[reverse[queue[0]]:reverse[queue[0]+1]] {
			if !good[i] {
				good[i], queue = true, append(queue, i)
			}
		}
	}
	for i := range n {
		if !good[i] && int(e.state(i).term) < e.Terms {
			r.Wrong = "stuck: no path leads to a serving primary"
			r.Steps, r.Trace = e.trace(i, nil)
			return
		}
	}
}

// trace tells the shortest way to the state and the step beyond it. Its states are in canonical order: the way is walked again
// from the first, so that each member keeps its name.
func (e *explorer) trace(i int, wrong *successor) (steps int, told string) {
	var way []int
	for at := i; at != 0; at = int(e.parent[at]) {
		way = append(way, at)
	}
	var out strings.Builder
	here := e.initial()
	fmt.Fprintf(&out, "      %s\n", e.tell(&here))
	for j := len(way) - 1; j >= 0; j-- {
		for _, next := range e.successors(&here) {
			if c := next.state.canonicalIf(e.Options); c == *e.state(way[j]) {
				here = next.state
				steps++
				fmt.Fprintf(&out, "%4d. %s\n      %s\n", steps, e.tellStep(next.step), e.tell(&here))
				break
			}
		}
	}
	if wrong == nil {
		return steps, out.String()
	}
	for _, next := range e.successors(&here) {
		if next.wrong == wrong.wrong && next.step.kind == wrong.step.kind {
			steps++
			fmt.Fprintf(&out, "%4d. %s\n      %s\n      %s", steps, e.tellStep(next.step), e.tell(&next.state), next.wrong)
			return steps, out.String()
		}
	}
	return steps + 1, out.String() + wrong.wrong
}
