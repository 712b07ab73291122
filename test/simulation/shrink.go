package simulation

import "slices"

// shrinkRuns bounds the work of a shrink.
const shrinkRuns = 600

// Shrink drops faults for as long as the same invariant still fails: halves first, then ever smaller pieces.
func Shrink(s Story, invariant string) Story {
	runs := 0
	fails := func(try Story) bool {
		runs++
		r := Run(try, false)
		return r.Failure != nil && r.Failure.Invariant == invariant
	}
	for piece := max(len(s.Faults)/2, 1); runs < shrinkRuns; {
		smaller := false
		for at := 0; at < len(s.Faults) && runs < shrinkRuns; {
			try := s
			try.Faults = slices.Delete(slices.Clone(s.Faults), at, min(at+piece, len(s.Faults)))
			if fails(try) {
				s, smaller = try, true
			} else {
				at += piece
			}
		}
		if piece == 1 && !smaller {
			break
		}
		piece = max(piece/2, 1)
	}
	return s
}
