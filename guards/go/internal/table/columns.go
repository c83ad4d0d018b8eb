package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// lineage takes up the names and what stands beside each of them.
func (l *loader) lineage() error {
	t := l.table
	if err := l.names(); err != nil {
		return err
	}
	l.count = t.names.len()
	for name, form := range columns {
		count := l.count
		if name == "expiry.authority" || name == "expiry.version" {
			count = len(l.columns["expiry.version"]) / 8
		}
		if width, fixed := widths[form]; fixed && len(l.columns[name]) != width*count {
			return fmt.Errorf("section %s of %d bytes", name, len(l.columns[name]))
		}
	}
	t.flags, t.relation = l.columns["lineage.flags"], l.columns["lineage.relation"]
	t.ring, t.parent = l.numbers32("lineage.ring"), l.numbers32("lineage.parent")
	t.issued, t.expiry.earliest = l.numbers64("lineage.issued"), l.numbers64("lineage.expires")
	met := make([]bool, l.count)
	for node := range l.count {
		if other := t.ring[node]; other < 0 || int(other) >= l.count || met[other] {
			return errors.New("lineage.ring: a ring that is none")
		}
		met[t.ring[node]] = true
		if parent := t.parent[node]; parent < none || int(parent) >= l.count {
			return errors.New("lineage.parent: no place")
		}
		if t.relation[node] > always {
			return errors.New("lineage: an unknown relation")
		}
	}
	// What is passed over is checked as well: a table with an error has been damaged.
	for _, name := range []string{"lineage.first_child", "lineage.next_child"} {
		for _, number := range l.numbers32(name) {
			if number < none || int(number) >= l.count {
				return fmt.Errorf("%s: no place", name)
			}
		}
	}
	return l.sparse()
}

func (l *loader) names() error {
	of, kinds := &l.table.names, l.read("lineage.kinds")
	for _, one := range kinds.items() {
		kind := one.text()
		of.number[kind] = rune(len(of.kinds))
		of.kinds = append(of.kinds, kind)
	}
	if kinds.failed() {
		return kinds.err()
	}
	content := l.columns["lineage.names"]
	for start := 0; start < len(content); {
		end := start
		for end < len(content) && content[end] != nameEnd {
			end++
		}
		value, kind := splitName(content[start:end])
		if end == len(content) || !utf8.Valid(value) || kind < 0 || int(kind) >= len(of.kinds) {
			return errors.New("lineage.names: a name that is none")
		}
		if len(value) > MaxValueBytes || of.len() == math.MaxInt32 {
			return errors.New("lineage.names: a name that is too long, or too many")
		}
		of.begin(uint64(start))
		start = end + 1
	}
	of.bytes = content
	size := len(of.slots)
	for 3*size < 4*of.len() {
		size *= 2
	}
	of.rehash(size)
	return nil
}

func (l *loader) numbers32(name string) []int32 {
	from := l.columns[name]
	to := make([]int32, len(from)/4)
	for i := range to {
		to[i] = int32(binary.LittleEndian.Uint32(from[4*i:]))
	}
	return to
}

func (l *loader) numbers64(name string) []int64 {
	from := l.columns[name]
	to := make([]int64, len(from)/8)
	for i := range to {
		to[i] = int64(binary.LittleEndian.Uint64(from[8*i:]))
	}
	return to
}
