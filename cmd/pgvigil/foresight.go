package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// prospect is one way in which the primary could be replaced. Its JSON is stable.
type prospect struct {
	When       string               `json:"when"`
	Winner     string               `json:"winner,omitempty"`
	Why        watchdog.Reason      `json:"reason"`
	Waits      string               `json:"waits_for,omitempty"` // without a winner
	Seconds    float64              `json:"seconds,omitempty"`   // until the winner accepts writes
	Basis      string               `json:"basis,omitempty"`     // of Seconds
	LostBytes  uint64               `json:"lost_bytes"`          // of WAL, at most, as of now
	LostWithin *float64             `json:"lost_within_seconds"` // what is lost was written within so many seconds; null: not known
	Loss       string               `json:"loss"`                // in words
	Others     []other              `json:"others"`
	Candidates []watchdog.Candidate `json:"candidates"`
}

// other is a member that would not win.
type other struct {
	Member string          `json:"member"`
	Vetoes []watchdog.Veto `json:"vetoes"`
	Why    string          `json:"why"`
}

// viewOf is the primary's view of the cluster, put together from what the members say now.
func viewOf(c watchdog.Cluster, lives map[string]live) watchdog.View {
	v := watchdog.View{
		Now: watchdog.Instant(time.Hour), Policy: policyOf(c), Cluster: &c, Peers: map[string]watchdog.Peer{},
		Me: watchdog.Identity{Name: c.Record.Primary, Site: c.Members[c.Record.Primary].Site},
	}
	for name, l := range lives {
		if l.status != nil {
			v.Peers[name] = watchdog.Peer{Member: memberOf(*l.status), HeardAt: v.Now}
		}
	}
	return v
}

func policyOf(c watchdog.Cluster) watchdog.Policy {
	if c.Policy != nil {
		return *c.Policy
	}
	return watchdog.DefaultPolicy()
}

// foresee says what would come if the primary were lost now: its server alone, and its whole host.
func foresee(r report, v watchdog.View, events []watchdog.Event) (found []prospect) {
	crashed, silent := watchdog.Foresee(v)
	past := pastPromotions(events)
	primary, there := rowOf(r, r.Primary)
	if there && primary.Live {
		p := newProspect(r, crashed, "PostgreSQL on "+r.Primary+" dies")
		p.Seconds, p.Basis = past.crash()
		p.Loss, p.LostWithin = "nothing: what it lacks is fetched from "+r.Primary, new(float64)
		if p.Winner == "" {
			p.Loss, p.Waits, p.Seconds, p.Basis = "nothing", r.Primary+" itself: it recovers, and takes the next term", 0, ""
		}
		found = append(found, p)
	}
	p := newProspect(r, silent, "the host of "+r.Primary+" is lost")
	p.Seconds, p.Basis = past.hostLost(v.Policy, r.Durability.Mode)
	p.lose(r, v, silent)
	return append(found, p)
}

func newProspect(r report, choice watchdog.Choice, when string) prospect {
	p := prospect{When: when, Winner: choice.Winner, Why: choice.Why, Others: []other{}, Candidates: choice.Ranked}
	if p.Winner == "" {
		p.Waits = choice.Lacks
	}
	winner, _ := candidateOf(choice, choice.Winner)
	for _, row := range r.Members {
		if row.Name == choice.Winner || row.Name == r.Primary {
			continue
		}
		p.Others = append(p.Others, whyNot(row, choice, winner))
	}
	return p
}

