package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/check"
)

// renderStatus writes the report for people.
func renderStatus(r report, now time.Time, paint palette) string {
	var b strings.Builder
	facts := []string{"cluster " + r.Cluster}
	if r.Term != 0 {
		facts = append(facts, fmt.Sprintf("term %d, %s for %s", r.Term, r.Phase, ago(now.Sub(r.Since))))
	}
	facts = append(facts, "primary "+orNobody(r.Primary), "leader "+orNobody(r.Leader))
	if r.Durability.Mode != "" {
		facts = append(facts, durability(r.Durability))
	}
	fmt.Fprintf(&b, "%s\n", strings.Join(facts, "   "))
	if r.Paused != nil {
		fmt.Fprintln(&b, r.Paused.String(now))
	}
	if r.Scheduled != nil {
		fmt.Fprintln(&b, scheduledText(*r.Scheduled, r.Term, now))
	}
	if r.Pools != nil {
		fmt.Fprintf(&b, "connection pools are paused for operation %s, or not known yet to be resumed\n", r.Pools.Operation)
	}
	fmt.Fprintln(&b)
	b.WriteString(memberTable(r))
	fmt.Fprintf(&b, "\n%s\n", paint.of(r.Health, strings.ToUpper(string(r.Health))+": "+r.Summary))
	for i, p := range r.Problems {
		if i > 0 { // the first is the summary
			fmt.Fprintf(&b, "also: %s\n", p)
		}
	}
	return b.String()
}

func memberTable(r report) string {
	if len(r.Members) == 0 {
		return "no members\n"
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MEMBER\tROLE\tSTATE\tTL\tRECEIVED\tREPLAYED\tLAG\tADDRESS\tNOTE")
	for _, row := range r.Members {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.Name, row.Role, row.State, number(uint64(row.Timeline)),
			position(row.Received), position(row.Replayed), lagText(row), orDash(row.Address), noteOf(r, row))
	}
	w.Flush()
	return trimLines(b.String())
}

// noteOf is what else is worth knowing of a member: that it leads, and what bars it.
func noteOf(r report, row memberRow) string {
	var notes []string
	if row.Leader {
		notes = append(notes, "leader")
	}
	if row.Name == r.Primary && row.Writable {
		notes = append(notes, fmt.Sprintf("trust %.1f s", float64(row.TrustLeftMS)/1000))
	}
	if !row.Live {
		notes = append(notes, "not answering")
	}
	notes = append(notes, vetoWords(row.Vetoes)...)
	if row.Follow != "" && row.Role == watchdog.RoleStandby {
		notes = append(notes, "follows "+row.Follow)
	}
	if row.NoSync {
		notes = append(notes, "no_sync")
	}
	if row.Check != nil {
		if n := check.Count(row.Check.Findings, check.Warning); n > 0 {
			notes = append(notes, fmt.Sprintf("%s of check", counted(n, "warning")))
		}
	}
	if row.RewindReady != "" {
		notes = append(notes, "no rewind: "+row.RewindReady)
	}
	return strings.Join(notes, ", ")
}

func lagText(row memberRow) string {
	if row.LagBytes == nil {
		return "-"
	}
	text := size(*row.LagBytes)
	if row.LagSeconds != nil {
		text += fmt.Sprintf(", %.1f s", *row.LagSeconds)
	}
	return text
}

func durability(d watchdog.Durability) string {
	if d.Mode == watchdog.ModeQuorum {
		return fmt.Sprintf("quorum %d of %s", d.K, strings.Join(d.Voters, ", "))
	}
	return string(d.Mode)
}

func orNobody(name string) string {
	if name == "" {
		return "nobody"
	}
	return name
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func number(n uint64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func position(l watchdog.LSN) string {
	if l == 0 {
		return "-"
	}
	return l.String()
}

// size is a number of bytes as PostgreSQL's pg_size_pretty writes it, with one digit behind the point.
func size(n uint64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	x, i := float64(n), 0
	for x >= 1024 && i < len(units)-1 {
		x, i = x/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", x, units[i])
}

// ago is a duration in its two largest units.
func ago(d time.Duration) string {
	d = max(0, d).Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%d days %d h", int(d.Hours())/24, int(d.Hours())%24)
	}
}

func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
