package watchdog

import "testing"

func TestLSNIsReadAndWrittenAsPostgreSQLDoes(t *testing.T) {
	for text, want := range map[string]LSN{"0/0": 0, "0/3001C18": 0x3001C18, "0/03001C18": 0x3001C18, "1A/FF000000": 0x1AFF000000, "FFFFFFFF/FFFFFFFF": 1<<64 - 1} {
		got, err := ParseLSN(text)
		if err != nil || got != want {
			t.Errorf("ParseLSN(%q) = %d, %v; want %d", text, got, err, want)
		}
		if again, err := ParseLSN(got.String()); err != nil || again != got {
			t.Errorf("%q does not survive a round trip: %q", text, got.String())
		}
	}
	for _, text := range []string{"", "0", "/", "0/", "/0", "x/1", "0/100000000", "1/2/3", "-1/0"} {
		if got, err := ParseLSN(text); err == nil {
			t.Errorf("ParseLSN(%q) = %s, want an error", text, got)
		}
	}
}

func TestBehindIsNeverNegative(t *testing.T) {
	if got := LSN(5).Behind(3); got != 0 {
		t.Errorf("5 behind 3: %d", got)
	}
	if got := LSN(3).Behind(5); got != 2 {
		t.Errorf("3 behind 5: %d", got)
	}
}
