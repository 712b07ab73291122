package model

import (
	"fmt"
	"strings"
)

// wal names a write-ahead log: a node of a tree in which each entry is the child of what lies before it, so that a log is
// compared, cut and hashed as one small number. 0 is the empty log.
type wal uint16

// entry is one record of the log: the term that wrote it, and which client write it is; write 0 begins the term's timeline.
type entry uint8

func entryOf(term, write uint8) entry { return entry(term<<4 | write) }
func (e entry) term() uint8           { return uint8(e >> 4) }
func (e entry) write() uint8          { return uint8(e & 15) }

type node struct {
	parent wal
	last   entry
	length uint8
	writes uint8 // set of client writes, as bits
}

// forest holds every log that was ever seen in one exploration.
type forest struct {
	nodes    []node
	children map[uint32]wal
}

func newForest() *forest { return &forest{nodes: make([]node, 1), children: map[uint32]wal{}} }

func (f *forest) append(w wal, e entry) wal {
	key := uint32(w)<<8 | uint32(e)
	if child, ok := f.children[key]; ok {
		return child
	}
	n := node{parent: w, last: e, length: f.nodes[w].length + 1, writes: f.nodes[w].writes}
	if e.write() != 0 {
		n.writes |= 1 << (e.write() - 1)
	}
	f.nodes = append(f.nodes, n)
	child := wal(len(f.nodes) - 1)
	f.children[key] = child
	return child
}

func (f *forest) length(w wal) uint8 { return f.nodes[w].length }

// term is that of the last entry: the owner of the timeline at the log's end.
func (f *forest) term(w wal) uint8   { return f.nodes[w].last.term() }
func (f *forest) writes(w wal) uint8 { return f.nodes[w].writes }

// cut is the log's beginning of that length.
func (f *forest) cut(w wal, length uint8) wal {
	for f.nodes[w].length > length {
		w = f.nodes[w].parent
	}
	return w
}

// begins says whether b begins with a.
func (f *forest) begins(a, b wal) bool { return f.cut(b, f.length(a)) == a }

// common is what both begin with.
func (f *forest) common(a, b wal) wal {
	for a != b {
		if f.length(a) >= f.length(b) {
			a = f.nodes[a].parent
		} else {
			b = f.nodes[b].parent
		}
	}
	return a
}

// end is the length up to and with the first write or beginning that the entry names; 0: it is not there.
func (f *forest) end(w wal, e entry) uint8 {
	for ; w != 0; w = f.nodes[w].parent {
		if f.nodes[w].last == e {
			return f.length(w)
		}
	}
	return 0
}

// String tells the log: "1:. 1:a 2:." is a write under term 1 and the beginning of term 2.
func (f *forest) tell(w wal) string {
	var entries []string
	for ; w != 0; w = f.nodes[w].parent {
		e := f.nodes[w].last
		entries = append(entries, fmt.Sprintf("%d%c", e.term(), ".abcdefgh"[e.write()]))
	}
	var out strings.Builder
	for i := len(entries) - 1; i >= 0; i-- {
		out.WriteString(entries[i])
		if i > 0 {
			out.WriteByte(' ')
		}
	}
	return out.String()
}
