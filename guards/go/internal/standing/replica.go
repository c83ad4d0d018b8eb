package standing

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"rescind.dev/guard/internal/table"
)

// What ends a connection. After each of these a guard asks again, from its position or
// for a snapshot.
var (
	ErrMalformed = errors.New("a message that this guard cannot read")
	ErrGap       = errors.New("facts between the position and the delta are missing")
	ErrGenesis   = errors.New("the server serves another log")
	ErrPastEnd   = errors.New("the log is shorter than what was applied of it")
)

const slice = 256 // facts merged under one lock

// corrections are facts that take others back, by id: they are merged before all others.
type corrections map[table.FactID]*table.Fact

// replica is one table and where in which log it stands: everything below the position
// is applied.
type replica struct {
	table       *table.Table
	genesis     string
	partition   int64
	position    int64 // -1 until a snapshot is complete
	corrections corrections
	merged      corrections // with the first chunk
	seeded      string      // the log that the seeds come from
	seeds       corrections
	corrected   int64 // where the first correction lies that asks for a rebuild; -1
	observe     func(*table.Fact, []int32)
}

func newReplica() *replica {
	return &replica{table: table.New(nil), position: -1, corrected: -1, corrections: corrections{}}
}

func (r *replica) complete() bool { return r.position >= 0 }

// proven is the position up to which the table says all that the log says.
func (r *replica) proven() int64 {
	if r.position >= 0 && r.corrected >= 0 {
		return min(r.position, r.corrected)
	}
	return r.position
}

// successor is an empty replica that is to replace this one.
func (r *replica) successor() *replica {
	next := newReplica()
	next.seeded, next.seeds = r.genesis, maps.Clone(r.corrections)
	return next
}

// lock is held while a table in force changes.
type lock interface {
	Lock()
	Unlock()
}

// snapshot applies one chunk. The table is not in force yet.
func (r *replica) snapshot(m message, held lock) error {
	genesis, facts := m.text("genesis"), m.list("facts")
	offset, more := m.natural("offset"), m.flag("more")
	if m.bad != nil {
		return m.bad
	}
	if err := r.mayBe(genesis); err != nil {
		return err
	}
	read, err := readFacts(facts)
	if err != nil {
		return err
	}
	if r.genesis == "" {
		if err := r.open(genesis, m, read); err != nil {
			return err
		}
	}
	r.merge(read, 0)
	if !more {
		held.Lock()
		r.position = offset
		held.Unlock()
	}
	return nil
}

func (r *replica) mayBe(genesis string) error {
	if r.complete() {
		return fmt.Errorf("%w: a snapshot on top of a complete one", ErrGap)
	}
	if r.genesis != "" && r.genesis != genesis {
		return fmt.Errorf("%w: within a snapshot", ErrGenesis)
	}
	return nil
}

// open begins a table with every correction that is known or in the first chunk.
func (r *replica) open(genesis string, m message, facts []*table.Fact) error {
	vocabulary, partition, err := m.log()
	if err != nil {
		return err
	}
	r.takeSeeds(genesis)
	for _, fact := range facts {
		if fact.Corrects() {
			r.corrections[fact.ID()] = fact
		}
	}
	r.merged = maps.Clone(r.corrections)
	r.table = table.Build(slices.Collect(maps.Values(r.corrections)), vocabulary)
	r.genesis, r.partition = genesis, partition
	return nil
}

func (r *replica) takeSeeds(genesis string) {
	if genesis == r.seeded {
		maps.Copy(r.corrections, r.seeds)
	}
}

// adopt takes up a table that holds everything below an offset.
func (r *replica) adopt(genesis string, partition, offset int64, of *table.Table, held lock) error {
	if err := r.mayBe(genesis); err != nil {
		return err
	}
	r.takeSeeds(genesis)
	held.Lock()
	defer held.Unlock()
	r.table, r.genesis, r.partition, r.position = of, genesis, partition, offset
	return nil
}

// delta applies facts while a lock is held, slice by slice. The position moves only when
// all are applied, so a check between two slices sees too much denied at worst.
func (r *replica) delta(m message, held lock) error {
	from, to, facts := m.natural("from"), m.natural("to"), m.list("facts")
	if m.bad != nil {
		return m.bad
	}
	if to < from {
		return fmt.Errorf("%w: a delta that goes backwards", ErrMalformed)
	}
	if from != r.position {
		return fmt.Errorf("%w: it starts at %d, not at %d", ErrGap, from, r.position)
	}
	read, err := readFacts(facts)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(read, slice) {
		held.Lock()
		r.merge(part, from)
		held.Unlock()
	}
	held.Lock()
	r.position = to
	held.Unlock()
	return nil
}

func (r *replica) merge(facts []*table.Fact, at int64) {
	for _, fact := range facts {
		if fact.Corrects() {
			if _, merged := r.merged[fact.ID()]; merged {
				continue
			}
			r.corrections[fact.ID()] = fact
		}
		if r.table.Apply(fact) {
			// The successor must merge it first, or would want a successor as well.
			r.corrections[fact.ID()] = fact
			if r.corrected < 0 && fact.Corrects() {
				r.corrected = at
			}
		}
		if r.observe != nil {
			r.observe(fact, r.table.Named(fact))
		}
	}
}

func readFacts(plain []any) ([]*table.Fact, error) {
	read := make([]*table.Fact, 0, len(plain))
	for _, one := range plain {
		fact, err := table.ReadFact(one)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		read = append(read, fact)
	}
	return read, nil
}
