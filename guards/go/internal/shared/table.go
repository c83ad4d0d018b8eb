// Package shared reads the table that the agent of a host keeps in a file
// (docs/shared-table.md). The agent writes it, and any number of processes map it.
//
// Nothing here locks or talks. What is read while the agent writes counts only where
// nothing of it changed meanwhile.
package shared

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rescind.dev/guard/internal/table"
)

const (
	tries     = 16
	patient   = 3                      // tries without a pause
	pause     = 100 * time.Microsecond // the agent writes a fact in about one
	mostKept  = 64                     // rows, after they were read
	mostSteps = 1 << 17                // along a bucket
	mostName  = 1024                   // bytes
)

// Bits of a value of clear.
const (
	generation  int64 = 1<<10 - 1
	size        int64 = 4095 << 10
	scopesAbove int64 = 1 << 22
	named       int64 = 1 << 24
	marked      int64 = 1 << 25
	fine        int64 = 1<<27 - 1 // below this a value holds no time
)

// Table is a mapped file.
type Table struct {
	file
	// Lease is how far ahead the deadline is at most (ns).
	Lease int64
	// Mode that the agent says all readers have, at their weakest.
	Mode string
	// Genesis and Partition of the log.
	Genesis    string
	Partition  int64
	madeOn     host
	salt       []byte
	vocabulary table.Vocabulary
	kept       []*Table
	kinds      atomic.Pointer[kinds]
	mu         sync.Mutex
	read       map[uint32]*table.Row // by place
}

type kinds struct {
	place int64
	list  []string
	codes map[string]rune
}

// Open maps the file at a path, and those of logs that are gone.
func Open(path string) (*Table, error) {
	t, err := open(path)
	if err != nil {
		return nil, err
	}
	if place := t.word(wordKept); place != 0 {
		plain, err := t.text(uint32(place))
		if err != nil {
			return nil, err
		}
		names, ok := plain.([]any)
		if !ok {
			return nil, table.ErrTorn
		}
		for _, one := range names {
			name, _ := one.(string)
			if name == "" || name != filepath.Base(name) {
				return nil, table.ErrTorn
			}
			old, err := open(filepath.Join(filepath.Dir(path), name))
			if err != nil {
				return nil, err
			}
			t.kept = append(t.kept, old)
		}
	}
	return t, nil
}

// Seen is what a table says of itself before it is asked.
type Seen struct {
	Deadline int64 // of CLOCK_BOOTTIME; 0 for never
	CaughtUp bool  // this log was once applied up to its end
	Served   bool  // some log was
	Applied  int64 // everything below is in the table; -1 where that is not known
}

// See reads the deadline before all else.
func (t *Table) See() Seen {
	defer runtime.KeepAlive(t)
	seen := Seen{Deadline: t.word(wordDeadline), Applied: -1}
	state := t.word(wordState)
	seen.CaughtUp, seen.Served = state&1 != 0, state&2 != 0
	if state&4 != 0 {
		seen.Applied = t.word(wordApplied)
	}
	return seen
}

// Deadline of the lease.
func (t *Table) Deadline() int64 {
	defer runtime.KeepAlive(t)
	return t.word(wordDeadline)
}

// Clock is to be added to CLOCK_BOOTTIME for the time by which expiry is judged.
func (t *Table) Clock() int64 {
	defer runtime.KeepAlive(t)
	return t.word(wordClock)
}

// Clear says whether it is known that nothing denies what is presented. False means that
// a closer look is due.
func (t *Table) Clear(q *table.Question) bool {
	defer runtime.KeepAlive(t)
	if len(t.kept) > 0 || len(q.Presented.Identifiers) == 0 {
		return false
	}
	// Of one generation: who begins another one writes its number before anything else.
	changes, late, bits, total := t.word(wordChanges), q.Now|fine, int64(0), int64(0)
	current := int64(-1)
	for _, names := range [2][]table.Identifier{q.Presented.Identifiers, q.Presented.Chain} {
		for _, name := range names {
			number, there := t.Find(name)
			if !there || int(number) >= len(t.clear) {
				return false
			}
			value := atomic.LoadInt64(&t.clear[number])
			if value <= late || current >= 0 && value&(generation|named) != current {
				return false
			}
			current, bits, total = value&(generation|named), bits|value, total+value&size
		}
	}
	if q.Now < t.word(wordSince) || t.word(wordGeneration)|named != current || current == named ||
		bits&marked != 0 || q.Scope != nil && bits&scopesAbove != 0 {
		return false
	}
	if total > size {
		return false
	}
	// Several are clear at one moment.
	return len(q.Presented.Identifiers)+len(q.Presented.Chain) == 1 || t.word(wordChanges) == changes
}

// Judge judges by the table, and where it allows by those of logs that are gone: what one
// of them denies for a cause stays denied. False where no verdict could be had.
func (t *Table) Judge(q *table.Question) (table.Judgement, bool) {
	judged, had := t.judge(q)
	earliest := *q
	earliest.Now = 0 // before anything expired: that has no cause, and may hide one that has
	for _, old := range t.kept {
		if !had || judged.Caused {
			break
		}
		earlier, told := old.judge(&earliest)
		if !told || earlier.Caused {
			judged, had = earlier, told
		}
	}
	return judged, had
}

