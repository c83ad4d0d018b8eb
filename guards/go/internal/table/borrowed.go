package table

import "errors"

// ErrTorn says that what lies elsewhere does not fit together: it changed while it was
// read, or whoever writes it died in the middle.
var ErrTorn = errors.New("a table that changed while it was read")

// Entry is what lies elsewhere of one node; nodes are numbers of that place.
type Entry struct {
	Name            Identifier
	Flags, Relation uint8
	Ring, Parent    int32
	Issued, Expires int64
	Row             *Row // what few nodes have; nil for nothing
}

// Elsewhere is a table that lies elsewhere, and may change while it is read.
type Elsewhere interface {
	// Find gives the number of a name, and false where no fact named it.
	Find(of Identifier) (int32, bool)
	// Entry reads one node; ErrTorn where there is none.
	Entry(number int32) (Entry, error)
}

// Borrowed is the part of a table that one question rests on, copied.
type Borrowed struct {
	// Numbers are the nodes, as numbers of where they lie.
	Numbers []int32
	table   *Table
	large   bool
}

// Borrow copies the part of a table that the answer to a question rests on. It may be
// judged once it is known that nothing of it changed while it was copied.
func Borrow(q *Question, from Elsewhere, vocabulary Vocabulary, horizon *int64) (*Borrowed, error) {
	b := &borrower{from: from, table: New(vocabulary), local: map[int32]int32{}}
	b.table.horizon = horizon
	for _, names := range [][]Identifier{q.Presented.Identifiers, q.Presented.Chain} {
		for _, name := range names {
			if number, there := from.Find(name); there {
				b.require(number)
			}
		}
	}
	if err := b.copy(); err != nil {
		return nil, err
	}
	return &Borrowed{b.numbers, b.table, b.large}, nil
}

// Judge answers the question that this was copied for.
func (b *Borrowed) Judge(q *Question) Judgement {
	if b.large {
		return Judgement{Reason: LineageTooLarge}
	}
	return b.table.Judge(q)
}

// borrower copies nodes in the order in which they are met.
type borrower struct {
	from     Elsewhere
	table    *Table
	local    map[int32]int32 // by number there: the number here
	numbers  []int32         // by number here
	required []int32         // numbers there of the lineage and its owners
	queued   map[int32]struct{}
	held     []int32 // numbers there of attribute values
	large    bool
}

// place gives the number here of a node there, which is filled later.
func (b *borrower) place(number int32) int32 {
	here, known := b.local[number]
	if !known {
		here = int32(len(b.numbers))
		b.local[number] = here
		b.numbers = append(b.numbers, number)
		b.table.append()
	}
	return here
}

// require takes a node up with all that it requires.
func (b *borrower) require(number int32) int32 {
	if b.queued == nil {
		b.queued = map[int32]struct{}{}
	}
	if _, known := b.queued[number]; !known {
		b.queued[number] = struct{}{}
		b.required = append(b.required, number)
	}
	return b.place(number)
}

// append makes room for a node without a name.
func (t *Table) append() {
	node := int32(len(t.flags))
	t.flags, t.relation = append(t.flags, 0), append(t.relation, 0)
	t.ring, t.parent = append(t.ring, node), append(t.parent, none)
	t.issued, t.expiry.earliest = append(t.issued, unknownTime), append(t.expiry.earliest, never)
}

func (b *borrower) copy() error {
	entries := map[int32]Entry{}
	read := func(number int32) (Entry, error) {
		if one, there := entries[number]; there {
			return one, nil
		}
		one, err := b.from.Entry(number)
		entries[number] = one
		return one, err
	}
	for at := 0; at < len(b.required); at++ {
		if len(b.required) > closureLimit {
			b.large = true
			return nil
		}
		one, err := read(b.required[at])
		if err == nil && one.misses() {
			err = ErrTorn
		}
		if err != nil {
			return err
		}
		b.fill(b.local[b.required[at]], one)
	}
	for at := 0; at < len(b.held); at++ {
		number := b.held[at]
		one, err := read(number)
		if err != nil {
			return err
		}
		if one.Row != nil {
			b.end(b.local[number], one.Row)
		}
	}
	// Names are put in by number, once all nodes have one.
	for _, number := range b.numbers {
		one, err := read(number)
		if err != nil {
			return err
		}
		if b.table.names.find(one.Name) != none {
			return ErrTorn
		}
		b.table.names.add(one.Name)
	}
	return b.closed()
}

