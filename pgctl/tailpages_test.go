package pgctl

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgvigil/pgvigil/watchdog"
)

// These tests lay pages in that no server has written: small segments, so that every place where a stream may break is tried.
const (
	madePage    = 1024
	madeSegment = 4 * madePage
	madeMagic   = 0xD110
)

// madeWAL is a WAL directory of small segments.
func madeWAL(t *testing.T) walFiles {
	t.Helper()
	return walFiles{walFormat: walFormat{segment: madeSegment, page: madePage, records: true, system: "77"}, path: t.TempDir()}
}

// made returns WAL of the timeline in [from, to), which are pages' starts: right headers, and noise.
func (d walFiles) made(timeline watchdog.Timeline, from, to watchdog.LSN) []byte {
	data := make([]byte, to-from)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	for at := from; at < to; at += madePage {
		page := data[at-from:]
		binary.LittleEndian.PutUint16(page, madeMagic)
		binary.LittleEndian.PutUint16(page[2:], 0)
		binary.LittleEndian.PutUint32(page[4:], uint32(timeline))
		binary.LittleEndian.PutUint64(page[8:], uint64(at))
		if at == d.segmentStart(at) {
			binary.LittleEndian.PutUint16(page[2:], pageLongHeader)
			binary.LittleEndian.PutUint64(page[24:], 77)
			binary.LittleEndian.PutUint32(page[32:], madeSegment)
			binary.LittleEndian.PutUint32(page[36:], madePage)
		}
	}
	return data
}

