package pgctl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"github.com/pgvigil/pgvigil/watchdog"
)

// control is what global/pg_control says of a data directory. It is a server's own note for its next start: while a
// standby runs, its timelines lag behind what it has replayed (PG-VERSIONS.md), so only a stopped server's is believed.
type control struct {
	SystemID            string
	Version             int // pg_control_version
	State               controlState
	CheckpointLSN       watchdog.LSN // of the last checkpoint's record
	RedoLSN             watchdog.LSN // from where that checkpoint would be replayed
	Timeline            watchdog.Timeline
	MinRecoveryPoint    watchdog.LSN // 0 outside recovery
	MinRecoveryTimeline watchdog.Timeline

	MaxConnections     int
	MaxWorkerProcesses int
	MaxWalSenders      int // 0 where the version does not keep it (before 12)
	MaxPreparedXacts   int
	MaxLocksPerXact    int

	DataChecksums  bool
	WalLogHints    bool
	BlockSize      int
	WalBlockSize   int
	WalSegmentSize int
}

// controlState is PostgreSQL's DBState, whose numbers have not changed since 9.0's last addition.
type controlState int

// The states of a data directory that matter here.
const (
	stateShutDown           controlState = 1
	stateShutDownInRecovery controlState = 2
	stateInArchiveRecovery  controlState = 5
	stateInProduction       controlState = 6
)

var controlStates = []string{
	"starting up", "shut down", "shut down in recovery", "shutting down",
	"in crash recovery", "in archive recovery", "in production",
}

// String is the state in pg_controldata's words.
func (s controlState) String() string {
	if s < 0 || int(s) >= len(controlStates) {
		return fmt.Sprintf("unknown state %d", int(s))
	}
	return controlStates[s]
}

// errControlUnknown says that this pgvigil does not know the file's layout. pg_controldata does.
var errControlUnknown = errors.New("unknown layout of pg_control")

// controlReads is how often a file whose checksum fails is read again: a running server writes it in place, and a read may
// see half of a write.
const controlReads = 5

// readControl reads and verifies global/pg_control. PostgreSQL 9.3 to 18 are read directly: packages without
// pg_controldata exist.
func readControl(dataDir string) (control, error) {
	path := filepath.Join(dataDir, "global", "pg_control")
	var last error
	for range controlReads {
		data, err := os.ReadFile(path)
		if err != nil {
			return control{}, fmt.Errorf("read control file: %w", err)
		}
		c, err := parseControl(data)
		if err == nil || errors.Is(err, errControlUnknown) {
			return c, wrapPath(path, err)
		}
		last = err
		time.Sleep(2 * time.Millisecond)
	}
	return control{}, wrapPath(path, last)
}

func wrapPath(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read %s: %w", path, err)
}

// controlLayout is what of the file's C structure differs between versions. Every field of it stands at its natural
// alignment, as on every 64-bit platform.
type controlLayout struct {
	version         int
	prevCheckpoint  bool // up to 10
	walLevelInCheck bool // 18: CheckPoint has wal_level
	commitTs        bool // 9.5: CheckPoint has two ids of commit timestamps, and track_commit_timestamp exists
	hintsAndWorkers bool // 9.4: wal_log_hints, max_worker_processes
	senders         bool // 12: max_wal_senders
	intTimes        bool // up to 9.6: enableIntTimes
	float4          bool // up to 12: float4ByVal
	signedness      bool // 18: default_char_signedness
	nonce           bool // 10: mock_authentication_nonce
	legacyCRC       bool // up to 9.4
}

// controlLayouts knows each version's structure. 9.4 and 9.5 share a number and differ: the checksum, whose place follows
// from the layout, tells which it is, and would unmask a wrong line here.
var controlLayouts = []controlLayout{
	{version: 937, prevCheckpoint: true, intTimes: true, float4: true, legacyCRC: true},
	{version: 942, prevCheckpoint: true, hintsAndWorkers: true, intTimes: true, float4: true, legacyCRC: true},
	{version: 942, prevCheckpoint: true, commitTs: true, hintsAndWorkers: true, intTimes: true, float4: true},
	{version: 960, prevCheckpoint: true, commitTs: true, hintsAndWorkers: true, intTimes: true, float4: true},
	{version: 1002, prevCheckpoint: true, commitTs: true, hintsAndWorkers: true, float4: true, nonce: true},
	{version: 1100, commitTs: true, hintsAndWorkers: true, float4: true, nonce: true},
	{version: 1201, commitTs: true, hintsAndWorkers: true, senders: true, float4: true, nonce: true},
	{version: 1300, commitTs: true, hintsAndWorkers: true, senders: true, nonce: true},
	{version: 1700, commitTs: true, hintsAndWorkers: true, senders: true, nonce: true},
	{version: 1800, walLevelInCheck: true, commitTs: true, hintsAndWorkers: true, senders: true, signedness: true, nonce: true},
}