// whyNot says why a member would not win: what bars it, or who comes before it by what.
func whyNot(row memberRow, choice watchdog.Choice, winner watchdog.Candidate) other {
	o := other{Member: row.Name, Vetoes: []watchdog.Veto{}}
	c, weighed := candidateOf(choice, row.Name)
	switch {
	case row.State == "witness":
		o.Why = "it is a witness, without PostgreSQL"
	case !weighed && !row.Registered:
		o.Why = "its sidecar is gone from etcd"
	case !weighed && !row.Live:
		o.Vetoes, o.Why = []watchdog.Veto{watchdog.VetoAPIUnreachable}, vetoText(watchdog.VetoAPIUnreachable)
	case !weighed:
		o.Why = "it has given no ballot"
	case len(c.Vetoes) > 0:
		o.Vetoes = c.Vetoes
		words := make([]string, len(c.Vetoes))
		for i, veto := range c.Vetoes {
			words[i] = vetoText(veto)
		}
		o.Why = strings.Join(words, "; ")
	case winner.Name == "":
		o.Why = "nothing bars it"
	default:
		o.Why = precedence(winner, c)
	}
	return o
}

// lose says what would be lost with the primary's host.
func (p *prospect) lose(r report, v watchdog.View, choice watchdog.Choice) {
	if p.Winner == "" {
		p.Loss = "nothing yet: nobody is promoted"
		return
	}
	if r.Durability.Mode == watchdog.ModeQuorum {
		p.LostWithin = new(float64)
		p.Loss = fmt.Sprintf("nothing that was acknowledged: the positions of %d of %s show it", r.Durability.Quorum(), strings.Join(r.Durability.Voters, ", "))
		return
	}
	end, asOf := endOfPrimary(r, v)
	p.LostBytes = choice.Best.End.Behind(end)
	row, _ := rowOf(r, choice.Best.Name)
	switch {
	case end == 0:
		p.Loss = "not known: nobody says how far " + r.Primary + " has written"
	case p.LostBytes == 0:
		p.LostWithin, p.Loss = new(float64), "nothing "+asOf+"; in async, what no standby has received at that moment"
	case row.LagSeconds != nil:
		p.LostWithin = row.LagSeconds
		p.Loss = fmt.Sprintf("%s of WAL %s: commits of the last %.1f s at most", size(p.LostBytes), asOf, *row.LagSeconds)
	default:
		p.Loss = fmt.Sprintf("%s of WAL %s", size(p.LostBytes), asOf)
	}
}

// endOfPrimary is how far the primary's WAL reaches by its own word, else by its last renewal.
func endOfPrimary(r report, v watchdog.View) (end watchdog.LSN, asOf string) {
	if t := v.Cluster.PrimaryTerm; t != nil {
		end, asOf = t.Flushed, "as of its last renewal"
	}
	if row, there := rowOf(r, r.Primary); there && row.Live {
		end, asOf = max(end, row.Received), "as of now"
	}
	return end, asOf
}

func rowOf(r report, name string) (memberRow, bool) {
	i := slices.IndexFunc(r.Members, func(row memberRow) bool { return row.Name == name })
	if i < 0 {
		return memberRow{}, false
	}
	return r.Members[i], true
}

func candidateOf(choice watchdog.Choice, name string) (watchdog.Candidate, bool) {
	i := slices.IndexFunc(choice.Ranked, func(c watchdog.Candidate) bool { return c.Name == name })
	if i < 0 {
		return watchdog.Candidate{}, false
	}
	return choice.Ranked[i], true
}

// precedence says by what the winner comes before the other, which nothing bars.
func precedence(winner, c watchdog.Candidate) string {
	switch winner.Before(c) {
	case watchdog.ByHistory:
		return fmt.Sprintf("its timeline %d belongs to term %d, and that of %s to term %d", c.Timeline, c.Owner, winner.Name, winner.Owner)
	case watchdog.ByPosition:
		return fmt.Sprintf("it is %s behind %s", size(c.End.Behind(winner.End)), winner.Name)
	case watchdog.ByUpstream:
		return fmt.Sprintf("as much WAL as %s, which streams from the primary itself", winner.Name)
	case watchdog.BySite:
		return fmt.Sprintf("as much WAL as %s, whose site comes first (prefer_site)", winner.Name)
	case watchdog.ByPriority:
		return fmt.Sprintf("as much WAL as %s, which has priority %d to its %d", winner.Name, winner.Priority, c.Priority)
	default:
		return fmt.Sprintf("as much WAL as %s, which comes first by name", winner.Name)
	}
}

