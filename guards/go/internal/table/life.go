package table

import "slices"

// ends are the reasons of each place to be dead, by place.
type ends struct {
	inherited []bool // passes to all that requires the place
	personal  []bool // of the place alone
	flaws     []flaw
}

func (c *closure) newEnds() *ends {
	return &ends{inherited: make([]bool, len(c.nodes)), personal: make([]bool, len(c.nodes))}
}

func (e *ends) pass(f flaw) {
	f.passes = true
	e.inherited[f.node] = true
	e.flaws = append(e.flaws, f)
}

func (e *ends) stay(f flaw) {
	e.personal[f.node] = true
	e.flaws = append(e.flaws, f)
}

// judge holds what is presented against every rule but that for the unknown.
func (c *closure) judge() Judgement {
	if c.tooLarge {
		return Judgement{Reason: LineageTooLarge}
	}
	c.collectHits()
	causes, doubts := c.newEnds(), c.newEnds()
	c.endByCauses(causes)
	c.endByHorizon(doubts)
	c.endByExpiry(doubts)
	if worst, dead := c.worst(causes, doubts); dead {
		return c.denial(worst)
	}
	return c.scoped()
}

// worst picks the flaw that a denial names.
func (c *closure) worst(causes, doubts *ends) (flaw, bool) {
	var worst flaw
	dead := false
	consider := func(f flaw) {
		if !dead || f.before(worst) {
			worst, dead = f, true
		}
	}
	presented := make([]bool, len(c.nodes))
	presented[together] = true
	for _, at := range c.presented {
		presented[at] = true
	}
	for _, found := range []*ends{causes, doubts} {
		for _, f := range found.flaws {
			if c.back[f.node] >= 0 && f.passes || presented[f.node] {
				consider(f)
			}
		}
	}
	for _, f := range c.orphans(causes, doubts) {
		consider(f)
	}
	return worst, dead
}

func (c *closure) denial(f flaw) Judgement {
	judged := Judgement{Reason: f.reason, Caused: f.caused, Cause: f.cause, Path: c.path(f.node)}
	if f.cause != nil {
		judged.Target = c.table.names.identifier(f.target)
	}
	return judged
}

func (c *closure) collectHits() {
	t := c.table
	for at, node := range c.nodes {
		if node == none || t.flags[node]&caused == 0 {
			continue
		}
		for _, cause := range t.causes.on[node] {
			if t.causes.inForce(node, cause, c.q.Now) {
				c.hits = append(c.hits, hit{at, cause, node})
			}
		}
		if target, selects := t.selecting[node]; selects {
			for _, cause := range t.causes.on[target] {
				if t.causes.inForce(target, cause, c.q.Now) {
					c.hits = append(c.hits, hit{at, cause, target})
				}
			}
		}
		for attribute, since := range t.attributes[node] {
			for _, cause := range t.causes.on[attribute] {
				if since <= cause.version && t.causes.inForce(attribute, cause, c.q.Now) {
					c.hits = append(c.hits, hit{at, cause, attribute})
				}
			}
		}
	}
}

func (c *closure) endByCauses(e *ends) {
	alone := map[alone]hit{}
	var limited []hit
	for _, hit := range c.hits {
		switch {
		case hit.cause.Effect == NotBefore || hit.cause.Effect == Narrow:
		case hit.cause.limited():
			limited = append(limited, hit)
		case hit.cause.Self:
			// The earliest one cuts whatever a later one does.
			key := aloneOf(c, hit)
			if known, there := alone[key]; !there || older(hit.cause, known.cause) {
				alone[key] = hit
			}
		default:
			e.pass(c.flawOf(hit, hit.at))
		}
	}
	for _, hit := range alone {
		c.endAlone(e, hit)
	}
	c.endOld(e)
	c.endLimited(e, limited)
}

// alone is a node with several names, or a place, and an effect on it.
type alone struct {
	class, place int
	effect       string
}

func aloneOf(c *closure, h hit) alone {
	if class := c.class[h.at]; class >= 0 {
		return alone{class, -1, h.cause.Effect}
	}
	return alone{-1, h.at, h.cause.Effect}
}

func (c *closure) flawOf(h hit, at int) flaw {
	reason := TooOld
	switch h.cause.Effect {
	case Revoke:
		reason = Revoked
	case Suspend:
		reason = Suspended
	}
	return flaw{reason: reason, node: at, cause: h.cause, target: h.on, caused: true}
}