func (t *Table) judge(q *table.Question) (table.Judgement, bool) {
	defer runtime.KeepAlive(t)
	for try := range tries {
		if try >= patient {
			time.Sleep(pause)
		}
		changes, told := t.word(wordChanges), t.word(wordHorizon)
		since := changes - changes&1
		var horizon *int64
		if told != math.MinInt64 {
			horizon = &told
		}
		if t.learn() != nil {
			continue
		}
		part, err := table.Borrow(q, t, t.vocabulary, horizon)
		if err == nil && t.word(wordHorizon) == told && t.unchanged(part.Numbers, since) {
			return part.Judge(q), true
		}
	}
	return table.Judgement{}, false
}

func (t *Table) unchanged(numbers []int32, since int64) bool {
	return t.word(wordChanges) == since || !slices.ContainsFunc(numbers, func(number int32) bool {
		return atomic.LoadInt64(&t.changed[number]) > since
	})
}

// learn reads the list of kinds where it has become another one.
func (t *Table) learn() error {
	place := t.word(wordKinds)
	if known := t.kinds.Load(); known != nil && known.place == place {
		return nil
	}
	plain, err := t.text(uint32(place))
	if err != nil {
		return err
	}
	list, ok := plain.([]any)
	if !ok {
		return table.ErrTorn
	}
	read := &kinds{place: place, codes: make(map[string]rune, len(list))}
	for code, one := range list {
		kind, ok := one.(string)
		if !ok {
			return table.ErrTorn
		}
		read.list = append(read.list, kind)
		read.codes[kind] = rune(code)
	}
	t.kinds.Store(read)
	return nil
}

// Find gives the number of a name, and false where no fact named it.
func (t *Table) Find(of table.Identifier) (int32, bool) {
	code, known := t.kinds.Load().codes[of.Kind]
	if !known {
		return 0, false
	}
	var room [saltBytes + table.MaxValueBytes + 8]byte
	key := table.AppendName(append(room[:0], t.salt...), of.Value, code)
	hash, name := sha256.Sum256(key), string(key[saltBytes:])
	found := atomic.LoadUint32(&t.buckets[binary.LittleEndian.Uint32(hash[:])&t.mask])
	for step := 0; found != 0 && int(found) <= len(t.start) && step < mostSteps; step++ {
		start := int(atomic.LoadUint32(&t.start[found-1]))
		if end := start + len(name); end <= len(t.names) && string(t.names[start:end]) == name {
			return int32(found - 1), true
		}
		found = atomic.LoadUint32(&t.next[found-1])
	}
	return 0, false
}

// Entry reads one node.
func (t *Table) Entry(number int32) (table.Entry, error) {
	if number < 0 || int(number) >= len(t.flags) {
		return table.Entry{}, table.ErrTorn
	}
	name, err := t.name(number)
	if err != nil {
		return table.Entry{}, err
	}
	row, err := t.row(atomic.LoadUint32(&t.places[number]))
	if err != nil {
		return table.Entry{}, err
	}
	return table.Entry{
		Name: name, Flags: byteAt(t.flags, number), Relation: byteAt(t.relation, number),
		Ring: atomic.LoadInt32(&t.ring[number]), Parent: atomic.LoadInt32(&t.parent[number]),
		Issued: atomic.LoadInt64(&t.issued[number]), Expires: atomic.LoadInt64(&t.expires[number]),
		Row: row,
	}, nil
}

func (t *Table) name(number int32) (table.Identifier, error) {
	start := int(atomic.LoadUint32(&t.start[number]))
	if start >= len(t.names) {
		return table.Identifier{}, table.ErrTorn
	}
	return table.ReadName(t.names[start:min(start+mostName, len(t.names))], t.kinds.Load().list)
}

// row reads the row at a place; it never changes, so it is read once.
func (t *Table) row(place uint32) (*table.Row, error) {
	if place == 0 {
		return nil, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if known, there := t.read[place]; there {
		return known, nil
	}
	var chain []any
	var before *table.Row
	at := place
	for ; at != 0; before = t.read[at] {
		if before != nil {
			break
		}
		plain, err := t.text(at)
		if err != nil {
			return nil, err
		}
		chain = append(chain, plain)
		earlier := table.Before(plain)
		if earlier >= int64(at) || earlier < 0 {
			return nil, table.ErrTorn // it goes on from a later one
		}
		at = uint32(earlier)
	}
	read, err := table.ReadRow(chain, before)
	if err != nil {
		return nil, err
	}
	delete(t.read, at) // it will not be asked for again
	for other := range t.read {
		if len(t.read) < mostKept {
			break
		}
		delete(t.read, other)
	}
	t.read[place] = read
	return read, nil
}

// text reads the content of the row at a place.
func (t *Table) text(place uint32) (any, error) {
	start := 8 * int(place)
	if start+4 > len(t.rows) {
		return nil, table.ErrTorn
	}
	length := int(binary.LittleEndian.Uint32(t.rows[start:]))
	if length > len(t.rows)-start-4 {
		return nil, table.ErrTorn
	}
	return table.ReadJSON(t.rows[start+4 : start+4+length])
}
