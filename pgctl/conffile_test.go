package pgctl

import (
	"testing"
)

func TestConfLine(t *testing.T) {
	for _, c := range []struct{ raw, name, value, comment string }{
		{"", "", "", ""},
		{"# port = 1", "", "", ""},
		{"port = 5433", "port", "5433", ""},
		{"  Port 5433  # why", "port", "5433", "# why"},
		{"port=5433#x", "port", "5433", "#x"},
		{"a.b = 'it''s \\'\\101\\n\\\\' # c 'd'", "a.b", "it's 'A\n\\", "# c 'd'"},
		{"shared_buffers = -1", "shared_buffers", "-1", ""},
		{"unix = /tmp/x-y:z", "unix", "/tmp/x-y:z", ""},
		{"wal_level replica", "wal_level", "replica", ""},
		{"a = ''", "a", "", ""},
		{"a = 'open", "", "", ""},
		{"a = b c", "", "", ""},
		{"a =", "", "", ""},
		{"'a' = b", "", "", ""},
		{"include 'x.conf'", "include", "x.conf", ""},
		{"a = 'tail\\", "", "", ""},
		{"crlf = 'x'\r", "crlf", "x", ""},
	} {
		got := parseConfLine(c.raw)
		if got.raw != c.raw || got.name != c.name || got.value != c.value || got.comment != c.comment {
			t.Errorf("%q: name %q value %q comment %q", c.raw, got.name, got.value, got.comment)
		}
	}
}

func TestConfFileEdit(t *testing.T) {
	const before = "# Do not edit\nport = 1\nprimary_conninfo = 'a' # mine\nrestore_command = 'x'\nPRIMARY_CONNINFO = 'b' # last\n\nodd line here\n"
	f := parseConf(before)
	if f.String() != before {
		t.Errorf("unchanged: %q", f.String())
	}
	if value, set := f.get("primary_conninfo"); !set || value != "b" {
		t.Errorf("last value %q", value)
	}
	f.set("primary_conninfo", `pass'word\`)
	f.set("new", "")
	f.unset("restore_command")
	const after = "# Do not edit\nport = 1\nprimary_conninfo = 'pass''word\\\\' # last\n\nodd line here\nnew = ''\n"
	if f.String() != after {
		t.Errorf("edited: %q", f.String())
	}
	if value, _ := parseConf(f.String()).get("primary_conninfo"); value != `pass'word\` {
		t.Errorf("read back %q", value)
	}
	f.set("new", "")
	if f.String() != after {
		t.Errorf("setting a value that is there changed the file: %q", f.String())
	}
	var empty confFile
	if empty.set("a", "b"); empty.String() != "a = 'b'\n" || parseConf("").String() != "" {
		t.Errorf("empty file: %q", empty.String())
	}
}

// FuzzSetting holds that what we write is what we read, and one line.
func FuzzSetting(f *testing.F) {
	for _, seed := range []string{"", "plain", "it's", `back\slash`, "two\nlines\r", "\x00\xff", "'", `\'`, "é#\"", "\\101"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var file confFile
		file.set("name", value)
		back := parseConf(file.String())
		if got, set := back.get("name"); !set || got != value || len(back.lines) != 1 {
			t.Errorf("%q came back as %q from %q", value, got, file.String())
		}
	})
}
