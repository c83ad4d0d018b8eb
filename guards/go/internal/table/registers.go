package table

import (
	"math"
	"slices"
)

// statement is what one authority says of a node: all contents tied in its version.
type statement[Content any] struct {
	version int64
	tied    []Content
}

// register holds the statements on nodes, sparse: of each authority the highest
// version, of tied ones all.
type register[Content any] struct {
	strictest Content
	same      func(Content, Content) bool
	entries   map[int32]map[string]statement[Content]
}

func newRegister[Content any](strictest Content, same func(Content, Content) bool) register[Content] {
	return register[Content]{strictest, same, map[int32]map[string]statement[Content]{}}
}

func (r *register[Content]) set(node int32, authority string, of statement[Content]) {
	if r.entries[node] == nil {
		r.entries[node] = map[string]statement[Content]{}
	}
	r.entries[node][authority] = of
}

func (r *register[Content]) put(node int32, authority string, version int64, content Content) {
	standing, there := r.entries[node][authority]
	switch {
	case !there || version > standing.version:
		r.set(node, authority, statement[Content]{version, []Content{content}})
	case version == standing.version && !slices.ContainsFunc(standing.tied, func(other Content) bool {
		return r.same(other, content)
	}):
		standing.tied = append(standing.tied, content)
		r.entries[node][authority] = standing
	}
}

// doubt lets the strictest stand, until something newer or a table built anew.
func (r *register[Content]) doubt(node int32, authority string) {
	standing := r.entries[node][authority]
	standing.tied = append(standing.tied, r.strictest)
	r.entries[node][authority] = standing
}

func (r *register[Content]) version(node int32, authority string) (int64, bool) {
	standing, there := r.entries[node][authority]
	return standing.version, there
}

const (
	never       = math.MaxInt64 // an expiry, or a time of issue that nobody knows
	unknownTime = math.MaxInt64
	longAgo     = math.MinInt64
	shared      = math.MaxUint16 // the authority of a node that several speak of
)

// expiries are the expiry statements: nearly all nodes have one authority, in columns.
type expiries struct {
	earliest    []int64 // by node; the column lineage.expires
	authorities []string
	number      map[string]uint16
	authority   []uint16 // by node, counted from 1; may be shorter
	versions    []int64
	several     register[int64]
}

func newExpiries() expiries {
	return expiries{
		number:  map[string]uint16{},
		several: newRegister(int64(longAgo), func(a, b int64) bool { return a == b }),
	}
}

func (e *expiries) holder(node int32) uint16 {
	if int(node) < len(e.authority) {
		return e.authority[node]
	}
	return 0
}

func (e *expiries) put(node int32, authority string, version, expires int64) {
	if missing := int(node) + 1 - len(e.authority); missing > 0 {
		e.authority = append(e.authority, make([]uint16, missing)...)
		e.versions = append(e.versions, make([]int64, missing)...)
	}
	number, known := e.number[authority]
	if !known && len(e.authorities)+1 < shared {
		e.authorities = append(e.authorities, authority)
		number = uint16(len(e.authorities))
		e.number[authority] = number
	}
	holder := e.authority[node]
	if holder != shared && (number == 0 || (holder != 0 && holder != number)) {
		if holder != 0 {
			e.several.put(node, e.authorities[holder-1], e.versions[node], e.earliest[node])
		}
		e.authority[node], holder = shared, shared
	}
	switch {
	case holder == shared:
		e.several.put(node, authority, version, expires)
		e.gather(node)
	case holder == 0 || version > e.versions[node]:
		e.authority[node], e.versions[node], e.earliest[node] = number, version, expires
	case version == e.versions[node]:
		e.earliest[node] = min(e.earliest[node], expires)
	}
}

func (e *expiries) gather(node int32) {
	earliest := int64(never)
	for _, said := range e.several.entries[node] {
		earliest = min(earliest, slices.Min(said.tied))
	}
	e.earliest[node] = earliest
}

func (e *expiries) version(node int32, authority string) (int64, bool) {
	holder := e.holder(node)
	if holder == shared {
		return e.several.version(node, authority)
	}
	if holder == 0 || holder != e.number[authority] {
		return 0, false
	}
	return e.versions[node], true
}

// doubt lets the node have expired, until something newer or a table built anew.
func (e *expiries) doubt(node int32, authority string) {
	if e.authority[node] == shared {
		e.several.doubt(node, authority)
	}
	e.earliest[node] = longAgo
}

// stated is a register that statements are merged into.
type stated[Content any] interface {
	put(node int32, authority string, version int64, content Content)
	version(node int32, authority string) (int64, bool)
	doubt(node int32, authority string)
}

// state merges a statement; one whose version fell puts its node in doubt, since what
// it replaced under its old version may be the one that counts.
func state[Content any](t *Table, to stated[Content], node int32, f *Fact, said Content) {
	if !t.versions.any() && !f.varies() {
		to.put(node, f.Authority, f.Version, said)
		return
	}
	merged, stands := to.version(node, f.Authority)
	version, doubtful := t.versions.take(f, merged, stands)
	to.put(node, f.Authority, version, said)
	if doubtful {
		to.doubt(node, f.Authority)
		t.rebuild = true
	}
	if stands {
		version = max(version, merged)
	}
	t.versions.forget(f, version)
}

// latest is the highest version of a register that keeps nothing else.
func (t *Table) latest(f *Fact, merged int64, stands bool) int64 {
	version, doubtful := t.versions.take(f, merged, stands)
	t.rebuild = t.rebuild || doubtful
	if stands {
		version = max(version, merged)
	}
	t.versions.forget(f, version)
	return version
}
