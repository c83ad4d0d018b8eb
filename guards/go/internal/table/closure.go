package table

import "slices"

// closure is all that the life of what is presented hangs on: what it requires, the
// owners of that, and what those require. Its places are dense numbers: 0 is what is
// presented together, one credential that no fact names.
type closure struct {
	table     *Table
	q         *Question
	nodes     []int32 // by place; strangers, which no fact names, are none
	strangers map[int]Identifier
	place     map[int32]int
	presented []int    // places of the identifiers
	edges     [][]edge // by place; the parent is a place
	classes   [][]int  // all names of a node, for the nodes that have several
	class     []int    // by place: its class, -1 for none
	ring      []int    // by place with a class: its next name
	below     [][]int  // by place: its children
	tooLarge  bool
	order     []int // R(presented), the nearest first
	back      []int // by place: from where order reached it, -1
	hits      []hit

	credentials []int             // those that are presented
	earliests   []int64           // by class
	named       map[string]string // see namedBy
	meeting     map[Identifier][]bool
	chosen      map[string][]bool
	nearest     map[string][]int
}

// hit is a cause in force at a place.
type hit struct {
	at    int
	cause *Cause
	on    int32 // the node that it names
}

// Place of what is presented.
const together = 0

func newClosure(t *Table, q *Question, nodes []int32) *closure {
	c := &closure{
		table: t, q: q, place: map[int32]int{}, strangers: map[int]Identifier{},
	}
	c.append(none)
	named := map[Identifier]int{}
	for i, node := range nodes {
		at, fresh := 0, false
		if node != none {
			at, fresh = c.take(node)
		} else {
			name := c.name(i)
			var seen bool
			if at, seen = named[name]; !seen {
				at, fresh = c.append(none), true
				named[name], c.strangers[at] = at, name
			}
		}
		if i < len(q.Presented.Identifiers) {
			c.presented = append(c.presented, at)
		}
		if fresh {
			c.edges[together] = append(c.edges[together], edge{parent: int32(at)})
		}
	}
	c.collect()
	return c
}

// name of the i-th of what is presented: the identifiers, then the chain.
func (c *closure) name(i int) Identifier {
	if split := len(c.q.Presented.Identifiers); i >= split {
		return c.q.Presented.Chain[i-split]
	}
	return c.q.Presented.Identifiers[i]
}

func (c *closure) take(node int32) (int, bool) {
	at, there := c.place[node]
	if !there {
		at = c.append(node)
		c.place[node] = at
	}
	return at, !there
}

func (c *closure) append(node int32) int {
	c.nodes, c.edges = append(c.nodes, node), append(c.edges, nil)
	c.class, c.ring = append(c.class, -1), append(c.ring, -1)
	return len(c.nodes) - 1
}

// collect walks requires, other names and owners, once.
func (c *closure) collect() {
	t := c.table
	for at := 1; at < len(c.nodes); at++ {
		if len(c.nodes)-1 > closureLimit {
			c.tooLarge = true
			return
		}
		node := c.nodes[at]
		if node == none {
			continue
		}
		for _, up := range t.parents(node) {
			parent, _ := c.take(up.parent)
			c.edges[at] = append(c.edges[at], edge{int32(parent), up.strength, up.label})
		}
		if t.ring[node] != node && c.class[at] < 0 {
			c.nameAll(at)
		}
		for _, set := range c.ownerSets(at) {
			for _, owner := range set {
				c.take(owner)
			}
		}
	}
	c.hang()
}

// nameAll takes all names of a node up, as one class.
func (c *closure) nameAll(at int) {
	class := []int{at}
	for other := c.table.ring[c.nodes[at]]; other != c.nodes[at]; other = c.table.ring[other] {
		place, _ := c.take(other)
		class = append(class, place)
		if len(c.nodes)-1 > closureLimit {
			return // too large, as the walk sees next
		}
	}
	for i, place := range class {
		c.class[place] = len(c.classes)
		c.ring[place] = class[(i+1)%len(class)]
	}
	c.classes = append(c.classes, class)
}

// names are all names of the node at a place, itself too.
func (c *closure) names(at int) []int {
	if c.class[at] < 0 {
		return []int{at}
	}
	return c.classes[c.class[at]]
}

// ownerSets of a place: each must hold an owner that lives.
func (c *closure) ownerSets(at int) [][]int32 {
	node := c.nodes[at]
	if node == none || c.table.flags[node]&owned == 0 {
		return nil
	}
	var sets [][]int32
	for _, said := range c.table.owners.entries[node] {
		sets = append(sets, said.tied...)
	}
	return sets
}

// parents are what a node requires, without its other names: the labels last.
func (t *Table) parents(node int32) []edge {
	var found []edge
	if t.parent[node] != none {
		found = append(found, edge{parent: t.parent[node], strength: t.relation[node]})
	}
	if t.flags[node]&manyParents != 0 {
		found = append(found, t.moreParents[node]...)
	}
	if t.flags[node]&labelled != 0 {
		for _, label := range t.labelsOf(node) {
			found = append(found, edge{parent: label, strength: requires, label: true})
		}
	}
	return found
}

