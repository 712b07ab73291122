package process

import "testing"

func TestTitles(t *testing.T) {
	receiver, startup := []string{"walreceiver", "wal receiver process"}, []string{"startup"}
	for title, tc := range map[string]struct{ receiver, startup bool }{
		"postgres: walreceiver":                                              {true, false},
		"postgres: walreceiver streaming 0/3000060":                          {true, false},
		"postgres: 15/main: walreceiver streaming 0/3000060":                 {true, false},
		"postgres: a: b: walreceiver streaming 0/3000060":                    {true, false},
		"postgres: wal receiver process   streaming 0/3000060":               {true, false},
		"postgres: startup recovering 000000010000000000000003":              {false, true},
		"postgres: startup process   waiting for 000000010000000000000003":   {false, true},
		"postgres: 15/main: startup waiting for 000000010000000000000003":    {false, true},
		"postgres: walreceiver app [local] idle":                             {false, false},
		"postgres: startup app 10.0.0.7(50312) INSERT":                       {false, false},
		"postgres: 15/main: walreceiver app ::1(50312) idle in transaction":  {false, false},
		"postgres: walreceivers":                                             {false, false},
		"postgres: checkpointer":                                             {false, false},
		"/usr/lib/postgresql/15/bin/postgres -D /data --cluster=walreceiver": {false, false},
		"": {false, false},
	} {
		if got := matches(title, receiver) && !client(title); got != tc.receiver {
			t.Errorf("%q: receiver %v", title, got)
		}
		if got := matches(title, startup) && !client(title); got != tc.startup {
			t.Errorf("%q: startup %v", title, got)
		}
	}
}

func TestByTitle(t *testing.T) {
	s := start(t, "walreceiver", 2)
	if found := ByTitle(s.dir, "walreceiver"); len(found) != 2 {
		t.Errorf("found %v", found)
	}
	if _, ok := Receiver(s.dir); !ok {
		t.Error("no receiver")
	}
	if pid, ok := Startup(s.dir); ok {
		t.Errorf("%d is the startup process", pid)
	}
}

func TestParseStatMindsNamesWithParentheses(t *testing.T) {
	tail := " 1 7 7 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0"
	p, comm, ok := parseStat(7, []byte("7 (a) R (b) S"+tail))
	if !ok || comm != "a) R (b" || p != (Process{PID: 7, Parent: 1, State: 'S', Start: 4711}) {
		t.Errorf("got %+v %q %v", p, comm, ok)
	}
	for _, gone := range []string{"", "7 (x", "7 (x) S 1", "7 (x) Z" + tail, "7 (x) X" + tail} {
		if p, _, ok := parseStat(7, []byte(gone)); ok {
			t.Errorf("%q: %+v", gone, p)
		}
	}
}
