package table

// Dependencies are what a verdict depends on: it may change with a fact that names one
// of the nodes, or a name that no fact knew, and at a time of expiry.
type Dependencies struct {
	Nodes     []int32
	Strangers []Identifier
	Until     int64
}

// Watch finds what the verdict on a question depends on. Numbers are those of this
// table. Of a lineage that is too large it gives what is presented alone: such a verdict
// is a denial, which nothing that comes later is needed for.
func (t *Table) Watch(q *Question) Dependencies {
	var nodes []int32
	for _, names := range [][]Identifier{q.Presented.Identifiers, q.Presented.Chain} {
		for _, one := range names {
			nodes = append(nodes, t.names.find(one))
		}
	}
	of := newClosure(t, q, nodes)
	found := Dependencies{Until: never}
	for at, node := range of.nodes {
		if node == none {
			if name, stranger := of.strangers[at]; stranger {
				found.Strangers = append(found.Strangers, name)
			}
			continue
		}
		found.Nodes = append(found.Nodes, node)
		if expires := t.expiry.earliest[node]; expires > q.Now {
			found.Until = min(found.Until, expires)
		}
		for attribute := range t.attributes[node] {
			found.Nodes = append(found.Nodes, attribute)
		}
	}
	return found
}

// Named are the nodes of a fact that was merged, as far as the table has them.
func (t *Table) Named(f *Fact) []int32 {
	var nodes []int32
	for _, name := range f.Names() {
		if node := t.names.find(name); node != none {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// Names are the identifiers that a fact speaks of: of what an owner has, the owner too.
func (f *Fact) Names() []Identifier {
	names := []Identifier{f.Node, f.Other}
	if f.Node.Kind == ownerOf {
		if owner, err := ParseIdentifier(f.Node.Value); err == nil {
			names = append(names, owner)
		}
	}
	return names
}

// ConcernsAll says that a fact may change any verdict.
func (f *Fact) ConcernsAll() bool { return f.Kind == "horizon" || f.Kind == "distrust" }
