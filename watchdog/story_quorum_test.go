package watchdog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The steps of stories about quorum durability.
func init() {
	// quorum K:VOTERS [next=K:VOTERS]: the durability in force, and the one that is to come.
	verbs["quorum"] = func(s *story, a *arguments) {
		r := *s.view.Cluster.Record
		r.Durability = a.durability(a.words[0])
		if next := a.text("next"); next != "" {
			d := a.durability(next)
			r.Next = &d
		}
		s.view.Cluster.Record = &r
		s.view.Policy.Durability = ModeQuorum
	}
	// wants async|quorum [k=] [when_short=] [after=]: the policy.
	verbs["wants"] = func(s *story, a *arguments) {
		p := &s.view.Policy
		p.Durability, p.K = Mode(a.words[0]), int(max(1, a.number("k")))
		p.WhenShort = ShortRule(a.or("when_short", string(ShortBlock)))
		p.DegradeAfter = Duration(a.duration(a.or("after", "10s")))
	}
	// enforces none|K:VOTERS [from=LSN] [term=]: what our server enforces.
	verbs["enforces"] = func(s *story, a *arguments) {
		sync := a.durability(a.words[0]).Sync(s.view.Cluster.Record.Term)
		if term := a.number("term"); term != 0 {
			sync.Term = Term(term)
		}
		s.view.Server.Sync, s.view.Server.SyncFrom = sync, a.lsn("from")
	}
	// streams NAME at=LSN [term=] [no_sync]: a standby streams from us, and its sidecar is heard.
	verbs["streams"] = func(s *story, a *arguments) {
		name, term := a.words[0], s.view.Cluster.Record.Term
		if given := a.number("term"); given != 0 {
			term = Term(given)
		}
		v := &s.view
		v.Server.Standbys = append(except(v.Server.Standbys, name), Downstream{Name: name, Term: term, Streaming: true, Flushed: a.lsn("at")})
		p := v.Peers[name]
		p.Name, p.HeardAt, p.AnsweredAt, p.StreamedAt, p.NoSync = name, v.Now, v.Now, v.Now, a.has("no_sync")
		v.Peers[name] = p
	}
	// stops NAME: it streams no more.
	verbs["stops"] = func(s *story, a *arguments) { s.view.Server.Standbys = except(s.view.Server.Standbys, a.words[0]) }
	// heard NAME: its sidecar answers a heartbeat and says that it holds the term.
	verbs["heard"] = func(s *story, a *arguments) {
		p := s.view.Peers[a.words[0]]
		p.HeardAt, p.AnsweredAt, p.PrimaryTerm = s.view.Now, s.view.Now, s.view.Cluster.Record.Term
		s.view.Peers[a.words[0]] = p
	}
	// knocked NAME [answered|refused]: at its server, in vain unless it says otherwise.
	verbs["knocked"] = func(s *story, a *arguments) {
		p := s.view.Peers[a.words[0]]
		switch {
		case a.has("answered"):
			p.ServerAt = s.view.Now
		case a.has("refused"):
			p.AnsweredAt = s.view.Now
		default:
			p.KnockedAt = s.view.Now
		}
		s.view.Peers[a.words[0]] = p
	}
	// promised term=: our own promise in advance.
	verbs["promised"] = func(s *story, a *arguments) { s.view.Me.Admitted.Advance = Term(a.number("term")) }
	// advance NAME end= [unknown] [withdrawn] [veto=]: a ballot for the next term.
	verbs["advance"] = func(s *story, a *arguments) {
		withdrawn := a.has("withdrawn")
		kept := s.view.Cluster.Ballots
		s.view.Cluster.Ballots = map[string]Cast{}
		s.ballot(a)
		cast := s.view.Cluster.Ballots[a.words[0]]
		s.view.Cluster.Ballots = kept
		cast.Term, cast.Withdrawn = s.view.Cluster.Record.Term+1, withdrawn
		if s.view.Cluster.Advance == nil {
			s.view.Cluster.Advance = map[string]Cast{}
		}
		s.view.Cluster.Advance[a.words[0]] = cast
	}
	// abstains DURATION: what we told the primary while etcd was lost.
	verbs["abstains"] = func(s *story, a *arguments) { s.view.Abstain = s.view.Now.Add(a.duration(a.words[0])) }
	// stamped term=: the name in our server's conninfo.
	verbs["stamped"] = func(s *story, a *arguments) { s.view.Server.Stamp = Term(a.number("term")) }
	// asked [to=] [dry-run] [kill]: an operator wants a switchover, or the primary killed for a drill.
	verbs["asked"] = func(s *story, a *arguments) {
		r := *s.view.Cluster.Record
		r.Operation = &Operation{ID: "x1", Kind: OperationSwitchover, Term: r.Term, To: a.text("to"), By: "dba", DryRun: a.has("dry-run"), Ignore: strings.Fields(a.text("ignore"))}
		if a.has("kill") {
			r.Operation.Kind = OperationKill
		}
		s.view.Cluster.Record = &r
	}
	// chore KIND of= [deadline=] [in-place]: an operator wants something of one member.
	verbs["chore"] = func(s *story, a *arguments) {
		r := *s.view.Cluster.Record
		s.chores++
		r.Operation = &Operation{
			ID: fmt.Sprint("c", s.chores), Kind: OperationKind(a.words[0]), Member: a.text("of"), Term: r.Term, By: "dba",
			Deadline: Duration(a.duration(a.or("deadline", "0s"))), InPlace: a.has("in-place"),
		}
		s.view.Cluster.Record = &r
	}
	// scheduled in= [term=]: an operator wants a switchover in so long.
	verbs["scheduled"] = func(s *story, a *arguments) {
		r := *s.view.Cluster.Record
		r.Scheduled = &Operation{ID: "s1", Kind: OperationSwitchover, Term: r.Term, By: "dba", At: s.view.Wall.Add(a.duration(a.text("in")))}
		if term := a.number("term"); term != 0 {
			r.Scheduled.Term = Term(term)
		}
		s.view.Cluster.Record = &r
	}
	// paused [for=] [term=]: an operator has paused the cluster; resumed: it is not any more.
	verbs["paused"] = func(s *story, a *arguments) {
		r := *s.view.Cluster.Record
		r.Seq++
		p := Pause{By: "dba", Since: s.view.Wall, For: Duration(a.duration(a.or("for", "0s"))), Seq: r.Seq, Term: r.Term}
		if term := a.number("term"); term != 0 {
			p.Term = Term(term)
		}
		p.Until = p.Since.Add(p.For.D())
		r.Paused = &p
		s.view.Cluster.Record, s.view.Me.Admitted.Seq = &r, r.Seq
	}
	verbs["resumed"] = func(s *story, _ *arguments) {
		r := *s.view.Cluster.Record
		r.Paused = nil
		s.view.Cluster.Record = &r
	}
	// failover to=: an operator decides the election.
	verbs["failover"] = func(s *story, a *arguments) {
		r := *s.view.Cluster.Record
		r.Operation = &Operation{ID: "x1", Kind: OperationFailover, Term: r.Term, To: a.text("to"), By: "dba", Ignore: strings.Fields(a.text("ignore"))}
		s.view.Cluster.Record = &r
	}
	// answers: the server answers now.
	verbs["answers"] = func(s *story, _ *arguments) {
		s.view.Server.AnsweredAt, s.view.Server.ConnectedAt, s.view.Server.StoredAt = s.view.Now, s.view.Now, s.view.Now
		s.view.Trust.From = s.view.Now.Add(-100 * time.Millisecond)
	}
}

