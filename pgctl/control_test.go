package pgctl

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestControlAgreesWithControldata(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		if _, err := os.Stat(filepath.Join(bin, "pg_controldata")); err != nil {
			t.Skip("no pg_controldata")
		}
		one, two, in := pair(t, bin)
		one.must(one.open().Stop(one.context()))
		two.must(in.Stop(two.context()))
		for _, s := range []*testServer{one, two} {
			read, err := readControl(s.dir)
			s.must(err)
			said, err := parseControldata(s.program("pg_controldata", s.dir))
			s.must(err)
			if read != said {
				t.Errorf("%s: read  %+v\nsaid %+v", s.name, read, said)
			}
		}
		if c, _ := readControl(one.dir); c.State != stateShutDown || c.MaxConnections != 30 || c.MaxWalSenders != 8 && one.major.sendersBound {
			t.Errorf("control file of the stopped primary: %v, %+v", c.State, c)
		}
		if c, _ := readControl(two.dir); c.State != stateShutDownInRecovery {
			t.Errorf("control file of the stopped standby: %v", c.State)
		}
	})
}

func TestControlRefusesDamage(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		s := newServer(t, bin, "one")
		data, err := os.ReadFile(filepath.Join(s.template(), "global", "pg_control"))
		s.must(err)
		if _, err := parseControl(data); err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, 20, 32, 100, 200} {
			damaged := append([]byte(nil), data...)
			damaged[at] ^= 1
			if _, err := parseControl(damaged); err == nil {
				t.Errorf("byte %d may be damaged", at)
			}
		}
		unknown := append([]byte(nil), data...)
		unknown[8], unknown[9] = 0xff, 0xff
		if _, err := parseControl(unknown); !errors.Is(err, errControlUnknown) {
			t.Errorf("an unknown version: %v", err)
		}
		for _, n := range []int{0, 15, 16, 100, 250} {
			if _, err := parseControl(data[:n]); err == nil {
				t.Errorf("%d bytes are enough", n)
			}
		}
	})
}
