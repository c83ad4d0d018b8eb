package table

import (
	"slices"
	"strings"
)

// limited says whether a cause acts on some of what hangs on its target alone.
func (c *Cause) limited() bool { return len(c.kinds)+len(c.where) > 0 }

// limit names what a cause is limited to.
func (c *Cause) limit() string {
	parts := slices.Clone(c.kinds)
	parts = append(parts, "")
	for _, name := range c.where {
		parts = append(parts, name.String())
	}
	if c.ofOwner {
		parts = append(parts, "")
	}
	return strings.Join(parts, "\x00")
}

// isOf says whether a place is of one of some kinds; of none every place is. What is
// presented together is of those of the presented credentials.
func (c *closure) isOf(at int, kinds []string) bool {
	if len(kinds) == 0 {
		return true
	}
	if at != together {
		return c.nodes[at] != none && slices.Contains(kinds, c.table.names.kind(c.nodes[at]))
	}
	return slices.ContainsFunc(c.presentedCredentials(), func(one int) bool {
		return slices.Contains(kinds, c.identifier(one).Kind)
	})
}

// meets gives by place whether it requires a name, or is owned by that owner.
func (c *closure) meets(name Identifier) []bool {
	if known, there := c.meeting[name]; there {
		return known
	}
	met := make([]bool, len(c.nodes))
	if name.Kind == ownerOf {
		c.owned(name.Value, met)
	} else if node := c.table.names.find(name); node != none {
		if place, there := c.place[node]; there {
			for _, at := range c.newWalk(c.downs).from(place) {
				met[at] = true
			}
		}
	}
	if c.meeting == nil {
		c.meeting = map[Identifier][]bool{}
	}
	c.meeting[name] = met
	return met
}

// owned notes what an owner owns by any of its names, by all names of that. What is
// presented together is owned as the presented credentials are.
func (c *closure) owned(owner string, met []bool) {
	name, err := ParseIdentifier(owner)
	start := c.table.names.find(name)
	if err != nil || start == none {
		return
	}
	names := map[int32]bool{start: true}
	for other := c.table.ring[start]; other != start && len(names) <= closureLimit; other = c.table.ring[other] {
		names[other] = true
	}
	for at := range c.nodes {
		for _, set := range c.ownerSets(at) {
			if slices.ContainsFunc(set, func(one int32) bool { return names[one] }) {
				for _, other := range c.names(at) {
					met[other] = true
				}
			}
		}
	}
	met[together] = slices.ContainsFunc(c.presentedCredentials(), func(one int) bool { return met[one] })
}

// choose gives by place whether a cause may act on it, apart from its target.
func (c *closure) choose(cause *Cause) []bool {
	key := cause.limit()
	if known, there := c.chosen[key]; there {
		return known
	}
	chosen := make([]bool, len(c.nodes))
	for at := range chosen {
		chosen[at] = c.isOf(at, cause.kinds)
	}
	for _, name := range cause.where {
		for at, met := range c.meets(name) {
			chosen[at] = chosen[at] && met
		}
	}
	if c.chosen == nil {
		c.chosen = map[string][]bool{}
	}
	c.chosen[key] = chosen
	return chosen
}

// nearestOf gives by place of a target the nearest place of R that a cause acts on, -1
// where there is none. That of an owner need not be required: it is the same everywhere.
func (c *closure) nearestOf(cause *Cause) []int {
	key := cause.limit()
	if known, there := c.nearest[key]; there {
		return known
	}
	nearest, chosen := make([]int, len(c.nodes)), c.choose(cause)
	for at := range nearest {
		nearest[at] = -1
	}
	up := c.newWalk(c.ups)
	for _, at := range c.order {
		switch {
		case !chosen[at]:
		case cause.ofOwner:
			for everywhere := range nearest {
				if nearest[everywhere] < 0 {
					nearest[everywhere] = at
				}
			}
		default:
			for _, above := range up.from(at) {
				nearest[above] = at
			}
		}
	}
	if c.nearest == nil {
		c.nearest = map[string][]int{}
	}
	c.nearest[key] = nearest
	return nearest
}

// actsAt is the nearest place of R that a cause acts on, -1 where there is none.
func (c *closure) actsAt(h hit) int {
	if h.cause.limited() {
		return c.nearestOf(h.cause)[h.at]
	}
	if c.back[h.at] < 0 {
		return -1
	}
	return h.at
}

// endLimited ends what requires the target of a cause and meets its limits. Causes with the
// same limits are looked at together.
func (c *closure) endLimited(e *ends, limited []hit) {
	groups := map[string][]hit{}
	for _, hit := range limited {
		key := hit.cause.limit()
		groups[key] = append(groups[key], hit)
	}
	for _, hits := range groups {
		chosen, down := c.choose(hits[0].cause), c.newWalk(c.downs)
		for _, hit := range hits {
			if !hit.cause.ofOwner {
				for _, at := range down.from(hit.at) {
					e.inherited[at] = e.inherited[at] || chosen[at]
				}
			}
			if at := c.actsAt(hit); at >= 0 {
				e.pass(c.flawOf(hit, at))
			}
		}
		if hits[0].cause.ofOwner {
			for at := range chosen {
				e.inherited[at] = e.inherited[at] || chosen[at]
			}
		}
	}
}
