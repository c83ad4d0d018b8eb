package shared

import (
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"rescind.dev/guard/internal/table"
)

const (
	magic       = "RSCTABLE"
	version     = 1
	description = 512 // where it begins
	page        = 4096
	saltBytes   = 16
)

// Words of 64 bits, by place in the file.
const (
	wordMagic      = 0
	wordVersion    = 1
	wordDescribed  = 2
	wordChanges    = 8
	wordDeadline   = 9
	wordClock      = 10
	wordGeneration = 12
	wordHorizon    = 13
	wordApplied    = 14
	wordState      = 15
	wordKinds      = 16
	wordKept       = 17
	wordSince      = 20
	words          = 32
)

// ErrNotATable says that a file is no table that this code and this machine can read.
var ErrNotATable = errors.New("not a shared table that can be read here")

// file is the parts of a mapped file.
type file struct {
	// Inode of the file, and its device.
	Inode           Inode
	words           []int64
	flags, relation []byte
	ring, parent    []int32
	issued, expires []int64
	changed, clear  []int64
	places          []uint32 // of rows
	start, next     []uint32
	buckets         []uint32
	names, rows     []byte
	mask            uint32
}

// Inode names a file.
type Inode struct{ Device, Number uint64 }

func (f *file) word(place int) int64 { return atomic.LoadInt64(&f.words[place]) }

// byteAt reads one byte of a column as a part of a word: others write it. A section begins
// at a page, so the last word lies in the file.
func byteAt(column []byte, at int32) byte {
	word := (*uint32)(unsafe.Pointer(&column[at&^3]))
	return byte(atomic.LoadUint32(word) >> (8 * (at & 3)))
}

// view reads bytes of the mapping as numbers. They lie at multiples of their width.
func view[Number any](of []byte) []Number {
	var one Number
	return unsafe.Slice((*Number)(unsafe.Pointer(unsafe.SliceData(of))), len(of)/int(unsafe.Sizeof(one)))
}

// sections are the parts of a file by name.
type sections struct {
	whole  []byte
	places map[string]any
	wrong  error
}

func (s *sections) take(name, form string) []byte {
	place, _ := s.places[name].([]any)
	if len(place) != 3 {
		s.wrong = fmt.Errorf("%w: section %s", ErrNotATable, name)
		return nil
	}
	start, first := table.Integer(place[1])
	length, second := table.Integer(place[2])
	size := int64(len(s.whole))
	if place[0] != form || !first || !second || start <= 0 || start%page != 0 ||
		length <= 0 || start >= size || length > size-start {
		s.wrong = fmt.Errorf("%w: section %s", ErrNotATable, name)
		return nil
	}
	return s.whole[start : start+length]
}

// read takes up the parts of a mapped file.
func read(whole []byte) (*Table, error) {
	t := &Table{read: map[uint32]*table.Row{}}
	t.words = view[int64](whole[:8*words])
	if string(whole[:len(magic)]) != magic || t.word(wordVersion) != version {
		return nil, fmt.Errorf("%w: a table of version %d", ErrNotATable, t.word(wordVersion))
	}
	end := t.word(wordDescribed)
	if end < 0 || end > int64(len(whole)-description) {
		return nil, fmt.Errorf("%w: no description", ErrNotATable)
	}
	plain, err := table.ReadJSON(whole[description : description+end])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotATable, err)
	}
	said, _ := plain.(map[string]any)
	places, _ := said["sections"].(map[string]any)
	of := sections{whole: whole, places: places}
	t.flags, t.relation = of.take("flags", "u8"), of.take("relation", "u8")
	t.ring, t.parent = view[int32](of.take("ring", "i32")), view[int32](of.take("parent", "i32"))
	t.issued, t.expires = view[int64](of.take("issued", "i64")), view[int64](of.take("expires", "i64"))
	t.changed, t.clear = view[int64](of.take("changed", "i64")), view[int64](of.take("clear", "i64"))
	t.places = view[uint32](of.take("row", "u32"))
	t.start, t.next = view[uint32](of.take("start", "u32")), view[uint32](of.take("next", "u32"))
	t.buckets = view[uint32](of.take("buckets", "u32"))
	t.names, t.rows = of.take("names", "u8"), of.take("rows", "u8")
	if of.wrong != nil {
		return nil, of.wrong
	}
	if err := t.measure(); err != nil {
		return nil, err
	}
	return t, t.describe(said)
}

// measure sees to it that all columns have one length.
func (t *Table) measure() error {
	room := len(t.flags)
	for _, length := range []int{
		len(t.relation), len(t.ring), len(t.parent), len(t.issued), len(t.expires), len(t.changed),
		len(t.clear), len(t.places), len(t.start), len(t.next),
	} {
		if length != room {
			return fmt.Errorf("%w: columns of several lengths", ErrNotATable)
		}
	}
	if len(t.buckets)&(len(t.buckets)-1) != 0 {
		return fmt.Errorf("%w: %d buckets", ErrNotATable, len(t.buckets))
	}
	t.mask = uint32(len(t.buckets) - 1)
	return nil
}

func (t *Table) describe(said map[string]any) error {
	var lease, partition bool
	t.Genesis, _ = said["genesis"].(string)
	t.Partition, partition = table.Integer(said["partition"])
	t.Lease, lease = table.Integer(said["lease"])
	t.Mode, _ = said["mode"].(string)
	salt, _ := said["salt"].(string)
	var err error
	if t.salt, err = hex.DecodeString(salt); err != nil || len(t.salt) != saltBytes {
		return fmt.Errorf("%w: no salt", ErrNotATable)
	}
	if t.vocabulary, err = table.ReadVocabulary(said["vocabulary"]); err != nil {
		return fmt.Errorf("%w: %w", ErrNotATable, err)
	}
	if !lease || !partition || t.Genesis == "" || t.Mode == "" {
		return fmt.Errorf("%w: its description is not whole", ErrNotATable)
	}
	boot, _ := said["boot_id"].(string)
	namespace, _ := table.Integer(said["time_namespace"])
	t.madeOn = host{boot, namespace}
	return t.learn()
}
