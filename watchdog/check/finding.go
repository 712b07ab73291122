package check

import (
	"cmp"
	"slices"
	"time"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Info    Severity = "info"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// rank orders severities, the worst highest.
func (s Severity) rank() int {
	return map[Severity]int{Info: 1, Warning: 2, Error: 3}[s]
}

// Finding is one thing that is wrong.
type Finding struct {
	Name     string   `json:"name"` // of the kind of thing, such as wal_level
	Severity Severity `json:"severity"`
	Member   string   `json:"member,omitempty"` // on which it was found
	About    string   `json:"about,omitempty"`  // the other member, or the address in etcd, that it is about
	What     string   `json:"what"`
	Why      string   `json:"why"`  // it matters
	Mend     string   `json:"mend"` // the command that mends it
}

// same says whether two findings are of the same thing. Their words may differ: an amount has changed.
func (f Finding) same(other Finding) bool {
	return f.Name == other.Name && f.Severity == other.Severity && f.Member == other.Member && f.About == other.About
}

// Report is what a look came to.
type Report struct {
	At       time.Time `json:"at"` // by the wall clock of the host that looked; zero: it has not looked yet
	Findings []Finding `json:"findings"`
}

// Worst is the worst severity among findings, empty if there is none.
func Worst(findings []Finding) Severity {
	var worst Severity
	for _, f := range findings {
		if f.Severity.rank() > worst.rank() {
			worst = f.Severity
		}
	}
	return worst
}

// Count is how many findings are of that severity.
func Count(findings []Finding, s Severity) (n int) {
	for _, f := range findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Sort puts the worst first, and findings of one kind together.
func Sort(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(b.Severity.rank()-a.Severity.rank(), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Member, b.Member), cmp.Compare(a.About, b.About))
	})
}

// Changed says what is new since a look, and what is no longer so. What is only worth knowing is news to nobody.
func Changed(before, now []Finding) (fresh, over []Finding) {
	return missing(now, before), missing(before, now)
}

func missing(from, in []Finding) (left []Finding) {
	for _, f := range from {
		if f.Severity != Info && !slices.ContainsFunc(in, f.same) {
			left = append(left, f)
		}
	}
	return left
}
