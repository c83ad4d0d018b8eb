package table

import (
	"bytes"
	"hash/maphash"
	"unicode/utf8"
)

const (
	nameEnd = 0xFF // in no UTF-8
	block   = 64   // names that share one offset
)

// names gives each identifier a number, from 0 on, and finds it again.
//
// The bytes are those of the section lineage.names: the value, the code point of the
// kind's number, FF. Nothing here holds a pointer for each name, so the garbage
// collector passes over it.
type names struct {
	bytes  []byte
	bases  []uint64 // where each block of names begins
	starts []uint16 // where a name begins in its block
	slots  []int32  // hash table of number + 1, 0 where it is free
	kinds  []string
	number map[string]rune
	seed   maphash.Seed
}

func newNames() names {
	return names{
		slots:  make([]int32, 64),
		number: map[string]rune{},
		seed:   maphash.MakeSeed(),
	}
}

func (n *names) len() int { return len(n.starts) }

func (n *names) at(number int32) []byte {
	start := n.bases[number/block] + uint64(n.starts[number])
	end := uint64(len(n.bytes))
	if next := number + 1; int(next) < len(n.starts) {
		end = n.bases[next/block] + uint64(n.starts[next])
	}
	return n.bytes[start:end]
}

func (n *names) find(of Identifier) int32 {
	kind, known := n.number[of.Kind]
	if !known {
		return none
	}
	var room [MaxValueBytes + 8]byte
	key := AppendName(room[:0], of.Value, kind)
	mask := uint64(len(n.slots) - 1)
	for at := maphash.Bytes(n.seed, key) & mask; ; at = (at + 1) & mask {
		slot := n.slots[at]
		if slot == 0 {
			return none
		}
		if bytes.Equal(n.at(slot-1), key) {
			return slot - 1
		}
	}
}

// add appends a name that is not there.
func (n *names) add(of Identifier) int32 {
	kind, known := n.number[of.Kind]
	if !known {
		kind = rune(len(n.kinds))
		n.number[of.Kind] = kind
		n.kinds = append(n.kinds, of.Kind)
	}
	n.begin(uint64(len(n.bytes)))
	n.bytes = AppendName(n.bytes, of.Value, kind)
	number := int32(n.len() - 1)
	if 4*n.len() > 3*len(n.slots) {
		n.rehash(2 * len(n.slots))
	} else {
		n.put(number)
	}
	return number
}

func (n *names) begin(start uint64) {
	if n.len()%block == 0 {
		n.bases = append(n.bases, start)
	}
	n.starts = append(n.starts, uint16(start-n.bases[n.len()/block]))
}

func (n *names) put(number int32) {
	mask := uint64(len(n.slots) - 1)
	at := maphash.Bytes(n.seed, n.at(number)) & mask
	for n.slots[at] != 0 {
		at = (at + 1) & mask
	}
	n.slots[at] = number + 1
}

func (n *names) rehash(size int) {
	n.slots = make([]int32, size)
	for number := range n.starts {
		n.put(int32(number))
	}
}

func (n *names) identifier(number int32) Identifier {
	name := n.at(number)
	value, kind := splitName(name[:len(name)-1])
	return Identifier{n.kinds[kind], string(value)}
}

// AppendName writes the bytes of a name; see names.
func AppendName(to []byte, value string, kind rune) []byte {
	return append(appendCode(append(to, value...), kind), nameEnd)
}

// appendCode writes a code point as UTF-8 does, surrogates too: they are numbers here.
func appendCode(to []byte, code rune) []byte {
	switch {
	case code < 0x80:
		return append(to, byte(code))
	case code < 0x800:
		return append(to, 0xC0|byte(code>>6), 0x80|byte(code&0x3F))
	case code < 0x10000:
		return append(to, 0xE0|byte(code>>12), 0x80|byte(code>>6&0x3F), 0x80|byte(code&0x3F))
	default:
		return append(to, 0xF0|byte(code>>18), 0x80|byte(code>>12&0x3F),
			0x80|byte(code>>6&0x3F), 0x80|byte(code&0x3F))
	}
}

// splitName takes the last code point off; -1 where there is none.
func splitName(name []byte) ([]byte, rune) {
	at := len(name) - 1
	for at > 0 && len(name)-at < 4 && name[at]&0xC0 == 0x80 {
		at--
	}
	if at < 0 {
		return nil, -1
	}
	code, rest := rune(name[at]), name[at+1:]
	switch lead := name[at]; {
	case lead < 0x80 && len(rest) == 0:
		return name[:at], code
	case lead&0xE0 == 0xC0 && len(rest) == 1:
		code = rune(lead & 0x1F)
	case lead&0xF0 == 0xE0 && len(rest) == 2:
		code = rune(lead & 0x0F)
	case lead&0xF8 == 0xF0 && len(rest) == 3:
		code = rune(lead & 0x07)
	default:
		return nil, -1
	}
	for _, more := range rest {
		code = code<<6 | rune(more&0x3F)
	}
	return name[:at], code
}

// ReadName reads the name at the beginning of bytes, of a kind of a list.
func ReadName(from []byte, kinds []string) (Identifier, error) {
	end := bytes.IndexByte(from, nameEnd)
	if end < 0 {
		return Identifier{}, ErrTorn
	}
	value, kind := splitName(from[:end])
	if kind < 0 || int(kind) >= len(kinds) || !utf8.Valid(value) || len(value) > MaxValueBytes {
		return Identifier{}, ErrTorn
	}
	return Identifier{kinds[kind], string(value)}, nil
}

func (n *names) kind(number int32) string {
	name := n.at(number)
	_, kind := splitName(name[:len(name)-1])
	return n.kinds[kind]
}
