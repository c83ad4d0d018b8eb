// Package table keeps what the facts of a realm say, and judges who is dead.
//
// A table is a set of registers and columns. Merging facts is commutative, associative
// and idempotent: they come in any order and any number of times. Nothing here reads a
// clock or does input or output. docs/writing-a-guard.md has the rules.
package table

import (
	"encoding/hex"
	"slices"
	"strings"
)

const none int32 = -1

// Flags of a node; the bits are those of the column lineage.flags.
const (
	known       uint8 = 1
	root        uint8 = 2
	credential  uint8 = 4
	manyParents uint8 = 8
	caused      uint8 = 16
	owned       uint8 = 32
	scoped      uint8 = 64
	labelled    uint8 = 128
)

// Strengths of an edge; the numbers are those of the column lineage.relation.
const (
	requires uint8 = 0
	always   uint8 = 2
)

type edge struct {
	parent   int32
	strength uint8
	label    bool // no parent that may have been forgotten
}

type withdrawal struct {
	id   string
	kind string
	name Identifier
}

// Table is what the facts of a realm say. A reader and a writer at the same time need a
// lock around it; readers need none among themselves.
type Table struct {
	names       names
	vocabulary  Vocabulary
	flags       []uint8
	relation    []uint8
	ring        []int32
	parent      []int32
	issued      []int64
	moreParents map[int32][]edge
	reissued    map[int32]int64
	expiry      expiries
	owners      register[[]int32]
	scopes      register[[]string]
	labels      register[[]int32]
	emptied     map[int32]map[string]int64
	attributes  map[int32]map[int32]int64
	devices     map[int32][]string
	tenants     map[int32][]string
	causes      causes
	horizon     *int64
	withdrawn   map[withdrawal]struct{}
	distrusts   []*Fact
	versions    versions
	selecting   map[int32]int32 // by owner, the name that stands for all that it owns
	rebuild     bool
}

// New returns an empty table.
func New(vocabulary Vocabulary) *Table {
	return &Table{
		names:       newNames(),
		vocabulary:  vocabulary,
		moreParents: map[int32][]edge{},
		reissued:    map[int32]int64{},
		expiry:      newExpiries(),
		owners:      newRegister([]int32{}, slices.Equal[[]int32]),
		scopes:      newRegister([]string{}, slices.Equal[[]string]),
		labels:      newRegister([]int32{}, slices.Equal[[]int32]),
		emptied:     map[int32]map[string]int64{},
		attributes:  map[int32]map[int32]int64{},
		devices:     map[int32][]string{},
		tenants:     map[int32][]string{},
		causes:      newCauses(),
		withdrawn:   map[withdrawal]struct{}{},
		versions:    newVersions(),
		selecting:   map[int32]int32{},
	}
}

// selects has the causes on what an owner has found where the owner is met.
func (t *Table) selects(node int32, target Identifier) {
	if target.Kind != ownerOf {
		return
	}
	if owner, err := ParseIdentifier(target.Value); err == nil {
		number := t.intern(owner)
		t.selecting[number] = node
		t.flags[number] |= caused
	}
}

// Build makes a table of facts that come before all others. In whatever order they are
// given, those that take others back are merged first: what they cover has no effect.
func Build(first []*Fact, vocabulary Vocabulary) *Table {
	t := New(vocabulary)
	for _, corrects := range []bool{true, false} {
		for _, fact := range first {
			if fact.Corrects() == corrects {
				t.Apply(fact)
			}
		}
	}
	t.rebuild = false
	return t
}

// Len is the number of names.
func (t *Table) Len() int { return t.names.len() }

// NeedsRebuild says that the table may hold what was taken back: build it anew from
// every fact of the realm, and deny with this one meanwhile.
func (t *Table) NeedsRebuild() bool { return t.rebuild }

// Apply merges one fact. It says whether this fact asks for a rebuild.
func (t *Table) Apply(f *Fact) bool {
	before := t.rebuild
	t.rebuild = false
	if len(t.withdrawn)+len(t.distrusts) == 0 || t.stands(f) {
		t.merge(f)
	}
	asks := t.rebuild
	t.rebuild = t.rebuild || before
	return asks
}

func (t *Table) merge(f *Fact) {
	switch f.Kind {
	case "node":
		t.node(f)
	case "edge":
		t.link(f)
	case "alias":
		t.join(t.intern(f.Node), t.intern(f.Other))
	case "owner_set":
		t.ownerSet(f)
	case "renewal":
		expires := int64(never)
		if f.Time != nil {
			expires = *f.Time
		}
		state(t, &t.expiry, t.intern(f.Node), f, expires)
	case "scope_set":
		node := t.intern(f.Node)
		state(t, &t.scopes, node, f, slices.Compact(slices.Sorted(slices.Values(f.Scopes))))
		t.flags[node] |= scoped
	case "label_set":
		t.labelSet(f)
	case "holds":
		t.holds(f)
	case "cause":
		node := t.intern(f.Node)
		cause := readCause(f)
		t.causes.add(node, cause)
		t.flags[node] |= caused
		for _, name := range f.Where {
			t.intern(name) // it may be presented, and named by nothing else
		}
		t.selects(node, f.Node)
	case "lift":
		t.causes.lift(t.intern(f.Node), f)
	case "withdraw":
		t.withdraw(f)
	case "distrust":
		t.distrust(f)
	case "horizon":
		merged, stands := int64(0), t.horizon != nil
		if stands {
			merged = *t.horizon
		}
		latest := t.latest(f, merged, stands)
		t.horizon = &latest
	}
}