// endAlone ends every name of the target, and the children of any of them that are not
// known to be older. It cuts no edge: what stands above passes.
func (c *closure) endAlone(e *ends, h hit) {
	for _, name := range c.names(h.at) {
		e.stay(c.flawOf(h, name))
		for _, child := range c.below[name] {
			latest := c.latestIssue(child)
			for _, up := range c.edges[child] {
				if int(up.parent) == name && (up.strength == always || latest == UnknownTime || latest >= h.cause.At) {
					e.pass(c.flawOf(h, child))
				}
			}
		}
	}
}

// endByHorizon ends credentials with a parent that nobody knows, which may have been
// revoked before the horizon.
func (c *closure) endByHorizon(e *ends) {
	horizon := c.table.horizon
	if horizon == nil {
		return
	}
	for at := range c.nodes {
		if c.flags(at)&(credential|root) != credential {
			continue
		}
		issued := c.issueTime(at)
		if issued != UnknownTime && issued >= *horizon {
			continue
		}
		for _, up := range c.edges[at] {
			if parent := int(up.parent); !up.label && (c.nodes[parent] == none || c.flags(parent)&known == 0) {
				e.pass(flaw{reason: BeyondHorizon, node: at})
				break
			}
		}
	}
}

// endByExpiry ends what has expired, over other names and ends_with_parent alone.
func (c *closure) endByExpiry(e *ends) {
	var todo []int
	end := func(at int) {
		if !e.personal[at] {
			todo = append(todo, at)
			e.stay(flaw{reason: Expired, node: at})
		}
	}
	for at, node := range c.nodes {
		if node != none && c.table.expiry.earliest[node] <= c.q.Now {
			end(at)
		}
	}
	for i := 0; i < len(todo); i++ {
		if c.class[todo[i]] >= 0 {
			end(c.ring[todo[i]]) // and so on, round to this one
		}
		for _, child := range c.below[todo[i]] {
			for _, up := range c.edges[child] {
				if int(up.parent) == todo[i] && up.strength != requires {
					end(child)
				}
			}
		}
	}
}

// orphans are the places within R whose owner sets no living owner meets.
func (c *closure) orphans(causes, doubts *ends) []flaw {
	sets := make([][][]int, len(c.nodes)) // by place: its sets of places
	found := false
	for at := range c.nodes {
		for _, set := range c.ownerSets(at) {
			places := make([]int, 0, len(set))
			for _, owner := range set {
				places = append(places, c.place[owner])
			}
			sets[at], found = append(sets[at], places), true
		}
	}
	if !found {
		return nil
	}
	alive := c.living(sets, causes, doubts)
	var withCauses, before []bool
	var flaws []flaw
	for _, at := range c.order {
		if !slices.ContainsFunc(sets[at], func(set []int) bool { return !metBy(set, alive) }) {
			continue
		}
		if before == nil {
			withCauses, before = c.living(sets, causes), c.living(sets)
		}
		lost := slices.ContainsFunc(sets[at], func(set []int) bool {
			return metBy(set, before) && !metBy(set, withCauses)
		})
		flaws = append(flaws, flaw{reason: NoLivingOwner, node: at, caused: lost})
	}
	return flaws
}

func metBy(set []int, alive []bool) bool {
	return slices.ContainsFunc(set, func(owner int) bool { return alive[owner] })
}

// scoped holds a request against every narrow and every declared scope of R.
func (c *closure) scoped() Judgement {
	scope := c.q.Scope
	var narrow *hit
	for i, h := range c.hits {
		if h.cause.Effect == Narrow && c.actsAt(h) >= 0 &&
			(scope == nil || !covers(h.cause.scopes, *scope)) &&
			(narrow == nil || older(h.cause, narrow.cause)) {
			narrow = &c.hits[i]
		}
	}
	if narrow != nil {
		return c.denial(flaw{
			reason: Narrowed, node: narrow.at, cause: narrow.cause, target: narrow.on, caused: true,
		})
	}
	if scope == nil {
		return Judgement{Allowed: true, Reason: Lives}
	}
	for _, at := range c.order {
		node := c.nodes[at]
		if node == none || c.table.flags[node]&scoped == 0 {
			continue
		}
		for _, said := range c.table.scopes.entries[node] {
			for _, set := range said.tied {
				if !covers(set, *scope) {
					return Judgement{Reason: OutOfScope, Path: c.path(at)}
				}
			}
		}
	}
	return Judgement{Allowed: true, Reason: Lives}
}
