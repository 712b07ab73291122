package pgctl

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestVersions(t *testing.T) {
	for _, name := range []string{"9.0", "9.6", "10", "12", "18"} {
		v, err := versionOf(name + "\n")
		if err != nil || v.name != name || v.walDir == "" || v.flushLSN == "" {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	for _, name := range []string{"8.4", "", "9", "99"} {
		if _, err := versionOf(name); !errors.Is(err, ErrUnsupportedVersion) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for i, v := range versions[1:] {
		if v.number <= versions[i].number {
			t.Errorf("%s stands after %s", v.name, versions[i].name)
		}
	}
}

func TestPostmasterOptions(t *testing.T) {
	dir := t.TempDir()
	words := optsWords(`/usr/bin/postgres "-D" "` + dir + `" "-p" "5433" "-cport=1" "--cluster-name=a b" "-c" "config_file=/etc/x.conf" "-c" "primary_conninfo=host=x" "-i"` + "\n")
	options, configDir := splitOptions(words, dir)
	if configDir != "" || !slices.Equal(options, []string{"-p", "5433", "-cport=1", "--cluster-name=a b", "-c", "config_file=/etc/x.conf", "-i"}) {
		t.Errorf("options %q, configuration in %q", options, configDir)
	}
	want := map[string]string{"port": "1", "cluster_name": "a b", "config_file": "/etc/x.conf"}
	if got := optionSettings(options); !maps.Equal(got, want) {
		t.Errorf("settings %q", got)
	}
	if _, configDir := splitOptions([]string{"-D/etc/elsewhere"}, dir); configDir != "/etc/elsewhere" {
		t.Errorf("configuration in %q", configDir)
	}
	if options, _ := splitOptions([]string{"-D"}, dir); !slices.Equal(options, []string{"-D"}) && options != nil {
		t.Errorf("a lone -D: %q", options)
	}
	if optsWords("") != nil || optsWords("/usr/bin/postgres") != nil {
		t.Error("words of an empty command line")
	}
	if got := optionSettings([]string{"-c"}); len(got) != 0 {
		t.Errorf("a lone -c sets %q", got)
	}
}

func TestReadSettings(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"postgresql.conf":      "port = 1\na = main\ninclude 'more.conf'\ninclude_dir = 'd'\ninclude_if_exists = 'none.conf'\n",
		"more.conf":            "A = 'more'\nb = more\n",
		"d/10.conf":            "b = ten\nc = ten\n",
		"d/20.conf":            "c = twenty\n",
		"d/.hidden.conf":       "c = hidden\n",
		"d/no.txt":             "c = text\n",
		"postgresql.auto.conf": "c = auto\nd = ''\n",
		"loop.conf":            "include 'loop.conf'\n",
		"broken.conf":          "include 'none.conf'\n",
		"broken_dir.conf":      "include_dir 'none'\n",
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := readSettings(filepath.Join(dir, "postgresql.conf"), dir, map[string]string{"port": "2"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"port": "2", "a": "more", "b": "ten", "c": "auto", "d": "", "e": ""} {
		if got := s.get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if s["b"].file != filepath.Join(dir, "d/10.conf") {
		t.Errorf("b is set in %s", s["b"].file)
	}
	for _, name := range []string{"loop.conf", "broken.conf", "broken_dir.conf", "none.conf"} {
		if _, err := readSettings(filepath.Join(dir, name), dir, nil); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriteFileKeepsMode(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, autoConf)
	in := &Instance{config: Config{DataDir: dir}, owner: owner{uid: os.Getuid(), gid: os.Getgid()}}
	if err := in.setAuto(map[string]string{"a": "x", "b": "y"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := in.setAuto(map[string]string{"a": "z"}); err != nil {
		t.Fatal(err)
	}
	expectFile(t, path, "a = 'z'\nb = 'y'\n")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	before := info
	if err := in.setAuto(map[string]string{"a": "z"}); err != nil {
		t.Fatal(err)
	}
	if now, err := os.Stat(path); err != nil || !os.SameFile(before, now) {
		t.Errorf("a file was rewritten that did not change: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left over: %v", entries)
	}
	if err := in.writeFile(filepath.Join(dir, "none", "x"), nil, 0o600); err == nil {
		t.Error("a file in no directory was written")
	}
}
