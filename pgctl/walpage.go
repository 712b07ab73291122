package pgctl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/pgvigil/pgvigil/watchdog"
)

// walFormat is how a data directory's WAL is cut into segments and pages.
type walFormat struct {
	segment uint64 // bytes of a segment file
	page    uint64 // bytes of a page
	ancient bool   // up to 9.2: another page header, and the last segment of each 4 GB does not exist
	records bool   // 9.5 and up: its records can be followed
	system  string // the system identifier, which the first page of each segment repeats
}

// walFormatOf takes the format from the control file.
func walFormatOf(c control) (walFormat, error) {
	f := walFormat{
		segment: uint64(c.WalSegmentSize),
		page:    uint64(c.WalBlockSize),
		ancient: c.Version < 937,
		system:  c.SystemID,
	}
	if f.page < 1024 || f.segment < f.page || f.segment%f.page != 0 || 1<<32%f.segment != 0 {
		return walFormat{}, fmt.Errorf("control file has WAL segments of %d bytes and pages of %d", f.segment, f.page)
	}
	return f, nil
}

// shortHeader and longHeader are the sizes of a page's header; the long one starts a segment.
func (f walFormat) shortHeader() uint64 {
	if f.ancient {
		return 16
	}
	return 24
}

func (f walFormat) longHeader() uint64 { return f.shortHeader() + 16 }

// header is the size of the header of the page that starts at lsn.
func (f walFormat) header(lsn watchdog.LSN) uint64 {
	if uint64(lsn)%f.segment == 0 {
		return f.longHeader()
	}
	return f.shortHeader()
}

func (f walFormat) pageStart(lsn watchdog.LSN) watchdog.LSN {
	return lsn - watchdog.LSN(uint64(lsn)%f.page)
}

func (f walFormat) segmentStart(lsn watchdog.LSN) watchdog.LSN {
	return lsn - watchdog.LSN(uint64(lsn)%f.segment)
}

// segmentEnd is where the segment that holds lsn ends, which up to 9.2 is not always where the next one starts.
func (f walFormat) segmentEnd(lsn watchdog.LSN) watchdog.LSN {
	return f.segmentStart(lsn) + watchdog.LSN(f.segment)
}

// nextSegment is the start of the segment after the one that holds lsn.
func (f walFormat) nextSegment(lsn watchdog.LSN) watchdog.LSN {
	next := f.segmentEnd(lsn)
	if f.ancient && uint64(next)%(1<<32) == 1<<32-f.segment {
		next += watchdog.LSN(f.segment)
	}
	return next
}

// fileName is the name of the segment file that holds lsn.
func (f walFormat) fileName(timeline watchdog.Timeline, lsn watchdog.LSN) string {
	return fmt.Sprintf("%08X%08X%08X", uint32(timeline), uint32(lsn>>32), uint64(uint32(lsn))/f.segment)
}

// parseFileName reads a segment's name. ok is false for every other file of a WAL directory.
func (f walFormat) parseFileName(name string) (timeline watchdog.Timeline, start watchdog.LSN, ok bool) {
	if len(name) != 24 {
		return 0, 0, false
	}
	var parts [3]uint64
	for i := range parts {
		n, err := strconv.ParseUint(name[8*i:8*i+8], 16, 32)
		if err != nil {
			return 0, 0, false
		}
		parts[i] = n
	}
	if parts[2] >= (1<<32)/f.segment {
		return 0, 0, false
	}
	return watchdog.Timeline(parts[0]), watchdog.LSN(parts[1]<<32 | parts[2]*f.segment), true
}

// Flags of a page's header.
const (
	pageFirstIsContinued = 0x0001 // the page begins with the rest of a record
	pageLongHeader       = 0x0002
	pageOverwrites       = 0x0008 // 14 and up: the record that would continue here was given up
)

// pageHeader is a WAL page's header.
type pageHeader struct {
	magic    uint16 // of the major version
	info     uint16
	timeline watchdog.Timeline
	address  watchdog.LSN // of the page; another one's means that the file was recycled and not yet written here
	rest     uint32       // bytes of a record continued from the page before; 9.3 and up
}

// errPage says that what stands there is no page of this WAL: not written yet, or left of a recycled file.
var errPage = errors.New("no valid WAL page")

