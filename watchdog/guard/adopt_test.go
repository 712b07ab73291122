package guard

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

func TestALaterSidecarTakesTheGuardBack(t *testing.T) {
	o := options(t)
	g := newGuard(t, o)
	first := ready(t, g, os.Getpid())
	deadline := arm(t, g, time.Second)

	later := newGuard(t, o)
	s := ready(t, later, os.Getpid())
	if s.PID != first.PID || s.Deadline != deadline {
		t.Fatalf("first %+v, taken back %+v", first, s)
	}
	extended := arm(t, later, far)
	if s, _ := g.Status(); s.Deadline != extended {
		t.Errorf("it is another word: %+v", s)
	}
	passed(t, deadline)
	if s, _ := later.Status(); s.Fired != 0 || fencedBy(g) != 0 {
		t.Errorf("it fenced: %+v", s)
	}
	arm(t, later, soon)
	gone(t, later.Exited())
	gone(t, g.Exited())
}

func TestALaterSidecarOfAnotherPostmasterReplacesTheGuard(t *testing.T) {
	o := options(t)
	g := newGuard(t, o)
	first := ready(t, g, os.Getpid())
	deadline := arm(t, g, far)
	s := ready(t, newGuard(t, o), os.Getppid())
	if s.PID == first.PID || s.Deadline != deadline {
		t.Errorf("first %+v, then %+v", first, s)
	}
	gone(t, g.Exited())
}

func TestOfTwoGuardsTheNewerIsTakenWithTheLaterDeadline(t *testing.T) {
	for name, tc := range map[string]struct{ older, newer time.Duration }{
		"the sidecar died before it armed the newer":      {far, 0},
		"the sidecar died before it let the older go":     {far, far + time.Minute},
		"the sidecar died before it carried the deadline": {far, far - time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			older, newer := newGuard(t, o), newGuard(t, o)
			ready(t, older, os.Getpid())
			newer.looked = true // it does not find the older
			second := ready(t, newer, os.Getpid())
			latest := arm(t, older, tc.older)
			if tc.newer != 0 {
				latest = max(latest, arm(t, newer, tc.newer))
			}
			if err := saveState(o, older.current.Load(), newer.current.Load()); err != nil {
				t.Fatal(err)
			}
			s := ready(t, newGuard(t, o), os.Getpid())
			if s.PID != second.PID || s.Deadline != latest {
				t.Errorf("took %+v, want %d until %d", s, second.PID, latest)
			}
			gone(t, older.Exited())
		})
	}
}

func TestWhatIsNoGuardIsNotTakenForOne(t *testing.T) {
	own, _ := startTime(os.Getpid())
	o := options(t)
	for name, content := range map[string]any{
		"another process with its pid":      state{Guards: []known{{PID: os.Getpid(), Start: own + 1, DataDir: o.DataDir}}},
		"a process without such a memory":   state{Guards: []known{{PID: os.Getpid(), Start: own, DataDir: o.DataDir}}},
		"nobody":                            state{Guards: []known{{PID: 4194303, Start: 1, DataDir: o.DataDir}}},
		"a guard of another data directory": state{Guards: []known{{PID: os.Getpid(), Start: own, DataDir: "/elsewhere"}}},
		"garbage":                           "garbage",
	} {
		data, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(o.stateFile(), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if s := ready(t, newGuard(t, o), os.Getpid()); s.PID == os.Getpid() {
			t.Errorf("%s: took %+v", name, s)
		}
	}
}

func TestAStateThatCannotBeWrittenIsNoReasonToBeUnguarded(t *testing.T) {
	o := options(t)
	o.StateDir += "/none"
	g := newGuard(t, o)
	ready(t, g, os.Getpid())
	arm(t, g, soon)
	gone(t, g.Exited())
}
