package main

import (
	"fmt"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
)

// drillResult is what a drill came to. Its JSON is stable.
type drillResult struct {
	Cluster string     `json:"cluster"`
	Kill    bool       `json:"kill"`
	OK      bool       `json:"ok"` // the primary was changed as asked, the cluster is whole, and nothing acknowledged is lost
	Message string     `json:"message"`
	Acked   int        `json:"acked"` // writes that were acknowledged
	Lost    int        `json:"lost"`  // of them, those that are not there any more
	Phantom int        `json:"phantom"`
	Legs    []drillLeg `json:"legs"`
}

// drillLeg is one change of the primary.
type drillLeg struct {
	What      string             `json:"what"` // switchover or kill
	From      string             `json:"from"`
	To        string             `json:"to,omitempty"`
	Term      uint64             `json:"term,omitempty"`
	OK        bool               `json:"ok"`
	Message   string             `json:"message"`
	GapMS     float64            `json:"gap_ms"`   // the longest time between two acknowledged writes
	WholeMS   float64            `json:"whole_ms"` // until every member followed again
	TimingsMS map[string]float64 `json:"timings_ms,omitempty"`
}

// judge sums up.
func (r *drillResult) judge() {
	r.OK = r.Lost == 0 && r.Phantom == 0
	var parts []string
	for _, leg := range r.Legs {
		r.OK = r.OK && leg.OK
		if leg.To == "" {
			parts = append(parts, leg.Message)
			continue
		}
		parts = append(parts, fmt.Sprintf("%s → %s in term %d, %.0f ms without writes", leg.From, leg.To, leg.Term, leg.GapMS))
	}
	what := "switchover and back"
	if r.Kill {
		what = "postmaster killed"
	}
	r.Message = fmt.Sprintf("drill, %s: %s; %d of %d acknowledged writes lost", what, strings.Join(parts, "; "), r.Lost, r.Acked)
}

// filed is the report for the history.
func (r drillResult) filed() *watchdog.DrillReport {
	report := watchdog.DrillReport{Message: oneLine(r.Message), Lost: r.Lost, Facts: map[string]string{"acked": fmt.Sprint(r.Acked), "ok": fmt.Sprint(r.OK)}, TimingsMS: map[string]float64{}}
	for i, leg := range r.Legs {
		prefix := ""
		if i > 0 {
			prefix = "back_"
		}
		report.Facts[prefix+"winner"] = leg.To
		report.TimingsMS[prefix+"gap"], report.TimingsMS[prefix+"whole"] = leg.GapMS, leg.WholeMS
		for step, ms := range leg.TimingsMS {
			report.TimingsMS[prefix+step] = ms
		}
	}
	return &report
}

// oneLine is the text as the history takes it.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return strings.ToValidUTF8(text[:min(len(text), 500)], "")
}

func (r drillResult) text() string {
	var b strings.Builder
	for _, leg := range r.Legs {
		if leg.To == "" {
			fmt.Fprintf(&b, "%s of %s: %s\n", leg.What, leg.From, leg.Message)
			continue
		}
		fmt.Fprintf(&b, "%s: %s → %s, term %d\n", leg.What, leg.From, leg.To, leg.Term)
		line(&b, "gap", fmt.Sprintf("%.0f ms between two acknowledged writes", leg.GapMS))
		line(&b, "whole", fmt.Sprintf("after %.1f s", leg.WholeMS/1000))
		line(&b, "took", timings(leg.TimingsMS))
		if !leg.OK {
			line(&b, "but", leg.Message)
		}
	}
	fmt.Fprintf(&b, "%d of %d acknowledged writes lost\n", r.Lost, r.Acked)
	if r.Phantom > 0 {
		fmt.Fprintf(&b, "%d rows are there that were refused or never sent\n", r.Phantom)
	}
	b.WriteString("filed in the history\n")
	return b.String()
}
