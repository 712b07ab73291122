package main

import (
	"fmt"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog/check"
)

// renderCheck writes the findings for people.
func renderCheck(r checkReport, paint palette) string {
	var b strings.Builder
	for _, f := range r.Findings {
		about := f.Member
		if f.About != "" && f.About != f.Member {
			about += " → " + f.About
		}
		fmt.Fprintf(&b, "%s  %s: %s\n", paint.in(findingColour(f.Severity), fmt.Sprintf("%-7s", strings.ToUpper(string(f.Severity)))), about, f.What)
		fmt.Fprintf(&b, "         why:  %s\n         mend: %s\n", f.Why, f.Mend)
	}
	if len(r.Findings) > 0 {
		fmt.Fprintln(&b)
	}
	switch {
	case r.Errors > 0:
		fmt.Fprintf(&b, "%s: a failover or a rejoin would fail\n", counts(r))
	case r.Warnings > 0:
		fmt.Fprintf(&b, "%s: a failover works; it, or a rejoin, could go better\n", counts(r))
	default:
		fmt.Fprintf(&b, "%s\n", paint.in(green, "nothing was found that would make a failover or a rejoin fail"))
	}
	return b.String()
}

func counts(r checkReport) string {
	return counted(r.Errors, "error") + ", " + counted(r.Warnings, "warning")
}

func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func findingColour(s check.Severity) string {
	return map[check.Severity]string{check.Error: red, check.Warning: yellow}[s]
}

// worstFinding is the gravest that a member has, nil if it has none.
func worstFinding(r *check.Report) *check.Finding {
	if r == nil || len(r.Findings) == 0 {
		return nil
	}
	return &r.Findings[0] // they are sorted
}
