package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/pgvigil/pgvigil/test/lab"
	"github.com/pgvigil/pgvigil/watchdog"
)

// On each PostgreSQL that PGVIGIL_TEST_BINDIRS names (dir:dir), or on those that Debian has: two failovers in a row, as some
// bugs show only on a timeline that has forked before.
func TestEveryMajor(t *testing.T) {
	dirs := filepath.SplitList(os.Getenv("PGVIGIL_TEST_BINDIRS"))
	if len(dirs) == 0 {
		dirs, _ = filepath.Glob("/usr/lib/postgresql/*/bin")
	}
	if len(dirs) == 0 {
		t.Skip("no PostgreSQL programs: set PGVIGIL_TEST_BINDIRS")
	}
	var all []*onMajor
	t.Cleanup(func() { t.Log(tableOf(all)) }) // subtests are parallel: they end after this function
	for _, bin := range dirs {
		major, err := lab.Major(bin)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			m := &onMajor{major: major}
			all = append(all, m)
			c := whole(t, func(o *lab.Options) { o.BinDir = bin })
			m.adopted = true
			c.writer.Stop() // each failover has its own
			m.failOver(c)
			m.failOver(c)
		})
	}
}

// onMajor is what was seen on one major version.
type onMajor struct {
	major   int
	adopted bool
	// of each failover, the latter two since the strike
	gap, repointed, back []time.Duration
	terms                watchdog.Term // that all failovers took together
	writers              []*lab.Writer
	acked, lost          int // of all writers, after the last failover
}

// failOver kills the primary's postmaster: another takes over, once and for all, the remaining standby follows it, the old
// primary comes back as a standby, and all that was ever acknowledged is there.
func (m *onMajor) failOver(c *cluster) {
	c.t.Helper()
	c.write()
	m.writers = append(m.writers, c.writer)
	c.must(c.Until(c.ctx, "there is something to lose", soon, func() bool { return c.writer.Acked() > 200 }))
	old, standbys, term := c.primary, c.standbys(), c.keys().Record.Term
	c.strike(old.KillPostmaster())
	fresh := c.takenOver()
	for _, n := range standbys {
		if n != fresh {
			c.must(c.WaitStreaming(c.ctx, rejoin, n))
			m.repointed = append(m.repointed, time.Since(c.struck))
		}
	}
	c.must(c.WaitStreaming(c.ctx, rejoin, old))
	m.back = append(m.back, time.Since(c.struck))
	m.gap = append(m.gap, c.writer.Gap(c.struck))
	c.wholeAgain()
	r := c.keys().Record
	c.primary = c.Node(r.Primary)
	m.terms += r.Term - term
	if r.Term != term+1 || c.primary != fresh {
		c.t.Errorf("%s took over in term %d, and then it was %s in term %d", fresh.Name, term+1, r.Primary, r.Term)
	}
	m.verify(c)
}

// verify reads back what all writers so far were told.
func (m *onMajor) verify(c *cluster) {
	c.t.Helper()
	m.acked, m.lost = 0, 0
	for _, w := range m.writers {
		v, err := w.Verify(c.ctx, c.primary)
		c.must(err)
		m.acked += v.Acked
		m.lost += len(v.Lost)
	}
	if m.lost > 0 {
		c.t.Errorf("of %d writes acknowledged so far %d are lost", m.acked, m.lost)
	}
}

// tableOf has a row for each major version, and in it what both failovers took, in milliseconds.
func tableOf(all []*onMajor) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nmajor\tadopted\tgap ms\trepointed ms\told primary back ms\tterms\tacknowledged\tlost")
	for _, m := range all {
		fmt.Fprintf(w, "%d\t%t\t%s\t%s\t%s\t%d\t%d\t%d\n", m.major, m.adopted, told(m.gap), told(m.repointed), told(m.back), m.terms, m.acked, m.lost)
	}
	_ = w.Flush()
	return b.String()
}

// told is a duration for each failover, a dash for one that did not come so far.
func told(each []time.Duration) string {
	words := []string{"-", "-"}
	for i, d := range each {
		words[i] = strconv.FormatInt(d.Milliseconds(), 10)
	}
	return strings.Join(words, ", ")
}
