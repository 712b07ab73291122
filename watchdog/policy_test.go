package watchdog

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestPresetsKeepTheInequalities(t *testing.T) {
	for name := range presets {
		p, ok := Preset(name)
		if err := p.Validate(); !ok || err != nil {
			t.Errorf("preset %s: %v", name, err)
		}
	}
}

func TestPolicyIsRefusedInOneSentenceEach(t *testing.T) {
	for _, row := range []struct {
		name string
		edit func(*Policy)
		says string
	}{
		{"fence deadline and fence time beyond the ttl", func(p *Policy) { p.FenceDeadline = s(4.2) }, "two primaries"},
		{"a worse clock", func(p *Policy) { p.ClockError = 0.05 }, "two primaries"},
		{"too many missed renewals", func(p *Policy) { p.MissedRenewals = 4 }, "missed_renewals"},
		{"slow renewals", func(p *Policy) { p.Renewal = s(1.5) }, "missed_renewals"},
		{"a ttl that etcd cannot have", func(p *Policy) { p.TTL = s(5.5) }, "whole seconds"},
		{"a ttl below two seconds", func(p *Policy) { p.TTL = s(1) }, "whole seconds"},
		{"no heartbeat", func(p *Policy) { p.Heartbeat = 0 }, "heartbeat"},
		{"a clock error of one half", func(p *Policy) { p.ClockError = 0.5 }, "clock_error"},
		{"a negative lag limit", func(p *Policy) { p.LagLimit = -1 }, "lag_limit"},
		{"negative missed renewals", func(p *Policy) { p.MissedRenewals = -1 }, "missed_renewals"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := DefaultPolicy()
			row.edit(&p)
			err := p.Validate()
			if err == nil || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one sentence with %q", err, row.says)
			}
		})
	}
}

func TestPolicySurvivesJSONAndFillsDefaults(t *testing.T) {
	want, _ := Preset("tight")
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodePolicy(data); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err := DecodePolicy([]byte(`{"lag_limit": 5}`))
	if err != nil || got.LagLimit != 5 || got.TTL.D() != 5*time.Second {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{`{"ttl": "five"}`, `[]`, `{"ttl": "1s"}`} {
		if _, err := DecodePolicy([]byte(bad)); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