func except(standbys []Downstream, name string) (left []Downstream) {
	for _, d := range standbys {
		if d.Name != name {
			left = append(left, d)
		}
	}
	return left
}

// durability reads "1:node2,node3"; "none" is async.
func (a *arguments) durability(text string) Durability {
	if text == "none" || text == "async" {
		return Durability{Mode: ModeAsync}
	}
	k, names, _ := strings.Cut(text, ":")
	n, err := strconv.Atoi(k)
	if err != nil {
		a.t.Fatalf("%q: %v", a.line, err)
	}
	return Durability{Mode: ModeQuorum, K: n, Voters: strings.Split(names, ",")}
}

// tellQuorum is what a story tells of an action about quorum.
func (a Action) tellQuorum() (words []string) {
	if a.Kind == ActSynchronise {
		words = append(words, fmt.Sprintf("%d:%s", a.Sync.K, strings.Join(a.Sync.Voters, ",")))
	}
	if a.Kind == ActBallot || a.Kind == ActWithdraw {
		words = append(words, fmt.Sprintf("of term %d", a.Ballot))
	}
	if a.Change != nil && a.Change.Record != nil {
		r := a.Change.Record
		if a.Change.Event.Kind == EventDurability {
			words = append(words, "durability: "+r.Durability.String())
		}
		if r.Next != nil {
			words = append(words, "next: "+r.Next.String())
		}
	}
	return words
}

func tellEvent(c *Change) string {
	if c.Event == nil {
		return ""
	}
	return string(c.Event.Kind)
}