// stands says whether this copy was not taken back.
func (t *Table) stands(f *Fact) bool {
	for _, distrust := range t.distrusts {
		if distrust.covers(f) {
			return false
		}
	}
	if len(t.withdrawn) == 0 || f.Corrects() {
		return true
	}
	id := f.ID()
	named := []Identifier{f.Node, f.Other}
	if f.Kind == "holds" {
		named = named[:1]
	}
	for _, name := range named {
		if _, gone := t.withdrawn[withdrawal{hex.EncodeToString(id[:]), f.Kind, name}]; gone {
			return false
		}
	}
	return true
}

func (t *Table) intern(of Identifier) int32 {
	node := t.names.find(of)
	if node != none {
		return node
	}
	node = t.names.add(of)
	flags := uint8(0)
	if t.vocabulary.class(of.Kind) == Credential {
		flags = credential
	}
	t.flags = append(t.flags, flags)
	t.relation = append(t.relation, 0)
	t.ring = append(t.ring, node)
	t.parent = append(t.parent, none)
	t.issued = append(t.issued, unknownTime)
	t.expiry.earliest = append(t.expiry.earliest, never)
	return node
}

func (t *Table) node(f *Fact) {
	node := t.intern(f.Node)
	if !f.Derived {
		t.flags[node] |= known
	}
	if f.Root {
		t.flags[node] |= root
	}
	if f.Time != nil {
		t.issue(node, *f.Time, f.ReceivedAt)
	}
	bind(t.devices, node, f.Device)
	bind(t.tenants, node, f.Tenant)
}

// issue notes a time of issue: the earliest one and the latest one count. The earliest
// is never later than it was heard of, the latest is taken as stated.
func (t *Table) issue(node int32, stated, received int64) {
	latest := t.latestIssue(node)
	if latest == unknownTime || stated > latest {
		latest = stated
	}
	t.issued[node] = min(t.issued[node], stated, received)
	if latest != t.issued[node] {
		t.reissued[node] = latest
	}
}

func (t *Table) latestIssue(node int32) int64 {
	if latest, there := t.reissued[node]; there {
		return latest
	}
	return t.issued[node]
}

func bind(to map[int32][]string, node int32, name *string) {
	if name != nil && !slices.Contains(to[node], *name) {
		to[node] = append(to[node], *name)
	}
}

// link hangs a child on a parent; of two relations the stronger one stays.
func (t *Table) link(f *Fact) {
	child, parent := t.intern(f.Node), t.intern(f.Other)
	if f.Relation == createdBy || child == parent {
		return
	}
	strength := uint8(slices.Index(relations, f.Relation))
	switch t.parent[child] {
	case none:
		t.parent[child], t.relation[child] = parent, strength
		return
	case parent:
		t.relation[child] = max(t.relation[child], strength)
		return
	}
	t.flags[child] |= manyParents
	for i, further := range t.moreParents[child] {
		if further.parent == parent {
			t.moreParents[child][i].strength = max(further.strength, strength)
			return
		}
	}
	t.moreParents[child] = append(t.moreParents[child], edge{parent: parent, strength: strength})
}

// join makes two identifiers names of one node: two rings become one by one swap.
func (t *Table) join(first, second int32) {
	one, other := first, second
	for { // side by side: it is known once the shorter ring is round
		if one == second || other == first {
			return
		}
		one, other = t.ring[one], t.ring[other]
		if one == first || other == second {
			break
		}
	}
	if one != second && other != first {
		t.ring[first], t.ring[second] = t.ring[second], t.ring[first]
	}
}

func (t *Table) ownerSet(f *Fact) {
	node := t.intern(f.Node)
	if len(f.Owners) == 0 {
		if t.emptied[node] == nil {
			t.emptied[node] = map[string]int64{}
		}
		merged, stands := t.emptied[node][f.Authority]
		t.emptied[node][f.Authority] = t.latest(f, merged, stands)
		return
	}
	set := make([]int32, 0, len(f.Owners))
	for _, owner := range f.Owners {
		set = append(set, t.intern(owner))
	}
	slices.Sort(set)
	state(t, &t.owners, node, f, slices.Compact(set))
	t.flags[node] |= owned
}

func (t *Table) holds(f *Fact) {
	node, attribute := t.intern(f.Node), t.intern(f.Other)
	if t.attributes[node] == nil {
		t.attributes[node] = map[int32]int64{}
	}
	version := f.effectiveVersion()
	if standing, there := t.attributes[node][attribute]; there {
		version = min(version, standing)
	}
	t.attributes[node][attribute] = version
	t.flags[node] |= caused // a cause may hit it by the attribute
}

func (t *Table) withdraw(f *Fact) {
	if f.OfKind == "withdraw" || f.OfKind == "distrust" {
		return // these cannot be taken back
	}
	t.withdrawn[withdrawal{f.Withdrawn, f.OfKind, f.Node}] = struct{}{}
	if f.OfKind != "cause" && f.OfKind != "lift" {
		t.rebuild = true
		return
	}
	node := t.names.find(f.Node)
	if id, is := readFactID(f.Withdrawn); is && node != none {
		t.causes.remove(node, id)
	}
}

// readFactID reads the one spelling that an id has.
func readFactID(text string) (id FactID, is bool) {
	if len(text) != hex.EncodedLen(len(id)) || strings.ToLower(text) != text {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(text))
	return id, err == nil
}

func (t *Table) distrust(f *Fact) {
	for _, known := range t.distrusts {
		if known.ID() == f.ID() {
			return
		}
	}
	t.distrusts = append(t.distrusts, f)
	t.rebuild = true
}
