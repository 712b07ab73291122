package simulation

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Story is all that a run depends on.
type Story struct {
	Seed    uint64
	Shape   Shape
	Faults  []Fault
	Lasts   time.Duration // until everything is healed
	Planted bug
}

// Fault is one action against the cluster, for a while.
type Fault struct {
	At    time.Duration
	Kind  string
	Node  int
	Other int
	For   time.Duration
}

func (f Fault) String() string {
	return fmt.Sprintf("%s %s node%d node%d %s", f.At.Round(time.Millisecond), f.Kind, f.Node+1, f.Other+1, f.For.Round(time.Millisecond))
}

// faultsPerStory is how many faults a story has.
const faultsPerStory = 50

// NewStory draws a story from its seed.
func NewStory(seed uint64) Story { return newStory(seed, noBug) }

func newStory(seed uint64, planted bug) Story {
	r := rand.New(rand.NewPCG(seed, 4))
	s := Story{Seed: seed, Planted: planted, Shape: shapeOf(r)}
	wantedShape(planted, &s.Shape)
	more := rand.New(rand.NewPCG(seed, 5))
	s.Shape.Tags, s.Shape.Cascades = chance(more, 0.5), chance(more, 0.4)
	at := 3 * time.Second
	kinds := kindsFor(s.Shape, planted)
	for range faultsPerStory {
		at += between(r, 50*time.Millisecond, 2*time.Second)
		if chance(r, 0.08) {
			at += between(r, 2*time.Second, 8*time.Second) // time to recover in
		}
		lasting := between(r, 50*time.Millisecond, 2500*time.Millisecond)
		if chance(r, 0.25) {
			lasting = between(r, time.Second, 9*time.Second)
		}
		f := Fault{
			At: at.Round(time.Millisecond), Kind: kinds[r.IntN(len(kinds))], Node: r.IntN(s.Shape.Members), Other: r.IntN(s.Shape.Members),
			For: lasting.Round(time.Millisecond),
		}
		s.Faults = append(s.Faults, f)
	}
	s.Lasts = at + 3*time.Second
	return s
}

func shapeOf(r *rand.Rand) Shape {
	s := Shape{Members: 3 + r.IntN(3), Quorum: chance(r, 0.6), K: 1, Tight: chance(r, 0.5), Degrade: chance(r, 0.4), Failsafe: chance(r, 0.7)}
	if chance(r, 0.4) {
		s.K = 2
	}
	s.Benign = chance(r, 0.05)
	return s
}

// Encode writes the story as text, to be kept as a regression test.
func (s Story) Encode() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\n", s.Seed)
	fmt.Fprintf(&b, "shape members=%d quorum=%v k=%d tight=%v degrade=%v failsafe=%v benign=%v\n",
		s.Shape.Members, s.Shape.Quorum, s.Shape.K, s.Shape.Tight, s.Shape.Degrade, s.Shape.Failsafe, s.Shape.Benign)
	if s.Shape.Tags {
		fmt.Fprintln(&b, "tags")
	}
	if s.Shape.Cascades {
		fmt.Fprintln(&b, "cascades")
	}
	fmt.Fprintf(&b, "lasts %s\n", s.Lasts)
	if s.Planted != noBug {
		fmt.Fprintf(&b, "planted %s\n", s.Planted)
	}
	for _, f := range s.Faults {
		fmt.Fprintf(&b, "fault %s %s %d %d %s\n", f.At, f.Kind, f.Node, f.Other, f.For)
	}
	return b.String()
}

// Decode reads what Encode wrote; lines that begin with # are for people.
func Decode(text string) (Story, error) {
	var s Story
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		verb, rest, _ := strings.Cut(line, " ")
		var err error
		switch verb {
		case "", "#":
		case "seed":
			_, err = fmt.Sscan(rest, &s.Seed)
		case "shape":
			_, err = fmt.Sscanf(rest, "members=%d quorum=%t k=%d tight=%t degrade=%t failsafe=%t benign=%t",
				&s.Shape.Members, &s.Shape.Quorum, &s.Shape.K, &s.Shape.Tight, &s.Shape.Degrade, &s.Shape.Failsafe, &s.Shape.Benign)
		case "tags":
			s.Shape.Tags = true
		case "cascades":
			s.Shape.Cascades = true
		case "lasts":
			s.Lasts, err = time.ParseDuration(rest)
		case "planted":
			s.Planted = bug(rest)
		case "fault":
			var f Fault
			var at, lasting string
			if _, err = fmt.Sscan(rest, &at, &f.Kind, &f.Node, &f.Other, &lasting); err == nil {
				if f.At, err = time.ParseDuration(at); err == nil {
					f.For, err = time.ParseDuration(lasting)
				}
			}
			s.Faults = append(s.Faults, f)
		default:
			err = fmt.Errorf("no such word")
		}
		if err != nil {
			return s, fmt.Errorf("story line %q: %w", line, err)
		}
	}
	return s, nil
}
