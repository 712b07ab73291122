package pgctl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgvigil/pgvigil/pgctl/process"
	"github.com/pgvigil/pgvigil/watchdog"
)

// pair is a primary with a standby that streams from it.
func pair(t *testing.T, bin string, settings ...string) (one, two *testServer, in *Instance) {
	t.Helper()
	one = newPrimary(t, bin, settings...)
	two = one.newStandby("two")
	in = two.open()
	two.must(in.Start(two.context(), one.upstream()))
	streams(t, in, one)
	return one, two, in
}

func TestPrimaryIsObserved(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, _ := pair(t, bin)
		in := one.open()
		s := observed(t, in, "the standby in the primary's view", func(s watchdog.Server, alive bool) bool {
			return alive && len(s.Standbys) == 1 && s.Standbys[0].Streaming && s.Standbys[0].Flushed != 0
		})
		want := one.value("SELECT system_identifier FROM pg_control_system()")
		if s.Role != watchdog.RolePrimary || s.PID == 0 || s.Gone || s.SystemID != want || s.Timeline != 1 || s.Received == 0 || s.NextXID == 0 ||
			s.Upstream != "" || s.Latched || s.Problem != "" || s.ServerVersion/10000 != one.major.number/10000 {
			t.Errorf("observed %+v", s)
		}
		if s.Standbys[0].Name != two.name {
			t.Errorf("standby %+v", s.Standbys[0])
		}
		one.must(in.Latch(one.context()))
		observed(t, in, "the latch", func(s watchdog.Server, _ bool) bool { return s.Latched })
		one.must(in.Unlatch(one.context()))
		observed(t, in, "no latch", func(s watchdog.Server, _ bool) bool { return !s.Latched })
		one.must(in.Knock(one.context()))
		one.must(in.ProbeStorage())
		one.must(in.Checkpoint(one.context()))
	})
}

func TestStandbyStreamsStopsAndStarts(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one, two, in := pair(t, bin)
		one.exec("CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
		eventually(t, "the row on the standby", func() bool { return two.value("SELECT n FROM t") == "7" })
		s := streams(t, in, one)
		if next := one.value("SELECT txid_snapshot_xmax(txid_current_snapshot())"); fmt.Sprint(s.NextXID) != next {
			t.Errorf("the next transaction id is %d here and %s on the primary", s.NextXID, next)
		}
		if s.Timeline != 1 || !s.Receiver || !s.Latched || s.Received == 0 || s.Replayed == 0 || len(s.Vetoes) != 0 {
			t.Errorf("observed %+v", s)
		}
		exited, pid := in.Exited()
		if pid != s.PID || exited == nil {
			t.Fatalf("postmaster %d, observed %d", pid, s.PID)
		}
		if err := in.Start(two.context(), one.upstream()); !errors.Is(err, ErrRunning) {
			t.Errorf("second start: %v", err)
		}
		two.must(in.Stop(two.context()))
		<-exited
		s, alive := in.Observe(two.context())
		if alive || s.Role != watchdog.RoleDown || !s.Gone || s.PID != 0 || s.SystemID == "" || !s.Latched {
			t.Errorf("stopped: %+v", s)
		}
		if ch, pid := in.Exited(); ch != nil || pid != 0 {
			t.Errorf("a stopped server has postmaster %d", pid)
		}
		two.must(in.Stop(two.context()))
		if err := in.Knock(two.context()); err == nil || Alive(err) {
			t.Errorf("knock at a stopped server: %v", err)
		}
		two.must(in.Start(two.context(), watchdog.Upstream{}))
		s = observed(t, in, "a detached standby", func(s watchdog.Server, alive bool) bool {
			return alive && s.Role == watchdog.RoleStandby && s.Upstream == ""
		})
		if s.Receiver || s.Timeline != 1 {
			t.Errorf("detached: %+v", s)
		}
		two.must(in.Repoint(two.context(), one.upstream()))
		streams(t, in, one)
	})
}

func TestFence(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		in := one.open()
		for _, gentle := range []bool{true, false} {
			observed(t, in, "a primary", func(s watchdog.Server, _ bool) bool { return s.Role == watchdog.RolePrimary })
			exited, _ := in.Exited()
			one.must(in.Fence(one.context(), gentle))
			<-exited
			if left := process.Find(one.directory()); len(left) != 0 {
				t.Fatalf("left: %+v", left)
			}
			one.must(in.Fence(one.context(), gentle))
			one.must(in.Start(one.context(), watchdog.Upstream{}))
			observed(t, in, "a standby", func(s watchdog.Server, _ bool) bool { return s.Role == watchdog.RoleStandby })
			one.must(in.Stop(one.context()))
			one.must(in.Unlatch(one.context()))
			one.start()
		}
	})
}

// TestZombiePostmaster is F57: a killed postmaster that its parent does not reap keeps its pid.
func TestZombiePostmaster(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		in := one.open()
		one.must(in.Fence(one.context(), false))
		zombie := spawnZombie(t, one)
		lines := strings.SplitN(one.read("postmaster.pid"), "\n", 2)
		one.write("postmaster.pid", zombie+"\n"+lines[1])
		one.must(in.Start(one.context(), watchdog.Upstream{}))
		observed(t, in, "a standby", func(s watchdog.Server, _ bool) bool { return s.Role == watchdog.RoleStandby })
	})
}

// spawnZombie returns the pid of a dead child of ours that is not reaped before the test ends.
func spawnZombie(t *testing.T, s *testServer) string {
	t.Helper()
	attr := &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Credential: s.owner.credential()}}
	pid, err := syscall.ForkExec("/bin/true", []string{"true"}, attr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = syscall.Wait4(pid, nil, 0, nil) })
	eventually(t, "a zombie", func() bool { _, err := process.Start(pid); return errors.Is(err, os.ErrProcessDone) })
	return itoa(pid)
}

