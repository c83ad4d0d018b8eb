package table

// living finds who lives: the least solution, in which an owner that is still being
// proved counts as dead. A component of places that require each other waits for the
// components that it requires and for its owner sets; each is looked at once.
func (c *closure) living(sets [][][]int, found ...*ends) []bool {
	dead := c.dead(found)
	component, members := c.components()
	waits := make([]int, len(members))
	var waiting []int                // by set: its component
	held := make([][]int, len(dead)) // by place: the sets that it is an owner in
	for at := range c.nodes {
		for _, set := range sets[at] {
			for _, owner := range set {
				held[owner] = append(held[owner], len(waiting))
			}
			waiting = append(waiting, component[at])
			waits[component[at]]++
		}
		for _, up := range c.edges[at] {
			if component[up.parent] != component[at] {
				waits[component[at]]++
			}
		}
	}
	var todo []int
	for one, missing := range waits {
		if missing == 0 {
			todo = append(todo, one)
		}
	}
	settle := func(one int) {
		if waits[one]--; waits[one] == 0 {
			todo = append(todo, one)
		}
	}
	alive, met := make([]bool, len(dead)), make([]bool, len(waiting))
	for i := 0; i < len(todo); i++ {
		for _, at := range members[todo[i]] {
			for _, child := range c.below[at] {
				if component[child] != component[at] {
					settle(component[child])
				}
			}
			if dead[at] {
				continue
			}
			alive[at] = true
			for _, set := range held[at] {
				if !met[set] {
					met[set] = true
					settle(waiting[set])
				}
			}
		}
	}
	return alive
}

// dead are the places with a reason of their own, or of what they require.
func (c *closure) dead(found []*ends) []bool {
	dead := make([]bool, len(c.nodes))
	var inherited []int
	for _, e := range found {
		for at := range c.nodes {
			if e.inherited[at] {
				inherited = append(inherited, at)
			}
			dead[at] = dead[at] || e.personal[at]
		}
	}
	down := c.newWalk(c.downs)
	for _, at := range inherited {
		for _, each := range down.from(at) {
			dead[each] = true
		}
	}
	return dead
}

// components are the places that require each other (Tarjan's algorithm, with a stack of
// its own): by place its component, and by component its places.
func (c *closure) components() ([]int, [][]int) {
	count := len(c.nodes)
	component, index, low := make([]int, count), make([]int, count), make([]int, count)
	next := make([]int, count) // by place: the step up that is looked at next
	for at := range component {
		component[at] = -1
	}
	var members [][]int
	var open, path []int
	clock := 0
	enter := func(at int) {
		clock++
		index[at], low[at] = clock, clock
		open, path = append(open, at), append(path, at)
	}
	leave := func(at int) {
		path = path[:len(path)-1]
		if len(path) > 0 {
			below := path[len(path)-1]
			low[below] = min(low[below], low[at])
		}
		if low[at] != index[at] {
			return
		}
		var part []int
		for {
			top := open[len(open)-1]
			open = open[:len(open)-1]
			component[top] = len(members)
			part = append(part, top)
			if top == at {
				break
			}
		}
		members = append(members, part)
	}
	for start := range count {
		if index[start] > 0 {
			continue
		}
		enter(start)
		for len(path) > 0 {
			at := path[len(path)-1]
			up, more := c.step(at, next[at])
			if !more {
				leave(at)
				continue
			}
			next[at]++
			if index[up] == 0 {
				enter(up)
			} else if component[up] < 0 {
				low[at] = min(low[at], index[up])
			}
		}
	}
	return component, members
}

// step is the i-th of what a place requires directly: its parents, and its next name.
func (c *closure) step(at, i int) (int, bool) {
	if i < len(c.edges[at]) {
		return int(c.edges[at][i].parent), true
	}
	if i == len(c.edges[at]) && c.class[at] >= 0 {
		return c.ring[at], true
	}
	return 0, false
}
