package model

import (
	"os"
	"testing"
	"time"
)

// elections is all that may happen around an election.
func elections(servers, k, terms, writes int) Options {
	return Options{
		Servers: servers, K: k, Terms: terms, Writes: writes, Crash: true, CrashEarly: true, HandOver: true, Surrender: true, Silence: true, Advance: true,
		Withdraw: true, AnyWinner: true, Decline: true, Rejoin: true,
	}
}

// settings is all that may happen to the durability, with the election that it must leave safe.
func settings(servers, voters, terms, writes int, ks ...int) Options {
	return Options{
		Servers: servers, K: ks[0], Voters: voters, Terms: terms, Writes: writes, Ks: ks, Reload: true, Advance: true, Crash: true, CrashEarly: true, Surrender: true,
		Silence: true, HandOver: true, Rejoin: true, ByDecide: true, Forget: true,
	}
}

func (o Options) with(changes ...func(*Options)) Options {
	for _, change := range changes {
		change(&o)
	}
	return o
}

func blocked(o *Options)  { o.Blocked = true }
func stepwise(o *Options) { o.Fine, o.Unsure = true, true }
func live(o *Options)     { o.Live = true }
func numbered(o *Options) { o.Numbers = true }
func degrade(o *Options)  { o.Degrade = true }
func quiet(o *Options) {
	o.Silence, o.Reload, o.Forget, o.Crash, o.HandOver, o.Surrender = false, false, false, false, false, false
}
func calm(o *Options)               { o.Withdraw, o.Decline, o.AnyWinner = false, false, false }
func voters(n int) func(*Options)   { return func(o *Options) { o.Voters = n } }
func dead(set uint8) func(*Options) { return func(o *Options) { o.Mute = set } }

type run struct {
	name string
	o    Options
	full bool // only with MODEL=full
}

var runs = []run{
	{name: "two servers", o: elections(2, 1, 4, 3).with(live)},
	{name: "two servers, blocked", o: elections(2, 1, 4, 2).with(blocked)},
	{name: "three servers", o: elections(3, 1, 3, 2)},
	{name: "three servers, four terms", o: elections(3, 1, 4, 1)},
	{name: "three servers, k 2", o: elections(3, 2, 3, 3)},
	{name: "three servers, k 2, four terms", o: elections(3, 2, 4, 1)},
	{name: "three servers, blocked", o: elections(3, 1, 3, 2).with(blocked)},
	{name: "three servers, k 2, blocked", o: elections(3, 2, 3, 2).with(blocked)},
	{name: "three servers, live", o: elections(3, 1, 3, 1).with(live)},
	{name: "three servers, k 2, live", o: elections(3, 2, 3, 1).with(live)},
	{name: "three servers, step by step", o: elections(3, 1, 3, 1).with(stepwise)},
	{name: "three servers, k 2, step by step", o: elections(3, 2, 3, 1).with(stepwise, blocked)},
	{name: "an outsider", o: elections(3, 1, 3, 2).with(voters(1))},
	{name: "four servers, k 2", o: elections(4, 2, 3, 1).with(calm, numbered)},
	{name: "four servers, k 2, blocked", o: elections(4, 2, 3, 1).with(calm, blocked)},
	{name: "four servers, two voters", o: elections(4, 1, 3, 1).with(calm, voters(2), func(o *Options) { o.HandOver = false })},
	{name: "the last server alive", o: elections(3, 1, 4, 2).with(blocked, live, dead(0b110))},
	{name: "one standby dead", o: elections(3, 1, 4, 1).with(blocked, live, dead(0b100))},
	{name: "one standby dead, k 2", o: elections(3, 2, 4, 1).with(blocked, live, dead(0b100))},
	{name: "one of three standbys dead", o: elections(4, 2, 3, 1).with(calm, quiet, blocked, live, dead(0b1000), func(o *Options) { o.Crash, o.Surrender = true, true })},
	{name: "the last server alive degrades", o: settings(3, 2, 4, 1, 1).with(degrade, blocked, live, dead(0b110))},
	{name: "voters change", o: settings(3, 2, 2, 2, 1, 2)},
	{name: "voters change, three terms", o: settings(3, 2, 3, 1, 1).with(live)},
	{name: "voters of four change", o: settings(4, 2, 2, 1, 1).with(quiet, func(o *Options) { o.Reload = true })},
	{name: "degrade and restore", o: settings(3, 2, 3, 1, 1).with(degrade)},
	{name: "degrade and restore, blocked", o: settings(3, 2, 2, 1, 1, 2).with(degrade, blocked)},

	{full: true, name: "four servers, two voters, all that may happen", o: elections(4, 1, 3, 1).with(voters(2))},
	{full: true, name: "three servers, three writes", o: elections(3, 1, 3, 3)},
	{full: true, name: "three servers, four terms, two writes", o: elections(3, 1, 4, 2).with(calm)},
	{full: true, name: "three servers, k 2, four terms, two writes", o: elections(3, 2, 4, 2).with(blocked)},
	{full: true, name: "three servers, two writes, step by step", o: elections(3, 1, 3, 2).with(stepwise)},
	{full: true, name: "four servers", o: elections(4, 1, 3, 1)},
	{full: true, name: "four servers, k 2, two writes", o: elections(4, 2, 3, 2).with(calm)},
	{full: true, name: "four servers, k 2, four terms", o: elections(4, 2, 4, 1).with(calm)},
	{full: true, name: "voters change, three terms, two writes", o: settings(3, 2, 3, 2, 1, 2)},
	{full: true, name: "voters of four change, all that may happen", o: settings(4, 2, 2, 1, 1)},
	{full: true, name: "voters of four change, k 1 and 2", o: settings(4, 2, 2, 1, 1, 2).with(quiet, func(o *Options) { o.Reload = true })},
	{full: true, name: "degrade and restore, three terms, two writes", o: settings(3, 2, 3, 2, 1).with(degrade)},
}

// TestNoRunGoesWrong explores every run to its end.
func TestNoRunGoesWrong(t *testing.T) {
	for _, r := range runs {
		if r.full && os.Getenv("MODEL") != "full" {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			cut := shallow || testing.Short()
			if r.o.Most = 40_000_000; cut {
				r.o.Most = 50_000
			}
			got := Explore(r.o)
			if got.Wrong != "" {
				t.Errorf("%s\n%s", got.Wrong, got.Trace)
			}
			if got.Cut && !cut {
				t.Error("the states are more than they may be")
			}
			t.Logf("%d states, %d steps deep, in %s", got.States, got.Depth, time.Since(began).Round(time.Millisecond))
		})
	}
}