func (c *closure) hang() {
	c.below = make([][]int, len(c.nodes))
	for at := range c.nodes {
		for _, up := range c.edges[at] {
			c.below[up.parent] = append(c.below[up.parent], at)
		}
	}
	up := c.newWalk(c.ups)
	c.order, c.back = up.from(together), up.back
}

func (c *closure) ups(at int, reach func(int)) {
	for _, up := range c.edges[at] {
		reach(int(up.parent))
	}
}

func (c *closure) downs(at int, reach func(int)) {
	for _, child := range c.below[at] {
		reach(child)
	}
}

// walk follows steps and other names, breadth first, and meets each place once however
// often it starts.
type walk struct {
	of    *closure
	step  func(int, func(int))
	back  []int // by place: from where it was reached, -1 where it was not
	named []bool
}

func (c *closure) newWalk(step func(int, func(int))) *walk {
	w := &walk{c, step, make([]int, len(c.nodes)), make([]bool, len(c.classes))}
	for at := range w.back {
		w.back[at] = -1
	}
	return w
}

// from gives the places that are met from another start on, the nearest first.
func (w *walk) from(start int) []int {
	var order []int
	at := start
	reach := func(to int) {
		if w.back[to] < 0 {
			w.back[to] = at
			order = append(order, to)
		}
	}
	reach(start)
	for i := 0; i < len(order); i++ {
		at = order[i]
		w.step(at, reach)
		if class := w.of.class[at]; class >= 0 && !w.named[class] {
			w.named[class] = true
			for _, other := range w.of.classes[class] {
				reach(other)
			}
		}
	}
	return order
}

func (c *closure) flags(at int) uint8 {
	if node := c.nodes[at]; node != none {
		return c.table.flags[node]
	}
	if name, is := c.strangers[at]; is && c.table.vocabulary.class(name.Kind) != Credential {
		return 0
	}
	return credential
}

// presentedCredentials are those for whose names the verified time counts.
func (c *closure) presentedCredentials() []int {
	if c.credentials == nil {
		c.credentials = []int{}
		for _, at := range c.presented {
			if c.flags(at)&credential != 0 {
				c.credentials = append(c.credentials, at)
			}
		}
	}
	return c.credentials
}

// issueTime is the earliest time that watermarks are compared with. Only own facts or a
// verified claim make it known; once it is, earlier times of other names count.
func (c *closure) issueTime(at int) int64 {
	own := c.issued(at)
	if at == together {
		own = c.q.Presented.IssuedAt
		for _, one := range c.presentedCredentials() {
			own = min(own, c.issued(one))
		}
		return own
	}
	for _, one := range c.presentedCredentials() {
		if one == at || c.class[at] >= 0 && c.class[one] == c.class[at] {
			own = min(own, c.q.Presented.IssuedAt)
			break
		}
	}
	if own == UnknownTime || c.class[at] < 0 {
		return own
	}
	return min(own, c.earliest(c.class[at]))
}

func (c *closure) issued(at int) int64 {
	if c.nodes[at] == none {
		return UnknownTime
	}
	return c.table.issued[c.nodes[at]]
}

// earliest time of issue over all names of a class.
func (c *closure) earliest(class int) int64 {
	if c.earliests == nil {
		c.earliests = make([]int64, len(c.classes))
		for i, names := range c.classes {
			c.earliests[i] = UnknownTime
			for _, at := range names {
				c.earliests[i] = min(c.earliests[i], c.issued(at))
			}
		}
	}
	return c.earliests[class]
}

func (c *closure) latestIssue(at int) int64 {
	if c.nodes[at] == none {
		return UnknownTime
	}
	return c.table.latestIssue(c.nodes[at])
}

// spared says whether a credential's own facts name other devices or tenants alone.
func (c *closure) spared(at int, wanted *string, bound map[int32][]string) bool {
	if wanted == nil {
		return false
	}
	places := []int{at}
	if at == together {
		places = c.presentedCredentials()
	}
	named := false
	for _, one := range places {
		if c.nodes[one] == none {
			continue
		}
		for _, name := range bound[c.nodes[one]] {
			if name == *wanted {
				return false
			}
			named = true
		}
	}
	return named
}

func (c *closure) identifier(at int) Identifier {
	if c.nodes[at] == none {
		return c.strangers[at]
	}
	return c.table.names.identifier(c.nodes[at])
}

// path leads from what is presented to a place.
func (c *closure) path(to int) []Identifier {
	var way []Identifier
	for at := to; at != together && c.back[at] >= 0; at = c.back[at] {
		way = append(way, c.identifier(at))
	}
	slices.Reverse(way)
	return way
}
