package pgctl

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
)

func TestParseHistory(t *testing.T) {
	list, err := parseHistory([]byte("# comment\n\n1\t0/30000D8\tno recovery target specified\n  \n3\t1/0 \t# x\n"))
	want := []ancestor{{1, 0x30000D8}, {3, 1 << 32}}
	if err != nil || len(list) != 2 || list[0] != want[0] || list[1] != want[1] {
		t.Errorf("history %v, %v", list, err)
	}
	for _, bad := range []string{"x\n", "1\n", "1 0/\n", "0 0/1\n", "2 0/1\n1 0/2\n", "1 0/2\n2 0/1\n", "4294967296 0/1\n"} {
		if list, err := parseHistory([]byte(bad)); err == nil {
			t.Errorf("%q is taken for %v", bad, list)
		}
	}
}

// A history of two thousand timelines overran a fixed array elsewhere (F26).
func TestParseLongHistory(t *testing.T) {
	var b bytes.Buffer
	for i := 1; i <= 2000; i++ {
		fmt.Fprintf(&b, "%d\t%s\t%s\n\n", i, watchdog.LSN(i)<<24, bytes.Repeat([]byte("why "), 100))
	}
	list, err := parseHistory(b.Bytes())
	if err != nil || len(list) != 2000 || list[1999] != (ancestor{2000, 2000 << 24}) {
		t.Errorf("%d lines, %v", len(list), err)
	}
}

func FuzzParseHistory(f *testing.F) {
	f.Add([]byte("1\t0/30000D8\tno recovery target specified\n"))
	f.Add([]byte("# x\n1 0/1\n2 FFFFFFFF/FFFFFFFF"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseHistory(data)
		if err != nil {
			return
		}
		for i := 1; i < len(list); i++ {
			if list[i].Timeline <= list[i-1].Timeline || list[i].End < list[i-1].End {
				t.Errorf("%q: %v", data, list)
			}
		}
	})
}

func TestReadHistory(t *testing.T) {
	dir := t.TempDir()
	write := func(timeline watchdog.Timeline, content string) {
		if err := os.WriteFile(filepath.Join(dir, historyName(timeline)), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(2, "1\t0/5000000\tx\n")
	write(3, placeholderText)
	write(4, "")
	write(5, "7\t0/1\tx\n")
	if list, err := readHistory(dir, 2); err != nil || len(list) != 1 {
		t.Errorf("timeline 2: %v, %v", list, err)
	}
	for _, none := range []watchdog.Timeline{3, 4, 6} {
		if _, err := readHistory(dir, none); !errors.Is(err, errNoHistory) {
			t.Errorf("timeline %d: %v", none, err)
		}
	}
	if _, err := readHistory(dir, 5); err == nil || errors.Is(err, errNoHistory) {
		t.Errorf("timeline 5: %v", err)
	}
	line, err := lineageOf(dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		timeline watchdog.Timeline
		lsn      watchdog.LSN
		want     bool
	}{{2, 0x5000000, true}, {1, 0x4FFE000, true}, {1, 0x5000000, false}, {3, 0x5000000, false}} {
		if line.allows(c.timeline, c.lsn) != c.want {
			t.Errorf("page of timeline %d at %s: not %v", c.timeline, c.lsn, c.want)
		}
	}
}
