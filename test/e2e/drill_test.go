package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// drilled is what drill -o json says.
type drilled struct {
	OK          bool
	Message     string
	Acked, Lost int
	Legs        []struct {
		From, To  string
		Term      uint64
		GapMS     float64            `json:"gap_ms"`
		TimingsMS map[string]float64 `json:"timings_ms"`
	}
}

func (c *cluster) drill(args ...string) drilled {
	c.t.Helper()
	said, err := c.Command("drill", append([]string{"--yes", "--user", "postgres", "-o", "json"}, args...)...)
	var d drilled
	if decoding := json.NewDecoder(strings.NewReader(said)).Decode(&d); err != nil || decoding != nil {
		c.t.Fatalf("%v: %s", err, said)
	}
	return d
}

// drillFiled: the report is in the history, and what the drill wrote is gone.
func (c *cluster) drillFiled(d drilled) {
	c.t.Helper()
	if e, filed := c.event(watchdog.EventDrill); !filed || e.Message != d.Message || e.Facts["lost"] != "0" {
		c.t.Errorf("filed: %+v", e)
	}
	if n := c.primary.Ask(c.ctx, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgvigil_drill'"); n != "0" {
		c.t.Errorf("the schema was left: %s", n)
	}
	if said, err := c.Command("history"); err != nil || !strings.Contains(said, d.Message) {
		c.t.Errorf("history does not show it: %v %s", err, said)
	}
}

func TestDrill(t *testing.T) {
	c := whole(t)
	c.struck = time.Now()
	d := c.drill()
	if !d.OK || d.Lost != 0 || d.Acked < 50 || len(d.Legs) != 2 || d.Legs[0].From != c.primary.Name || d.Legs[1].To != c.primary.Name || d.Legs[0].GapMS <= 0 || d.Legs[0].TimingsMS["stop"] <= 0 {
		t.Errorf("%+v", d)
	}
	t.Log(d.Message)
	c.drillFiled(d)
	c.wholeAgain()
}

func TestDrillThatKills(t *testing.T) {
	c := whole(t)
	c.struck = time.Now()
	before := c.keys().Record
	d := c.drill("--kill")
	if !d.OK || d.Lost != 0 || len(d.Legs) != 1 || d.Legs[0].From != c.primary.Name || d.Legs[0].To == c.primary.Name || d.Legs[0].TimingsMS["named_to_writable"] <= 0 {
		t.Errorf("%+v", d)
	}
	t.Log(d.Message)
	if e, handed := c.event(watchdog.EventHandOver); !handed || e.Reason != watchdog.ReasonServerExited {
		t.Errorf("it was no crash: %+v", e)
	}
	var err error
	c.primary, err = c.WaitWhole(c.ctx, rejoin)
	c.must(err)
	if r := c.keys().Record; r.Term != before.Term+1 || r.Operation != nil {
		t.Errorf("%+v", r)
	}
	c.drillFiled(d)
	c.wholeAgain()
}

// It is refused unless the cluster is whole, and says so; nothing is touched.
func TestDrillIsRefused(t *testing.T) {
	c := whole(t)
	refused := func(words string, args ...string) {
		t.Helper()
		if said, err := c.Command("drill", args...); err == nil || !strings.Contains(said, words) {
			t.Errorf("%v: %v %s, want %q", args, err, said, words)
		}
	}
	refused("--yes --cluster NAME", "--user", "postgres")
	refused("connect to", "--yes", "--user", "nobody-of-this-name")
	_, err := c.Command("pause", "--for", "5m")
	c.must(err)
	refused("resume it first", "--yes", "--user", "postgres", "--kill")
	_, err = c.Command("resume")
	c.must(err)
	c.must(c.standbys()[0].Sidecar().Kill())
	refused("not whole", "--yes", "--user", "postgres", "--kill")
	c.must(c.standbys()[0].StartSidecar())
	c.undisturbed(rest)
	c.wholeAgain()
}