// parsePage reads and checks the header of the page that should start at lsn.
func (f walFormat) parsePage(data []byte, lsn watchdog.LSN) (pageHeader, error) {
	if uint64(len(data)) < f.header(lsn) {
		return pageHeader{}, fmt.Errorf("%w at %s: %d bytes", errPage, lsn, len(data))
	}
	h := pageHeader{
		magic:    binary.LittleEndian.Uint16(data),
		info:     binary.LittleEndian.Uint16(data[2:]),
		timeline: watchdog.Timeline(binary.LittleEndian.Uint32(data[4:])),
		address:  watchdog.LSN(binary.LittleEndian.Uint64(data[8:])),
	}
	if f.ancient {
		h.address = h.address<<32 | h.address>>32
	} else {
		h.rest = binary.LittleEndian.Uint32(data[16:])
	}
	switch {
	case h.magic>>8 != 0xD0 && h.magic>>8 != 0xD1:
		return h, fmt.Errorf("%w at %s: magic %04X", errPage, lsn, h.magic)
	case h.address != lsn:
		return h, fmt.Errorf("%w at %s: it says that it is %s", errPage, lsn, h.address)
	case h.timeline == 0:
		return h, fmt.Errorf("%w at %s: it has no timeline", errPage, lsn)
	}
	if uint64(lsn)%f.segment == 0 {
		return h, f.checkLong(data[f.shortHeader():], h, lsn)
	}
	return h, nil
}

// checkLong checks what only a segment's first page has.
func (f walFormat) checkLong(data []byte, h pageHeader, lsn watchdog.LSN) error {
	system := strconv.FormatUint(binary.LittleEndian.Uint64(data), 10)
	segment, page := binary.LittleEndian.Uint32(data[8:]), binary.LittleEndian.Uint32(data[12:])
	switch {
	case h.info&pageLongHeader == 0:
		return fmt.Errorf("%w at %s: a segment's first page without its long header", errPage, lsn)
	case system != f.system:
		return fmt.Errorf("%w at %s: it belongs to system %s, not %s", errPage, lsn, system, f.system)
	case uint64(segment) != f.segment || uint64(page) != f.page:
		return fmt.Errorf("%w at %s: segments of %d bytes, pages of %d", errPage, lsn, segment, page)
	}
	return nil
}

// walFiles is a WAL directory and the format of what is in it.
type walFiles struct {
	walFormat
	path string
}

// open opens the segment file of the timeline that holds lsn.
func (d walFiles) open(timeline watchdog.Timeline, lsn watchdog.LSN) (*os.File, error) {
	return os.Open(filepath.Join(d.path, d.fileName(timeline, lsn)))
}

// readPageHeader reads the header of the page at lsn from an open segment file.
func (d walFiles) readPageHeader(file io.ReaderAt, lsn watchdog.LSN) (pageHeader, error) {
	var buffer [40]byte
	data := buffer[:d.header(lsn)]
	if _, err := file.ReadAt(data, int64(uint64(lsn)%d.segment)); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w at %s: the file ends before it", errPage, lsn)
		}
		return pageHeader{}, err
	}
	return d.parsePage(data, lsn)
}

// segmentOf opens the timeline's segment that holds lsn and checks that it is not a recycled one that still waits for its
// turn. os.ErrNotExist when there is none, errPage when it is recycled.
func (d walFiles) segmentOf(timeline watchdog.Timeline, lsn watchdog.LSN) (*os.File, pageHeader, error) {
	file, err := d.open(timeline, lsn)
	if err != nil {
		return nil, pageHeader{}, err
	}
	h, err := d.readPageHeader(file, d.segmentStart(lsn))
	if err != nil {
		file.Close()
		return nil, h, fmt.Errorf("segment %s: %w", d.fileName(timeline, lsn), err)
	}
	return file, h, nil
}

// timelines lists the timelines that have a segment file here, highest first.
func (d walFiles) timelines() ([]watchdog.Timeline, error) {
	names, err := readNames(d.path)
	if err != nil {
		return nil, fmt.Errorf("list WAL directory: %w", err)
	}
	seen := map[watchdog.Timeline]bool{}
	for _, name := range names {
		if timeline, _, ok := d.parseFileName(name); ok {
			seen[timeline] = true
		}
	}
	return sortedDown(seen), nil
}