// put writes WAL into its segments' files, which it makes with zeros where there are none.
func (d walFiles) put(t *testing.T, timeline watchdog.Timeline, from watchdog.LSN, data []byte) {
	t.Helper()
	for len(data) > 0 {
		file, err := os.OpenFile(filepath.Join(d.path, d.fileName(timeline, from)), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		n := min(len(data), int(d.segmentEnd(from)-from))
		_, err = file.WriteAt(data[:n], int64(from-d.segmentStart(from)))
		if err := errors.Join(err, file.Truncate(madeSegment), file.Close()); err != nil {
			t.Fatal(err)
		}
		data, from = data[n:], from+watchdog.LSN(n)
	}
}

// content is what the segments hold in [from, to); a segment that is not there holds nothing.
func (d walFiles) content(t *testing.T, timeline watchdog.Timeline, from, to watchdog.LSN) []byte {
	t.Helper()
	var all []byte
	for at := d.segmentStart(from); at < to; at += madeSegment {
		data, err := os.ReadFile(filepath.Join(d.path, d.fileName(timeline, at)))
		if errors.Is(err, fs.ErrNotExist) {
			data = make([]byte, madeSegment)
		} else if err != nil || len(data) != madeSegment {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		all = append(all, data...)
	}
	return all[from-d.segmentStart(from) : to-d.segmentStart(from)]
}

func (d walFiles) laid(ctx context.Context, timeline watchdog.Timeline, from, to watchdog.LSN, r io.Reader) (watchdog.LSN, error) {
	l := &tail{walFiles: d, timeline: timeline, from: from, to: to, stream: interruptible{ctx, r}, got: from}
	err := l.lay(ctx)
	return l.got, err
}

func (d walFiles) noneBeside(t *testing.T) {
	t.Helper()
	names, _ := readNames(d.path)
	for _, name := range names {
		if strings.HasPrefix(name, tailPrefix) {
			t.Errorf("%s is left", name)
		}
	}
}

// The stream breaks in each page's header, behind it, within the page and at its end: whole pages are laid in, nothing else,
// and it is taken up from where it broke.
func TestTailBrokenAnywhere(t *testing.T) {
	const own, from, to = madeSegment, madeSegment + 2*madePage, 4*madeSegment + madePage + 100 // a partial page at the end
	const end = to - 100 + madePage
	source := madeWAL(t)
	whole := source.made(1, own, end)
	want := append(bytes.Clone(whole[:to-own]), make([]byte, madePage-100)...)
	for page := 0; page < to-from; page += madePage {
		for _, within := range []int{0, 1, 23, 24, 39, 40, 600, madePage - 1} {
			cut := page + within
			if cut >= to-from {
				continue
			}
			d := madeWAL(t)
			d.put(t, 1, own, whole[:from-own+300])                     // our own end is in the middle of the page at from
			d.put(t, 1, 2*madeSegment, source.made(1, 0, madeSegment)) // recycled, and waits for its turn
			got, err := d.laid(t.Context(), 1, from, to, bytes.NewReader(whole[from-own:][:cut]))
			if right := watchdog.LSN(from + page); err == nil || got != right {
				t.Fatalf("cut after %d bytes: %s, %v; want %s", cut, got, err, right)
			}
			if !bytes.Equal(d.content(t, 1, own, got), want[:got-own]) {
				t.Fatalf("cut after %d bytes: other bytes were laid in", cut)
			}
			d.noneBeside(t)
			got, err = d.laid(t.Context(), 1, got, to, bytes.NewReader(whole[got-own:to-own]))
			if err != nil || got != to || !bytes.Equal(d.content(t, 1, own, end), want) {
				t.Fatalf("cut after %d bytes, taken up: %s, %v, or other bytes", cut, got, err)
			}
			d.noneBeside(t)
			if at, err := d.lastPage(t.Context(), 1, own); err != nil || at != end {
				t.Fatalf("the last page ends at %s, %v", at, err)
			}
		}
	}
}

// A page in the middle that is not this WAL's ends what is laid in, whatever is wrong with it.
func TestTailRefusesAForeignPage(t *testing.T) {
	const from, to = madeSegment, 3 * madeSegment
	for name, c := range map[string]struct {
		at     int
		spoil  func(page []byte)
		wanted error
	}{
		"magic of another version":   {2, func(p []byte) { p[0] ^= 1 }, errPage},
		"no magic":                   {2, func(p []byte) { p[1] = 0 }, errPage},
		"zeros":                      {3, func(p []byte) { clear(p) }, errPage},
		"a later timeline":           {1, func(p []byte) { p[4] = 3 }, errPage},
		"the timeline before":        {5, func(p []byte) { p[4] = 1 }, errPage},
		"no timeline":                {5, func(p []byte) { p[4] = 0 }, errPage},
		"another address":            {6, func(p []byte) { p[9] ^= 0x10 }, errPage},
		"another system":             {4, func(p []byte) { p[24]++ }, errPage},
		"another segment size":       {4, func(p []byte) { p[33] ^= 1 }, errPage},
		"a short header":             {4, func(p []byte) { p[2] = 0 }, errPage},
		"on the last page":           {7, func(p []byte) { p[8] ^= 1 }, errPage},
		"on the first page":          {0, func(p []byte) { p[8] ^= 1 }, errPage},
		"the first page's timeline":  {0, func(p []byte) { p[4] = 3 }, errPage},
		"a page of a recycled file ": {3, func(p []byte) { p[9] -= 0x10 }, errPage},
	} {
		t.Run(name, func(t *testing.T) {
			for _, recycled := range []bool{false, true} {
				d := madeWAL(t)
				d.put(t, 2, 0, d.made(2, 0, madeSegment))
				if recycled {
					for at := watchdog.LSN(from); at < to; at += madeSegment {
						d.put(t, 2, at, d.made(2, 0, madeSegment)[:madeSegment])
					}
				}
				data := d.made(2, from, to)
				c.spoil(data[c.at*madePage:])
				got, err := d.laid(t.Context(), 2, from, to, bytes.NewReader(data))
				right := watchdog.LSN(from + c.at*madePage)
				if !errors.Is(err, c.wanted) || got != right {
					t.Fatalf("%s, %v, want %s", got, err, right)
				}
				if !bytes.Equal(d.content(t, 2, from, right), data[:right-from]) {
					t.Error("other bytes were laid in")
				}
				if at, err := d.lastPage(t.Context(), 2, 0); err != nil || at != right {
					t.Errorf("the WAL ends at %s, %v", at, err)
				}
				d.noneBeside(t)
			}
		})
	}
}

// What reaches further than the stream is kept, and what does not is written over.
func TestTailKeepsALongerSegment(t *testing.T) {
	const from = madeSegment + madePage
	for _, to := range []watchdog.LSN{madeSegment + 2*madePage, madeSegment + 2*madePage + 50, madeSegment + 3*madePage} {
		for reach := watchdog.LSN(madeSegment + madePage); reach <= 2*madeSegment; reach += madePage {
			d := madeWAL(t)
			data := d.made(1, madeSegment, 2*madeSegment)
			d.put(t, 1, madeSegment, data[:reach-madeSegment])
			got, err := d.laid(t.Context(), 1, from, to, bytes.NewReader(data[from-madeSegment:to-madeSegment]))
			if err != nil || got != to {
				t.Fatalf("to %s over what reaches to %s: %s, %v", to, reach, got, err)
			}
			if now := max(reach, to); !bytes.Equal(d.content(t, 1, madeSegment, now), data[:now-madeSegment]) {
				if reach > to && reach-to < madePage { // the page with the stream's end is the stream's
					continue
				}
				t.Errorf("to %s over what reaches to %s: other bytes", to, reach)
			}
		}
	}
}

// A full disk, a real one: what was written whole counts, and another attempt goes on once there is room.
func TestTailOnAFullDisk(t *testing.T) {
	const from, to = madeSegment, 40 * madeSegment
	d := madeWAL(t)
	smallDisk(t, d.path, 96<<10)
	d.put(t, 1, 0, d.made(1, 0, madeSegment))
	data := d.made(1, from, to)
	filler := filepath.Join(d.path, "filler")
	if err := os.WriteFile(filler, make([]byte, 16<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := d.laid(t.Context(), 1, from, to, bytes.NewReader(data))
	if !errors.Is(err, errFull) || got <= from || got >= to {
		t.Fatalf("%s, %v", got, err)
	}
	if !bytes.Equal(d.content(t, 1, from, got), data[:got-from]) {
		t.Error("other bytes were laid in")
	}
	d.noneBeside(t)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	further, err := d.laid(t.Context(), 1, got, to, bytes.NewReader(data[got-from:]))
	if !errors.Is(err, errFull) || further <= got {
		t.Errorf("with room again: from %s to %s, %v", got, further, err)
	}
	if !bytes.Equal(d.content(t, 1, from, further), data[:further-from]) {
		t.Error("other bytes were laid in with room again")
	}
}

// stopAfter reads up to n bytes, and then ends the context.
type stopAfter struct {
	io.Reader
	n    int
	stop context.CancelFunc
}

// Read reads.
func (s *stopAfter) Read(p []byte) (int, error) {
	if s.n <= 0 {
		s.stop()
	}
	n, err := s.Reader.Read(p[:min(len(p), max(s.n, 1))])
	s.n -= n
	return n, err
}

func TestTailEndsWithItsContext(t *testing.T) {
	const from, to = madeSegment, 3 * madeSegment
	for _, after := range []int{0, 10, madePage, madePage + 1, madeSegment, madeSegment + 2*madePage + 7} {
		d := madeWAL(t)
		d.put(t, 1, 0, d.made(1, 0, madeSegment))
		data := d.made(1, from, to)
		ctx, cancel := context.WithCancel(t.Context())
		got, err := d.laid(ctx, 1, from, to, &stopAfter{bytes.NewReader(data), after, cancel})
		want := watchdog.LSN(from + after/madePage*madePage)
		if !errors.Is(err, context.Canceled) || got != want {
			t.Errorf("ended after %d bytes: %s, %v; want %s", after, got, err, want)
		}
		var out bytes.Buffer
		d.put(t, 1, from, data)
		if err := d.serveSegment(ctx, 1, from, to-madeSegment, &out); !errors.Is(err, context.Canceled) || out.Len() > 0 {
			t.Errorf("served %d bytes after the end: %v", out.Len(), err)
		}
		d.noneBeside(t)
	}
}

// appender lets the source grow while it is read.
type appender struct {
	bytes.Buffer
	grow func(served int)
}

// Write grows the source and takes what was read.
func (a *appender) Write(p []byte) (int, error) {
	a.grow(a.Len())
	return a.Buffer.Write(p)
}

func TestServeTailOfAGrowingSource(t *testing.T) {
	const from, to, more = 100, 2*madeSegment + madePage + 10, 4 * madeSegment
	d := madeWAL(t)
	all := d.made(1, 0, more)
	d.put(t, 1, 0, all[:2*madeSegment+2*madePage])
	out := &appender{grow: func(int) { d.put(t, 1, 2*madeSegment+2*madePage, all[2*madeSegment+2*madePage:]) }}
	for at := watchdog.LSN(from); at < to; at = d.nextSegment(at) {
		if err := d.serveSegment(t.Context(), 1, at, min(to, d.segmentEnd(at)), out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(out.Bytes(), all[from:to]) {
		t.Errorf("%d bytes of %d, or other ones", out.Len(), to-from)
	}
	if err := d.serveSegment(t.Context(), 1, more, more+10, out); !errors.Is(err, errNoWAL) {
		t.Errorf("past the last segment: %v", err)
	}
	d.put(t, 1, more, d.made(1, 0, madeSegment))
	if err := d.serveSegment(t.Context(), 1, more, more+10, out); !errors.Is(err, errNoWAL) {
		t.Errorf("a recycled segment: %v", err)
	}
	if err := os.Truncate(filepath.Join(d.path, d.fileName(1, madeSegment)), 500); err != nil {
		t.Fatal(err)
	}
	if err := d.serveSegment(t.Context(), 1, madeSegment, 2*madeSegment, out); !errors.Is(err, errNoWAL) {
		t.Errorf("a segment cut short: %v", err)
	}
}

// A server that ended just after a segment was full has flushed up to the start of one that is not there, or is a recycled one.
func TestDeadEndAtASegmentsStart(t *testing.T) {
	const end = 3 * madeSegment
	for _, recycled := range []bool{false, true} {
		d := madeWAL(t)
		d.put(t, 1, madeSegment, d.made(1, madeSegment, end))
		if recycled {
			d.put(t, 1, end, d.made(1, 0, madeSegment))
		}
		for _, timeline := range []watchdog.Timeline{0, 1} {
			c := control{State: 6, Timeline: 1, RedoLSN: madeSegment + 100, CheckpointLSN: madeSegment + 200}
			for _, hint := range []watchdog.LSN{0, end - 1, end} {
				p, err := d.deadEnd(t.Context(), c, timeline, hint)
				if err != nil || p.End != end || p.Timeline != 1 || p.Exact {
					t.Errorf("recycled %v, hint %s, timeline %d: %+v, %v", recycled, hint, timeline, p, err)
				}
			}
			if p, err := d.deadEnd(t.Context(), c, timeline, end+madeSegment); err == nil {
				t.Errorf("recycled %v, past a hole: %+v", recycled, p)
			}
		}
	}
}
