package table

import "slices"

// inDoubt is an authority that gives a node an owner set which nobody meets.
const inDoubt = ""

// labelSet merges labels. Where its version fell, labels that count may be missing: nobody
// owns the node until the table is built anew.
func (t *Table) labelSet(f *Fact) {
	node := t.intern(f.Node)
	set := make([]int32, 0, len(f.Labels))
	for _, label := range f.Labels {
		set = append(set, t.intern(label))
	}
	slices.Sort(set)
	before := t.rebuild
	t.rebuild = false
	state(t, &t.labels, node, f, slices.Compact(set))
	if t.rebuild {
		t.owners.put(node, inDoubt, 0, []int32{})
		t.flags[node] |= owned
	}
	t.rebuild = t.rebuild || before
	t.flags[node] &^= labelled
	if len(t.labelsOf(node)) > 0 {
		t.flags[node] |= labelled
	}
}

// labelsOf are the labels of a node that are in force: of each authority, of tied sets all.
func (t *Table) labelsOf(node int32) []int32 {
	var found []int32
	for _, said := range t.labels.entries[node] {
		for _, set := range said.tied {
			found = append(found, set...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