func TestStartRemovesTriggers(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		two := one.newStandby("two")
		names := []string{"promote", "fallback_promote", "recovery.signal"}
		if two.major.triggerSetting != "" && !two.major.recoveryConf {
			two.append("postgresql.conf", two.major.triggerSetting+" = '"+filepath.Join(two.socket(), "trigger")+"'")
			names = append(names, "../socket/trigger")
		}
		for _, name := range names {
			two.write(name, "")
		}
		in := two.open()
		two.must(in.Start(two.context(), one.upstream()))
		streams(t, in, one)
		for _, name := range names {
			if exists(filepath.Join(two.dir, name)) {
				t.Errorf("%s is still there", name)
			}
		}
	})
}

func TestStartRefuses(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		in := one.open()
		one.must(in.Stop(one.context()))
		conf := one.read("postgresql.conf")
		if !one.major.recoveryConf {
			one.write(recoveryConf, "standby_mode = on\n")
			if err := in.Start(one.context(), watchdog.Upstream{}); !errors.Is(err, ErrForbiddenSetting) {
				t.Errorf("with recovery.conf: %v", err)
			}
			one.must(os.Remove(filepath.Join(one.dir, recoveryConf)))
			one.append("postgresql.conf", "recovery_target_name = 'x'")
			if err := in.Start(one.context(), watchdog.Upstream{}); !errors.Is(err, ErrForbiddenSetting) {
				t.Errorf("with a recovery target: %v", err)
			}
			one.write("postgresql.conf", conf)
		}
		if trigger := one.major.triggerSetting; trigger != "" && !one.major.recoveryConf {
			sealed := filepath.Join(one.socket(), "sealed")
			one.runAs("mkdir", sealed)
			one.runAs("touch", sealed+"/trigger")
			one.runAs("chmod", "0500", sealed)
			one.append("postgresql.conf", trigger+" = '"+sealed+"/trigger'")
			if err := in.Start(one.context(), watchdog.Upstream{}); !errors.Is(err, ErrUnwritableTrigger) {
				t.Errorf("with a trigger that cannot be removed: %v", err)
			}
			one.write("postgresql.conf", conf)
		}
		if bar := one.major.triggerBars; bar != "" {
			one.append("postgresql.conf", bar+" = 'x'")
			if err := in.Start(one.context(), watchdog.Upstream{}); !errors.Is(err, ErrForbiddenSetting) {
				t.Errorf("with %s: %v", bar, err)
			}
			one.write("postgresql.conf", conf)
		}
		one.append("postgresql.conf", "no_such_setting = 1")
		err := in.Start(one.context(), watchdog.Upstream{})
		if !errors.Is(err, ErrStartFailed) || !strings.Contains(err.Error(), "no_such_setting") {
			t.Errorf("with a bad setting: %v", err)
		}
	})
}

func TestStartAndStopCommands(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		config := one.config()
		su := ""
		if one.owner.other() {
			su = "setpriv --reuid=" + itoa(one.owner.uid) + " --clear-groups --regid=" + itoa(one.owner.gid) + " "
		}
		mark := filepath.Join(one.state, "mark")
		config.StartCommand = "cd / && echo start >> " + mark + " && " + su + bin + "/pg_ctl start -W -D $PGDATA"
		config.StopCommand = "cd / && echo stop >> " + mark + " && " + su + bin + "/pg_ctl stop -m fast -w -D $PGDATA"
		in := one.openWith(config)
		one.must(in.Stop(one.context()))
		one.must(in.Start(one.context(), watchdog.Upstream{}))
		observed(t, in, "a standby", func(s watchdog.Server, _ bool) bool { return s.Role == watchdog.RoleStandby })
		data, _ := os.ReadFile(mark)
		if string(data) != "stop\nstart\n" {
			t.Errorf("commands run: %q", data)
		}
	})
}

// TestConfigElsewhere is F63: Debian keeps the configuration outside of the data directory.
func TestConfigElsewhere(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		first := one.open()
		one.must(first.Stop(one.context()))
		etc := filepath.Join(filepath.Dir(one.dir), "etc")
		one.runAs("mkdir", "-p", etc+"/conf.d")
		one.runAs("mv", filepath.Join(one.dir, "postgresql.conf"), etc)
		one.append("../etc/postgresql.conf", "data_directory = '"+one.dir+"'", "include_dir = 'conf.d'")
		port := freePort(t)
		one.append("../etc/conf.d/port.conf", "port = "+itoa(port))
		one.program("pg_ctl", "start", "-w", "-D", one.dir, "-l", etc+"/log", "-o", "-c config_file="+etc+"/postgresql.conf -c cluster_name=odd")
		one.port = port
		config := one.config()
		config.BinDir = ""
		in := one.openWith(config)
		if p := in.where(); p.port != port || p.configFile != etc+"/postgresql.conf" {
			t.Errorf("found %+v", p)
		}
		one.must(in.Stop(one.context()))
		config.BinDir = one.bin
		again := one.openWith(config) // stopped: from postmaster.opts
		one.must(again.Start(one.context(), watchdog.Upstream{}))
		observed(t, again, "a standby", func(s watchdog.Server, _ bool) bool { return s.Role == watchdog.RoleStandby })
		if got := one.value("SELECT current_setting('cluster_name')"); one.major.number >= 90500 && got != "odd" {
			t.Errorf("options of the last start are lost: cluster_name %q", got)
		}
	})
}
