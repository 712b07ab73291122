package watchdog

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the expected decisions in testdata")

// TestStories replays the stories in testdata: English above each step, the decision below it. A story is told from one
// member's point of view; `decide` judges the view as it stands and carries its memory on.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { replay(t, file) })
	}
}

func replay(t *testing.T, file string) {
	told, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &story{t: t}
	s.begin("node2")
	var out bytes.Buffer
	expected := false
	for _, line := range strings.Split(strings.TrimRight(string(told), "\n"), "\n") {
		if strings.HasPrefix(line, "  ") {
			if !expected {
				t.Fatalf("%s: an expectation without a decide: %q", file, line)
			}
			continue
		}
		expected = false
		fmt.Fprintln(&out, line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if line == "decide" {
			expected = true
			out.WriteString(s.decide())
			continue
		}
		s.step(line)
	}
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, want := out.String(), string(told); got != want {
		t.Errorf("%s tells another story now (go test ./watchdog -update rewrites it):\n--- told\n%s\n--- decided\n%s", file, want, got)
	}
}

// story is the view that the steps build.
type story struct {
	t    *testing.T
	view View
	revs int64

	chores int
}

func (s *story) begin(me string) {
	s.view = View{
		Policy: DefaultPolicy(), Peers: map[string]Peer{},
		Me: Identity{Name: me, Incarnation: me + "-disk", Address: me + ":5432", API: "http://" + me, GuardReady: true, Registered: true},
	}
	s.view.Me.Admitted = Admission{SystemID: "7", StoreID: "etcd"}
	s.view.Cluster = &Cluster{StoreID: "etcd", Members: map[string]Registered{}, Ballots: map[string]Cast{}, Campaigns: map[string]string{}, Garbage: map[string]string{}}
	s.view.Server = Server{Role: RoleStandby, PID: 100, SystemID: "7", ServerVersion: 150000, Timeline: 1, Latched: true, Upstream: "node1:5432", Streaming: true, Receiver: true}
	s.passed(10 * time.Second)
}

// passed moves the clock; what the server answers is as fresh as before.
func (s *story) passed(d time.Duration) {
	s.view.Now = s.view.Now.Add(d)
	s.view.ReadAt, s.view.Wall = s.view.Now, s.view.Wall.Add(d)
}

func (s *story) rev() int64 { s.revs++; return s.revs }

// step carries out one line: a verb, words, and key=value pairs.
func (s *story) step(line string) {
	fields := strings.Fields(line)
	a := arguments{t: s.t, line: line, values: map[string]string{}}
	for _, f := range fields[1:] {
		if key, value, found := strings.Cut(f, "="); found {
			a.values[key] = value
		} else {
			a.words = append(a.words, f)
		}
	}
	verb, ok := verbs[fields[0]]
	if !ok {
		s.t.Fatalf("no such step: %q", line)
	}
	verb(s, &a)
	for key := range a.values {
		s.t.Fatalf("%q: no such key %q", line, key)
	}
}

var verbs = map[string]func(*story, *arguments){
	// me NAME [unadmitted] [unregistered] [guardless] [leader]: begins the story from that member's side.
	"me": func(s *story, a *arguments) {
		s.begin(a.words[0])
		if a.has("unadmitted") {
			s.view.Me.Admitted = Admission{}
		}
		s.view.Me.Registered = !a.has("unregistered")
		s.view.Me.GuardReady = !a.has("guardless")
	},
	"tight":  func(s *story, _ *arguments) { s.view.Policy, _ = Preset("tight") },
	"passed": func(s *story, a *arguments) { s.passed(a.duration(a.words[0])) },
	// tagged [priority=] [site=] [follow=] [no_failover] [no_sync]: what our configuration says now.
	"tagged": func(s *story, a *arguments) {
		me := &s.view.Me
		me.Follow, me.Priority, me.Site, me.NoFailover, me.NoSync = a.text("follow"), int(a.number("priority")), a.text("site"), a.has("no_failover"), a.has("no_sync")
	},
	"prefers": func(s *story, a *arguments) { s.view.Policy.PreferSite = a.words[0] },
	"guard":   func(s *story, a *arguments) { s.view.Me.GuardReady = a.has("ready") },
	"leader":  func(s *story, a *arguments) { s.leader(a.words[0]) },
	"unread":  func(s *story, _ *arguments) { s.view.Cluster = nil },
	"gap":     func(s *story, _ *arguments) { s.view.ReadGap = true },
	"garbage": func(s *story, a *arguments) {
		s.view.Cluster.Garbage[a.words[0]] = "not JSON"
		s.view.Cluster.Record = nil
	},
	"record":  (*story).record,
	"member":  (*story).member,
	"ballot":  (*story).ballot,
	"renewed": (*story).renewed,
	"trust":   (*story).trust,
	"server":  (*story).server,
	"ledger": func(s *story, a *arguments) {
		s.view.Cluster.Ledger = append(s.view.Cluster.Ledger, LedgerEntry{
			Term: Term(a.number("term")), Timeline: Timeline(a.number("timeline")), Owner: a.text("owner"), Fork: a.lsn("fork")})
	},
	"flight": func(s *story, a *arguments) {
		s.view.Flight = Flight{Kind: ActionKind(a.text("now")), Failed: ActionKind(a.text("failed")), Done: ActionKind(a.text("done")), DoneAt: s.view.Now, Diverged: a.has("diverged"), NotPossible: a.has("not-possible"), WALGone: a.has("wal-gone"), FailedAt: s.view.Now, Failures: 1}
	},
	"admitted": func(s *story, a *arguments) {
		s.view.Me.Admitted.Term, s.view.Me.Admitted.Seq, s.view.Me.Admitted.Promised = Term(a.number("term")), uint64(a.number("seq")), Term(a.number("promised"))
	},
	"pid":   func(s *story, a *arguments) { s.view.Server.PID = int(a.wordNumber()) },
	"gone":  func(s *story, a *arguments) { delete(s.view.Cluster.Members, a.words[0]) },
	"stale": func(s *story, _ *arguments) { s.view.Cluster.Revision = -1 }, // read before our own last renewal was made
	"fresh": func(s *story, _ *arguments) { s.view.Cluster.Revision = s.revs },
	"lost": func(s *story, _ *arguments) {
		c := s.view.Cluster
		c.Record, c.RecordRev, c.PrimaryTerm, c.PrimaryTermRev, c.Ledger = nil, 0, nil, 0, nil
	},
	"policy": func(s *story, a *arguments) {
		s.view.Policy.LagLimitWait = Duration(a.duration(a.text("lag_limit_wait")))
	},
}

func (s *story) leader(name string) {
	key := "leader/" + name
	s.view.Cluster.Campaigns[name] = key
	s.view.Cluster.Leader, s.view.Cluster.LeaderKey, s.view.Cluster.LeaderCreateRev = name, key, s.rev()
	if name == s.view.Me.Name {
		s.view.Me.CampaignKey = key
	}
}

func (s *story) record(a *arguments) {
	r := &Record{
		SystemID: a.or("system", "7"), Term: Term(a.number("term")), Seq: uint64(a.number("seq")), Phase: Phase(a.or("phase", "normal")),
		Primary: a.text("primary"), Taken: a.has("taken"), Timeline: Timeline(max(1, a.number("timeline"))), Fork: a.lsn("fork"),
		Members: strings.Split(a.or("members", "node1,node2,node3"), ","), Durability: Durability{Mode: ModeAsync}, PassedOver: a.text("passed_over"),
	}
	r.LastTaker = Holder{Name: a.or("last", r.Primary), Term: r.Term, Site: a.text("site"), NoSync: a.has("no_sync")}
	r.LastTaker.Incarnation = r.LastTaker.Name + "-disk"
	if from := a.text("tail"); from != "" {
		r.Tail = &Tail{From: from, End: a.lsn("end")}
	}
	s.view.Cluster.Record, s.view.Cluster.RecordRev = r, s.rev()
	s.view.Cluster.Ballots = map[string]Cast{}
}

func (s *story) member(a *arguments) {
	name := a.words[0]
	m := Member{
		Name: name, Incarnation: a.or("incarnation", name+"-disk"), Address: name + ":5432", API: "http://" + name, SystemID: a.or("system", "7"),
		Role: Role(a.or("role", "standby")), Timeline: Timeline(max(1, a.number("timeline"))), Received: a.lsn("at"), Streaming: !a.has("detached"),
		Upstream: a.or("upstream", "node1:5432"), Priority: int(a.number("priority")), Site: a.text("site"),
		NoSync: a.has("no_sync"), Follow: a.text("follow"),
	}
	if veto := a.text("veto"); veto != "" {
		m.Vetoes = []Veto{Veto(veto)}
	}
	s.view.Cluster.Members[name] = Registered{Member: m, CreateRev: s.rev()}
	if !a.has("unheard") {
		s.view.Peers[name] = Peer{Member: m, HeardAt: s.view.Now, AnsweredAt: s.view.Now}
	}
}

func (s *story) ballot(a *arguments) {
	name := a.words[0]
	b := Ballot{
		Term: s.view.Cluster.Record.Term, Member: name, Incarnation: a.or("incarnation", name+"-disk"), Timeline: Timeline(max(1, a.number("timeline"))),
		End: a.lsn("end"), Exact: !a.has("unknown"), Fenced: a.has("fenced"), Priority: int(a.number("priority")), Site: a.text("site"), Cascade: a.has("cascade"), API: "http://" + name, Token: "t",
	}
	if veto := a.text("veto"); veto != "" {
		b.Vetoes = []Veto{Veto(veto)}
	}
	s.view.Cluster.Ballots[name] = Cast{Ballot: b, ModRev: s.rev()}
}

func (s *story) renewed(a *arguments) {
	c := s.view.Cluster
	c.PrimaryTermRev = s.rev()
	c.PrimaryTerm = &PrimaryTerm{Term: Term(a.number("term")), Holder: a.text("by"), Incarnation: a.text("by") + "-disk", Flushed: a.lsn("flushed")}
}

func (s *story) trust(a *arguments) {
	s.view.Trust = Trust{Term: Term(a.number("term")), From: s.view.Now.Add(-a.duration(a.or("age", "0s"))), Rev: s.view.Cluster.PrimaryTermRev, Lost: a.has("lost")}
}

func (s *story) server(a *arguments) {
	v := &s.view.Server
	now := s.view.Now
	role := Role(a.words[0])
	*v = Server{
		Role: role, PID: 100, SystemID: a.or("system", "7"), ServerVersion: a.version(), Timeline: Timeline(max(1, a.number("timeline"))),
		Received: a.lsn("at"), Replayed: a.lsn("at"), Upstream: a.text("upstream"), Streaming: a.has("streaming"), Restarting: a.has("restarting"),
		Latched: !a.has("unlatched"), StartedAt: 1, AnsweredAt: now.Add(-a.duration(a.or("answered", "0s"))), ConnectedAt: now.Add(-a.duration(a.or("connected", "0s"))), StoredAt: now.Add(-a.duration(a.or("stored", "0s"))),
	}
	if role == RoleDown {
		v.PID, v.Gone = 0, a.has("gone")
	}
	for _, name := range strings.FieldsFunc(a.text("standbys"), func(r rune) bool { return r == ',' }) {
		v.Standbys = append(v.Standbys, Downstream{Name: name, Streaming: true})
	}
}

// decide judges the view and tells what came out.
func (s *story) decide() string {
	if c := s.view.Cluster; c != nil && c.Revision >= 0 {
		c.Revision = s.revs
	}
	before := fmt.Sprintf("%+v", s.view)
	d := Decide(s.view)
	if first, again := s.tell(d), s.tell(Decide(s.view)); first != again {
		s.t.Errorf("the same view gave two decisions:\n%s\n%s", first, again)
	}
	if after := fmt.Sprintf("%+v", s.view); after != before {
		s.t.Errorf("deciding changed the view:\n%s\n%s", before, after)
	}
	s.view.Memory, s.view.ReadGap = d.Memory, false
	return s.tell(d)
}

// tell is a decision in a few lines.
func (s *story) tell(d Decision) string {
	var out strings.Builder
	fmt.Fprintf(&out, "  %s", d.Reason)
	if d.Renew != 0 {
		fmt.Fprintf(&out, ", renewing term %d", d.Renew)
	}
	fmt.Fprintln(&out)
	for i, a := range d.Actions {
		if a.Kind.Changing() && i != len(d.Actions)-1 {
			s.t.Errorf("a role-changing action is not last: %+v", d.Actions)
		}
		fmt.Fprintf(&out, "  → %s\n", a.tell())
	}
	return out.String()
}

// tell is an action in a few words.
func (a Action) tell() string {
	words := []string{string(a.Kind)}
	add := func(when bool, format string, args ...any) {
		if when {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	add(a.Heir != "", "to %s", a.Heir)
	add(a.Upstream.Name != "", "toward %s", a.Upstream.Name)
	add(a.Crashed, "at once")
	add(a.Restart, "by restart")
	add(a.Kind == ActAdmit, "term %d seq %d", a.Admission.Term, a.Admission.Seq)
	add(a.Admission.Follow != "", "follow %s", a.Admission.Follow)
	if c := a.Change; c != nil {
		if r := c.Record; r != nil {
			add(true, "record term=%d phase=%s primary=%s", r.Term, r.Phase, r.Primary)
			add(r.PassedOver != "", "passed_over=%s", r.PassedOver)
			add(c.Event.Kind == EventMembers, "members=%s", strings.Join(r.Members, ","))
			add(r.Tail != nil, "tail")
		}
		add(c.Event != nil && c.Event.Kind == EventOperation && c.Record.Operation != nil, "begins %s", operationOf(c))
		add(c.DropPrimary, "drop-primary")
		add(c.Campaign != "", "campaign")
		add(c.Resign, "resign")
		add(c.Event != nil && (c.Event.Kind == EventPaused || c.Event.Kind == EventResumed), "%s", tellEvent(c))
		add(c.Member != nil, "register")
		add(c.If.RecordRev != nil, "if-record")
		add(c.If.PrimaryTermRev != nil, "if-renewal")
		add(c.If.LeaderKey != "", "if-leader")
		var names []string
		for name := range c.If.BallotRevs {
			names = append(names, name)
		}
		slices.Sort(names)
		add(len(names) > 0, "if-ballots=%s", strings.Join(names, ","))
	}
	if r := a.Change; r != nil && r.Record != nil && r.Record.Tail != nil {
		words = append(words, fmt.Sprintf("from %s to %s", r.Record.Tail.From, r.Record.Tail.End))
	}
	return strings.Join(append(words, a.tellQuorum()...), " ")
}

// operationOf is the id of the operation that stands in a change's record.
func operationOf(c *Change) string {
	if c.Record == nil || c.Record.Operation == nil {
		return ""
	}
	return c.Record.Operation.ID
}

type arguments struct {
	t      *testing.T
	line   string
	words  []string
	values map[string]string
}

func (a *arguments) has(word string) bool { return slices.Contains(a.words, word) }

func (a *arguments) text(key string) string {
	v := a.values[key]
	delete(a.values, key)
	return v
}

func (a *arguments) or(key, otherwise string) string {
	if v := a.text(key); v != "" {
		return v
	}
	return otherwise
}

func (a *arguments) number(key string) int64 {
	text := a.or(key, "0")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		a.t.Fatalf("%q: %v", a.line, err)
	}
	return n
}

func (a *arguments) wordNumber() int64 {
	n, err := strconv.ParseInt(a.words[0], 10, 64)
	if err != nil {
		a.t.Fatalf("%q: %v", a.line, err)
	}
	return n
}

func (a *arguments) version() int {
	if n := a.number("version"); n != 0 {
		return int(n)
	}
	return 150000
}

func (a *arguments) lsn(key string) LSN {
	l, err := ParseLSN(a.or(key, "0/0"))
	if err != nil {
		a.t.Fatalf("%q: %v", a.line, err)
	}
	return l
}

func (a *arguments) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		a.t.Fatalf("%q: %v", a.line, err)
	}
	return d
}