// parseControl reads the file's bytes.
func parseControl(data []byte) (control, error) {
	if len(data) < 16 {
		return control{}, fmt.Errorf("control file has %d bytes", len(data))
	}
	version := int(binary.LittleEndian.Uint32(data[8:]))
	known := false
	for _, layout := range controlLayouts {
		if layout.version != version {
			continue
		}
		known = true
		if c, ok := layout.parse(data); ok {
			return c, nil
		}
	}
	if !known {
		return control{}, fmt.Errorf("version %d: %w", version, errControlUnknown)
	}
	return control{}, fmt.Errorf("control file of version %d has a wrong checksum", version)
}

// parse walks the structure field by field, and says whether the checksum at its end is right.
func (l controlLayout) parse(data []byte) (c control, ok bool) {
	s := structReader{data: data}
	c.SystemID = fmt.Sprint(s.u64())
	c.Version = int(s.u32())
	s.u32() // catalog version
	c.State = controlState(s.u32())
	s.u64() // time
	c.CheckpointLSN = watchdog.LSN(s.u64())
	if l.prevCheckpoint {
		s.u64()
	}
	c.RedoLSN, c.Timeline = l.parseCheckpoint(&s)
	s.u64() // unlogged LSN
	c.MinRecoveryPoint = watchdog.LSN(s.u64())
	c.MinRecoveryTimeline = watchdog.Timeline(s.u32())
	s.u64() // backup start
	s.u64() // backup end
	s.bool()
	s.u32() // wal_level
	if l.hintsAndWorkers {
		c.WalLogHints = s.bool()
	}
	c.MaxConnections = int(s.u32())
	if l.hintsAndWorkers {
		c.MaxWorkerProcesses = int(s.u32())
	}
	if l.senders {
		c.MaxWalSenders = int(s.u32())
	}
	c.MaxPreparedXacts = int(s.u32())
	c.MaxLocksPerXact = int(s.u32())
	if l.commitTs {
		s.bool()
	}
	s.u32() // MAXALIGN
	s.u64() // a float, to compare formats
	c.BlockSize = int(s.u32())
	s.u32() // relation segment size
	c.WalBlockSize = int(s.u32())
	c.WalSegmentSize = int(s.u32())
	s.skip(4 * 4) // name length, index keys, toast and large object chunk sizes
	if l.intTimes {
		s.bool()
	}
	if l.float4 {
		s.bool()
	}
	s.bool()
	c.DataChecksums = s.u32() != 0
	if l.signedness {
		s.bool()
	}
	if l.nonce {
		s.skip(32)
	}
	s.align(4)
	end := s.at
	want := s.u32()
	if s.short {
		return control{}, false
	}
	if l.legacyCRC {
		return c, legacyCRC32(data[:end]) == want
	}
	return c, crc32.Checksum(data[:end], castagnoli) == want
}

func (l controlLayout) parseCheckpoint(s *structReader) (redo watchdog.LSN, timeline watchdog.Timeline) {
	redo = watchdog.LSN(s.u64())
	timeline = watchdog.Timeline(s.u32())
	s.u32() // previous timeline
	s.bool()
	if l.walLevelInCheck {
		s.u32()
	}
	if l.version >= 1201 {
		s.u64() // next transaction, with its epoch
	} else {
		s.u32()
		s.u32()
	}
	s.skip(7 * 4) // oid, multixact, offset, oldest xid and multixact with their databases
	s.u64()       // time
	if l.commitTs {
		s.skip(2 * 4)
	}
	s.u32()    // oldest active xid
	s.align(8) // the structure's own end
	return redo, timeline
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// legacyCRC32 is what PostgreSQL used up to 9.4: the table of the reflected CRC-32, walked as if it were not reflected.
func legacyCRC32(data []byte) uint32 {
	crc := ^uint32(0)
	for _, b := range data {
		crc = crc32.IEEETable[byte(crc>>24)^b] ^ crc<<8
	}
	return ^crc
}

// structReader reads a C structure's fields one after the other, each at its alignment.
type structReader struct {
	data  []byte
	at    int
	short bool
}

func (s *structReader) align(n int) { s.at = (s.at + n - 1) / n * n }

func (s *structReader) skip(n int) { s.at += n }

func (s *structReader) take(n int) []byte {
	s.align(n)
	if s.at+n > len(s.data) {
		s.short = true
		return make([]byte, n)
	}
	field := s.data[s.at : s.at+n]
	s.at += n
	return field
}

func (s *structReader) bool() bool  { return s.take(1)[0] != 0 }
func (s *structReader) u32() uint32 { return binary.LittleEndian.Uint32(s.take(4)) }
func (s *structReader) u64() uint64 { return binary.LittleEndian.Uint64(s.take(8)) }
