package pgctl

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
)

// TestLowCommits is F43.
func TestLowCommits(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		in := one.open()
		expect := func(want ...string) {
			t.Helper()
			low, err := in.LowCommits(one.context())
			one.must(err)
			all := strings.Join(low, "\n")
			for _, w := range want {
				if !strings.Contains(all, w) {
					t.Errorf("%q is missing in %q", w, low)
				}
			}
			if len(low) != len(want) {
				t.Errorf("%d settings: %q, want %q", len(low), low, want)
			}
		}
		expect()
		for _, name := range []string{"off", "local", "remote_write", "upper", "quoted", "high", "apply"} {
			one.exec(`CREATE ROLE "r_` + name + `"`)
		}
		one.exec("CREATE DATABASE d")
		one.exec("ALTER ROLE r_high SET synchronous_commit = on; ALTER ROLE r_apply SET synchronous_commit = remote_apply; ALTER ROLE r_apply SET work_mem = '1MB'")
		expect()
		one.exec("ALTER ROLE r_off SET synchronous_commit = off; ALTER ROLE r_local SET synchronous_commit = local")
		one.exec("ALTER ROLE r_remote_write SET synchronous_commit = remote_write; ALTER ROLE r_upper SET synchronous_commit = OFF")
		one.exec("ALTER ROLE r_quoted SET Synchronous_Commit = 'Local'")
		one.exec("ALTER DATABASE d SET synchronous_commit = 'no'; ALTER ROLE r_high IN DATABASE d SET synchronous_commit = '0'")
		roles := []string{"=off for role r_off in database (all)", "=local for role r_local in database (all)", "=remote_write for role r_remote_write in",
			"=off for role r_upper", "for role r_quoted", "=no for role (all) in database d", "=0 for role r_high in database d"}
		expect(roles...)
		for _, value := range []string{"local", "off", "REMOTE_WRITE"} {
			one.append("postgresql.conf", "synchronous_commit = '"+value+"'")
			one.exec("SELECT pg_reload_conf()")
			eventually(t, value, func() bool { return one.value("SHOW synchronous_commit") == strings.ToLower(value) })
			expect(append(roles, "synchronous_commit="+strings.ToLower(value)+" in "+in.path("postgresql.conf"))...)
		}
		one.append("postgresql.conf", "synchronous_commit = remote_apply")
		one.exec("SELECT pg_reload_conf()")
		eventually(t, "remote_apply", func() bool { return one.value("SHOW synchronous_commit") == "remote_apply" })
		expect(roles...)
	})
}

func TestKnockAt(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two := newPrimary(t, bin), newPrimary(t, bin)
		in := two.open()
		two.must(in.KnockAt(two.context(), one.address()))
		s := observed(t, one.open(), "a primary", func(s watchdog.Server, alive bool) bool { return alive })
		one.signal(s.PID, syscall.SIGSTOP)
		if err := in.KnockAt(short(t), one.address()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at a stopped postmaster: %v", err)
		}
		one.signal(s.PID, syscall.SIGCONT)
		two.must(in.KnockAt(two.context(), one.address()))
		one.must(one.open().Stop(one.context()))
		if err := in.KnockAt(two.context(), one.address()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("at a stopped server: %v", err)
		}
	})
}