// vetoMeanings say what each veto is, for people.
var vetoMeanings = map[watchdog.Veto]string{
	watchdog.VetoNoFailover:     "its configuration bars it",
	watchdog.VetoNotRunning:     "its server is not a running standby",
	watchdog.VetoNotConsistent:  "its server does not accept sessions yet",
	watchdog.VetoSettingsLower:  "max_connections or a sister is lower than the primary's",
	watchdog.VetoTooFarBehind:   "it is further behind than lag_limit",
	watchdog.VetoPositionless:   "its end of WAL is not known exactly",
	watchdog.VetoPassedOver:     "it won the term before and made no progress",
	watchdog.VetoNotConfirmed:   "the primary has not confirmed it as a member",
	watchdog.VetoForeignHistory: "its timeline is not of this history",
	watchdog.VetoStorageSick:    "its disk cannot be written",
	watchdog.VetoGuardMissing:   "it cannot run a guard",
	watchdog.VetoAPIUnreachable: "its sidecar does not answer",
}

func vetoText(v watchdog.Veto) string {
	if meaning := vetoMeanings[v]; meaning != "" {
		return string(v) + ": " + meaning
	}
	return string(v)
}

// promotions are how long the last ones took, in seconds.
type promotions struct{ noticed, promoted []float64 }

// countedPromotions is how many of the last are looked at.
const countedPromotions = 5

func pastPromotions(events []watchdog.Event) (p promotions) {
	for _, e := range slices.Backward(events) {
		if took, is := e.TimingsMS["named_to_writable"]; is && len(p.promoted) < countedPromotions {
			p.promoted = append(p.promoted, took/1000)
		}
		if took, is := e.TimingsMS["noticed_to_hand_over"]; is && len(p.noticed) < countedPromotions {
			p.noticed = append(p.noticed, took/1000)
		}
	}
	return p
}

// The times that are taken where nothing has been seen yet: those of DESIGN.md's table.
const (
	usualNotice    = 0.1
	usualPromotion = 0.2
	usualHangUp    = 0.1
)

// crash is how long it takes from a server's death until the heir accepts writes.
func (p promotions) crash() (seconds float64, basis string) {
	if len(p.promoted) == 0 {
		return usualNotice + usualPromotion, "as usual; none has been seen here yet"
	}
	return median(p.noticed, usualNotice) + median(p.promoted, usualPromotion), p.seen()
}

// hostLost is how long it takes from a host's loss, by the policy and what promotions took.
func (p promotions) hostLost(policy watchdog.Policy, mode watchdog.Mode) (seconds float64, basis string) {
	promotion := median(p.promoted, usualPromotion)
	if mode == watchdog.ModeQuorum {
		return policy.Detection.D().Seconds() + usualHangUp + promotion,
			fmt.Sprintf("%s until it is suspected (detection), %.1f s to hang up, %.1f s to promote, %s", policy.Detection.D(), usualHangUp, promotion, p.seen())
	}
	return policy.TTL.D().Seconds() + usualHangUp + promotion,
		fmt.Sprintf("%s until its trust is over (ttl), %.1f s to vote, %.1f s to promote, %s", policy.TTL.D(), usualHangUp, promotion, p.seen())
}

func (p promotions) seen() string {
	switch n := len(p.promoted); n {
	case 0:
		return "as usual; none has been seen here yet"
	case 1:
		return "as the last one took"
	default:
		return fmt.Sprintf("as the last %d took", n)
	}
}

func median(values []float64, otherwise float64) float64 {
	if len(values) == 0 {
		return otherwise
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[float64])
	return sorted[len(sorted)/2]
}