// closed sees to it that rings come back: a walk round another one has no end.
func (b *borrower) closed() error {
	met := make([]bool, len(b.numbers))
	for _, next := range b.table.ring {
		if met[next] {
			return ErrTorn
		}
		met[next] = true
	}
	return nil
}

// misses says that a flag tells of what the row does not have. Those who judge look at the
// flags, and what is passed over may be a denial.
func (e *Entry) misses() bool {
	if e.Flags&labelled != 0 {
		return true // labels are parents there
	}
	if e.Row == nil {
		return e.Flags&(manyParents|caused|owned|scoped) != 0
	}
	return e.has(manyParents) && len(e.Row.parents) == 0 || e.has(owned) && len(e.Row.owners) == 0 ||
		e.has(scoped) && len(e.Row.scopes) == 0
}

func (e *Entry) has(flag uint8) bool { return e.Flags&flag != 0 }

func (b *borrower) fill(here int32, one Entry) {
	t := b.table
	t.flags[here], t.relation[here] = one.Flags, one.Relation
	t.issued[here], t.expiry.earliest[here] = one.Issued, one.Expires
	t.ring[here] = b.require(one.Ring)
	if one.Parent != none {
		t.parent[here] = b.require(one.Parent)
	}
	row := one.Row
	if row == nil {
		return
	}
	// What a row has without its flag counts no more.
	if one.has(manyParents) {
		for _, up := range row.parents {
			more := edge{parent: b.require(up.parent), strength: up.strength}
			t.moreParents[here] = append(t.moreParents[here], more)
		}
	}
	if row.reissued != nil {
		t.reissued[here] = *row.reissued
	}
	if one.has(owned) {
		b.own(here, row.owners)
	}
	if one.has(scoped) {
		t.scopes.set(here, "", statement[[]string]{tied: row.scopes})
	}
	if len(row.devices) > 0 {
		t.devices[here] = row.devices
	}
	if len(row.tenants) > 0 {
		t.tenants[here] = row.tenants
	}
	if one.has(caused) && len(row.attributes) > 0 {
		held := make(map[int32]int64, len(row.attributes))
		for _, one := range row.attributes {
			held[b.place(one.attribute)] = one.version
			b.held = append(b.held, one.attribute)
		}
		t.attributes[here] = held
	}
	b.end(here, row)
}

func (b *borrower) own(here int32, sets [][]int32) {
	said := statement[[]int32]{}
	for _, set := range sets {
		places := make([]int32, 0, len(set))
		for _, owner := range set {
			places = append(places, b.require(owner))
		}
		said.tied = append(said.tied, places)
	}
	b.table.owners.set(here, "", said)
}

// end takes up the causes on a node, and what lifts them.
func (b *borrower) end(here int32, row *Row) {
	if len(row.causes) == 0 {
		return
	}
	t := b.table
	t.causes.on[here] = nil // a node may be met as an attribute, too
	for id, cause := range row.causes {
		if target := row.targets[id]; b.numbers[here] != target {
			// It stands on what this owns, and in the row of its target too.
			t.selecting[here] = b.place(target)
			b.held = append(b.held, target)
			continue
		}
		t.causes.on[here] = append(t.causes.on[here], cause)
	}
	for key, latest := range row.latest {
		t.causes.latest[liftKey{key.authority, here, key.aspect}] = latest
	}
}
